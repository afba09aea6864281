"""Files of the user's that every run and report takes into account."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_fddm.core.necrosis import NecrosisDefinition

DEFINITIONS_FILE = "definitions.toml"


def user_definitions_path() -> Path:
    """Return where the user's own necrosis definitions lie, whether or not they do."""
    from platformdirs import user_config_dir

    return Path(user_config_dir("napari-fddm", appauthor=False)) / DEFINITIONS_FILE


def find_definitions(path: Path | None) -> tuple[NecrosisDefinition, ...]:
    """Read the definitions of a file, or else of the user's own file if there is one.

    Parameters
    ----------
    path : Path or None
        A file given for this time only; it then stands instead of the user's own.

    Raises
    ------
    ConfigError
        If the file cannot be read or a definition in it is wrong.
    """
    wanted = path or user_definitions_path()
    if path is None and not wanted.is_file():
        return ()
    from napari_fddm.core.definitions import read_definitions  # most users have none

    return read_definitions(wanted)
