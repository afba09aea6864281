from .bridge import BrownianBridgeScheduler as BrownianBridgeScheduler
from .losses import refinement_loss as refinement_loss
from .sampling import sample_bridge as sample_bridge

__all__ = [
    "BrownianBridgeScheduler",
    "refinement_loss",
    "sample_bridge",
]
