from .export import export_store as export_store
from .export import export_version as export_version
from .report import opened_event as opened_event
from .report import read_report as read_report
from .report import store_report as store_report
from .summary import StoreSummary as StoreSummary
from .summary import summarize_renamed as summarize_renamed
from .summary import summarize_store as summarize_store

__all__ = [
    "StoreSummary",
    "export_store",
    "export_version",
    "opened_event",
    "read_report",
    "store_report",
    "summarize_renamed",
    "summarize_store",
]
