"""Access to an OME-Zarr at a URL (https, s3 …), through fsspec.

Requests have time limits, so that a network that hangs does not hang the program, and
recent answers are cached, because a viewer asks for the same chunks again and again.
"""

from __future__ import annotations

import base64
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit
from urllib.request import url2pathname

from napari_fddm.core.errors import FddmError, SlideError
from napari_fddm.core.outside.guard import reason
from napari_fddm.core.outside.text import visible
from napari_fddm.core.outside.urls import public_url, without_access

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zarr.abc.store import Store

CONNECT_SECONDS, READ_SECONDS, REQUEST_SECONDS = 10, 30, 120
"""Limits for reaching a server, for each piece of its answer, and for a whole answer."""

CACHE_BYTES = 64 << 20
"""Size of the cache per slide; chunks are kept compressed."""

# At least two letters, because "C:/" is a drive of Windows.
_URL = re.compile(r"^(?P<protocol>[A-Za-z][A-Za-z0-9+.-]+)://")
_PACKAGES = {
    "http": "aiohttp", "https": "aiohttp", "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs",
    "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs", "ssh": "sshfs",
    "sftp": "paramiko", "smb": "smbprotocol", "hf": "huggingface_hub", "webhdfs": "requests",
    "gdrive": "gdrive_fsspec", "dropbox": "dropboxdrivefs", "oss": "ossfs",
}  # fmt: skip
_HTTP = ("http", "https")
_NETWORK = ("aiohttp", "botocore", "s3fs", "gcsfs", "adlfs")
"""Packages whose errors concern the connection, not the content of the file."""
_OTHER_FILES = (
    "A URL must be that of the OME-Zarr folder; slides of other formats must be downloaded first."
)


def is_url(text: str | Path) -> bool:
    """Return whether a text is a URL like ``https://…`` or ``s3://…``, not a path."""
    return isinstance(text, str) and _URL.match(text) is not None


def local_path(url: str) -> Path | None:
    """Return the path that a ``file://`` URL stands for; None for any other URL."""
    if _protocol(url) != "file":
        return None
    parts = urlsplit(url)
    host = "" if parts.netloc in ("", "localhost") else f"//{parts.netloc}"
    return Path(url2pathname(f"{host}{parts.path}"))


def url_name(url: str) -> str:
    """Return the name of a slide at a URL: the last part of its path."""
    return visible(unquote(public_url(url).rstrip("/").rsplit("/", 1)[-1]))


def url_store(url: str, *, anonymous: bool = False) -> Store:
    """Return a read-only zarr store for a URL, with time limits and a cache.

    Parameters
    ----------
    url : str
        Any URL that fsspec understands. The query of ``http://`` and ``https://`` goes
        behind each key, user and password go with each request.
    anonymous : bool
        Ask object stores for public data, without the user's own access.

    Raises
    ------
    SlideError
        If the protocol is unknown or its package is not installed.
    """
    from fsspec.core import url_to_fs
    from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper
    from zarr.storage import FsspecStore

    from napari_fddm.slides.ngff.storecache import CachedStore

    protocol = _protocol(url)
    options = _options(url, anonymous=anonymous)
    asked = public_url(url) if protocol in _HTTP else url
    try:
        files, path = url_to_fs(asked, asynchronous=True, **options)
    except ImportError as error:
        package = _PACKAGES.get(protocol, "")
        raise SlideError(
            f"{url_name(url)} cannot be reached: {protocol}:// needs a package "
            "that is not installed.",
            hint=f"Install it with `pip install {package}`." if package else f"{reason(error)}.",
        ) from error
    except ValueError as error:
        raise SlideError(
            f"{url_name(url)} cannot be reached: {protocol}:// is not known.",
            hint="Known are https, http, s3, gs, az, file and what else fsspec has.",
        ) from error
    if not files.async_impl:
        files = AsyncFileSystemWrapper(files, asynchronous=True)
    store = FsspecStore(files, read_only=True, path=path)
    return CachedStore(store, CACHE_BYTES, lists=protocol not in _HTTP)


@contextmanager
def url_errors(url: str) -> Iterator[None]:
    """Turn the errors of reaching a URL into a SlideError.

    Raises
    ------
    SlideError
        With the reason in one line, in which no URL shows its query, user or password.
    """
    try:
        yield
    except FddmError as error:
        cause = error.__cause__
        if cause is not None and is_network_fault(cause):
            raise _unreachable(url, cause) from None
        message, hint = without_access(error.message), without_access(error.hint)
        raise type(error)(message, hint=hint) from None
    except Exception as error:  # noqa: BLE001  # each network library has errors of its own
        raise _unreachable(url, error) from None  # whose text may hold the query


def is_network_fault(error: BaseException) -> bool:
    """Whether an error concerns the connection, not the content."""
    return isinstance(error, OSError) or type(error).__module__.startswith(_NETWORK)


def _unreachable(url: str, error: BaseException) -> SlideError:
    host = public_url(url).partition("://")[2].partition("/")[0]
    if isinstance(error, FileNotFoundError):
        return SlideError(f"there is no OME-Zarr at {visible(public_url(url))}.", hint=_OTHER_FILES)
    if isinstance(error, TimeoutError):
        return SlideError(
            f"{url_name(url)} cannot be read: {host} does not answer.",
            hint="Check the network connection and try again.",
        )
    if isinstance(error, PermissionError):
        return SlideError(
            f"{url_name(url)} cannot be read: {host} refuses access.",
            hint="Set up your access to it as its package (s3fs, gcsfs …) describes.",
        )
    return SlideError(
        f"{url_name(url)} cannot be read from {host}: {without_access(reason(error))}.",
        hint="Check the address and the network connection.",
    )


def _protocol(url: str) -> str:
    found = _URL.match(url)
    return found["protocol"].lower() if found else ""


def _options(url: str, *, anonymous: bool) -> dict[str, Any]:
    protocol = _protocol(url)
    if protocol in _HTTP:
        return _http_options(url)
    if protocol in ("s3", "s3a"):
        limits = {
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": READ_SECONDS,
            "retries": {"max_attempts": 2},
        }
        return {"config_kwargs": limits} | ({"anon": True} if anonymous else {})
    return {}


def _http_options(url: str) -> dict[str, Any]:
    import aiohttp

    timeout = aiohttp.ClientTimeout(
        total=REQUEST_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS
    )
    client: dict[str, Any] = {"timeout": timeout}
    try:
        parts = urlsplit(url)
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
    except ValueError as error:
        raise SlideError(f"{public_url(url)} is no URL: {reason(error)}.") from None
    if user:
        basic = base64.b64encode(f"{user}:{password}".encode()).decode()
        client["headers"] = {"Authorization": f"Basic {basic}"}
    # As pairs, which aiohttp puts behind each URL itself: so no URL holds it that is logged.
    query = parse_qsl(parts.query, keep_blank_values=True)
    return {"client_kwargs": client, **({"params": query} if query else {})}
