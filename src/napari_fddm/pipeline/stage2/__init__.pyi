from .refiner import Refiner as Refiner
from .spreading import Spreading as Spreading

__all__ = [
    "Refiner",
    "Spreading",
]
