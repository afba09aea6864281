"""Access to an OME-Zarr at a URL (https, s3 …), through fsspec.

Requests have time limits, so that a network that hangs does not hang the program, and
recent answers are cached, because a viewer asks for the same chunks again and again.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from napari_fddm.core.errors import FddmError, SlideError

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
    """Return the name of a slide at a URL: its last part."""
    return unquote(url.rstrip("/").rsplit("/", 1)[-1])


def url_store(url: str, *, anonymous: bool = False) -> Store:
    """Return a read-only zarr store for a URL, with time limits and a cache.

    Parameters
    ----------
    url : str
        Any URL that fsspec understands.
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

    from napari_fddm.slides.storecache import CachedStore

    protocol = _protocol(url)
    try:
        files, path = url_to_fs(url, asynchronous=True, **_options(protocol, anonymous=anonymous))
    except ImportError as error:
        package = _PACKAGES.get(protocol, "")
        raise SlideError(
            f"{url_name(url)} cannot be reached: {protocol}:// needs a package "
            "that is not installed.",
            hint=f"Install it with `pip install {package}`." if package else f"{error}.",
        ) from error
    except ValueError as error:
        raise SlideError(
            f"{url_name(url)} cannot be reached: {protocol}:// is not known.",
            hint="Known are https, http, s3, gs, az, file and what else fsspec has.",
        ) from error
    if not files.async_impl:
        files = AsyncFileSystemWrapper(files, asynchronous=True)
    return CachedStore(FsspecStore(files, read_only=True, path=path), CACHE_BYTES)


@contextmanager
def url_errors(url: str) -> Iterator[None]:
    """Turn the errors of reaching a URL into a SlideError.

    Raises
    ------
    SlideError
        With the reason in one line.
    """
    try:
        yield
    except FddmError:
        raise
    except FileNotFoundError as error:
        raise SlideError(f"there is no OME-Zarr at {url}.", hint=_OTHER_FILES) from error
    except TimeoutError as error:
        raise SlideError(
            f"{url_name(url)} cannot be read: {urlsplit(url).netloc} does not answer.",
            hint="Check the network connection and try again.",
        ) from error
    except PermissionError as error:
        raise SlideError(
            f"{url_name(url)} cannot be read: {urlsplit(url).netloc} refuses access.",
            hint="Set up your access to it as its package (s3fs, gcsfs …) describes.",
        ) from error
    except Exception as error:  # each network library has errors of its own
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise SlideError(
            f"{url_name(url)} cannot be read from {urlsplit(url).netloc}: "
            f"{' '.join(reason.split()).rstrip('.')}.",
            hint="Check the address and the network connection.",
        ) from error


def _protocol(url: str) -> str:
    found = _URL.match(url)
    return found["protocol"].lower() if found else ""


def _options(protocol: str, *, anonymous: bool) -> dict[str, Any]:
    if protocol in ("http", "https"):
        import aiohttp

        timeout = aiohttp.ClientTimeout(
            total=REQUEST_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS
        )
        return {"client_kwargs": {"timeout": timeout}}
    if protocol in ("s3", "s3a"):
        limits = {
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": READ_SECONDS,
            "retries": {"max_attempts": 2},
        }
        return {"config_kwargs": limits} | ({"anon": True} if anonymous else {})
    return {}
