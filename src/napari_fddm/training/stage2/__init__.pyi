from .model_folder import train_refiner_model as train_refiner_model
from .recipes import find_recipe as find_recipe
from .train import RefinerTraining as RefinerTraining

__all__ = [
    "RefinerTraining",
    "find_recipe",
    "train_refiner_model",
]
