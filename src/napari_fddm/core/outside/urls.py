"""What of a URL may be shown: not its query, which may be a signature, nor user and password."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://[^\s'\"<>]+")


def public_url(url: str) -> str:
    """Return a URL without its query, fragment, user name and password."""
    try:
        parts = urlsplit(url)
    except ValueError:  # such as a bracket of an IPv6 address that is not closed
        return f"{url.partition('://')[0]}://…"
    host = parts.netloc.rpartition("@")[2]
    return f"{url.partition('://')[0]}://{host}{parts.path}"


def without_access(text: str) -> str:
    """Return a text, such as an error of another library, whose URLs are as `public_url` has them.

    A comma or bracket right behind a URL stays.
    """
    return _IN_TEXT.sub(lambda found: public_url(found[0]), text)
