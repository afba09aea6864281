"""`RegularFiles`: zarr in a folder, of which only regular files within it are read.

Importing this module imports zarr.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

from zarr.storage import LocalStore

from napari_fddm.core.errors import StoreError
from napari_fddm.core.outside.files import real_path
from napari_fddm.core.outside.text import visible

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype


class RegularFiles(LocalStore):  # type: ignore[misc]  # zarr is not looked into
    """A store in a folder.

    A pipe would be waited for, a device never ends, a link may lead to any file of this
    computer, and zarr takes a folder in the place of a file for a file that is not there;
    all four are refused.

    Parameters
    ----------
    root : Path
        The folder. It may be a link itself.
    read_only : bool
        As of every store.
    """

    def __init__(self, root: Path | str, *, read_only: bool = True) -> None:
        super().__init__(real_path(Path(root)), read_only=read_only)

    def get_sync(
        self,
        key: str,
        *,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """Return the content of a file; None if there is none."""
        self._refuse_others(key)
        return super().get_sync(key, prototype=prototype, byte_range=byte_range)

    async def get(
        self,
        key: str,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """Return the content of a file; None if there is none."""
        self._refuse_others(key)
        return await super().get(key, prototype, byte_range)

    def _refuse_others(self, key: str) -> None:
        path = self.root / key
        try:
            mode = path.stat().st_mode
            inside = real_path(path).is_relative_to(self.root)
        except (FileNotFoundError, NotADirectoryError):
            return
        kind = "" if inside else "a link that leads out of its folder"
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or device"
        if kind:
            raise StoreError(
                f"{visible(key)} in {visible(self.root.name)} is {kind}, not a file.",
                hint="Copy the folder again, with the files that its links lead to.",
            )
