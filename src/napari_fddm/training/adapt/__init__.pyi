from .learn import adapt_events as adapt_events

__all__ = [
    "adapt_events",
]
