from .segmenter import SegmenterSettings as SegmenterSettings
from .segmenter import train_segmenter as train_segmenter
from .train import Stage1Settings as Stage1Settings
from .train import train_stage1 as train_stage1

__all__ = [
    "SegmenterSettings",
    "Stage1Settings",
    "train_segmenter",
    "train_stage1",
]
