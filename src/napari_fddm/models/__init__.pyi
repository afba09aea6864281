from .bundle import LoadedModel as LoadedModel
from .bundle import load_model as load_model
from .classifier import TileClassifier as TileClassifier
from .denoiser import Denoiser as Denoiser
from .device import ComputeDevice as ComputeDevice
from .device import choose_device as choose_device

__all__ = [
    "ComputeDevice",
    "Denoiser",
    "LoadedModel",
    "TileClassifier",
    "choose_device",
    "load_model",
]
