from .analysis_store import AnalysisStore as AnalysisStore
from .layout import StoreGeometries as StoreGeometries
from .layout import default_store_path as default_store_path
from .records import LogRecord as LogRecord
from .strokes import Strokes as Strokes
from .strokes import read_strokes as read_strokes

__all__ = [
    "AnalysisStore",
    "LogRecord",
    "StoreGeometries",
    "Strokes",
    "default_store_path",
    "read_strokes",
]
