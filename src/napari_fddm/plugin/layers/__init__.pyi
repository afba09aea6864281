from .corrected import CorrectedLabels as CorrectedLabels

__all__ = [
    "CorrectedLabels",
]
