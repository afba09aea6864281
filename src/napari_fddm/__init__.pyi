from .core.necrosis import necrosis_report as necrosis_report
from .pipeline.outputs.report import read_report as read_report
from .pipeline.run.analyze import analyze as analyze
from .slides.opening import open_slide as open_slide

__all__ = ["__version__", "analyze", "necrosis_report", "open_slide", "read_report"]

__version__: str
