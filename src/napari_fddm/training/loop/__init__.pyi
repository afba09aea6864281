from .run_log import RunLog as RunLog
from .settings import LoopSettings as LoopSettings
from .training_loop import run_loop as run_loop

__all__ = [
    "LoopSettings",
    "RunLog",
    "run_loop",
]
