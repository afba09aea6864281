from .datasets import Dataset as Dataset
from .datasets import build_dataset as build_dataset
from .datasets import open_dataset as open_dataset
from .manifest import read_manifest as read_manifest
from .splits import split_manifest as split_manifest

__all__ = [
    "Dataset",
    "build_dataset",
    "open_dataset",
    "read_manifest",
    "split_manifest",
]
