from .analysis import Analysis as Analysis
from .session import Session as Session

__all__ = [
    "Analysis",
    "Session",
]
