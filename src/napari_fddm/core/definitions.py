"""The user's own necrosis definitions, read from a TOML or JSON file.

One table for each, named as ``--definition`` calls it::

    [with-hemorrhage]
    title = "necrosis and hemorrhage"
    numerator = ["NC", "HC"]
    denominator = ["VT", "NC", "HC"]
    cutoffs = [0.5, 0.9]        # lower ends of Huvos grade II and III
    epsilon = 0.001             # grade IV needs a viable share at or below this
    source = "our protocol, 2024"

``cutoffs`` and ``epsilon`` may be left out, everything else is needed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.errors import ConfigError
from napari_fddm.core.necrosis import DEFINITIONS, NecrosisDefinition
from napari_fddm.core.outside.guard import reading, reason
from napari_fddm.core.outside.json_files import read_json_value, read_toml
from napari_fddm.core.outside.text import quoted, visible

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_NAME_MOST = 40
DEFINITIONS_FILE = "definitions.toml"


def _bed_classes(shorts: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse names that are not classes of the tumor bed, and the same class twice."""
    bed = [c.short for c in OSTEOSARCOMA.tumor_bed]
    stray = [short for short in shorts if short not in bed]
    if stray:
        raise ValueError(f"{', '.join(stray)} is not one of {', '.join(bed)}")
    if len(set(shorts)) != len(shorts):
        raise ValueError("a class is named twice")
    return shorts


Classes = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_bed_classes)]
Text = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]


class _Written(BaseModel):
    """A definition as it stands in a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: Text
    numerator: Classes
    denominator: Classes
    source: Text
    cutoffs: tuple[float, float] = (0.5, 0.9)
    epsilon: float = Field(default=0.001, ge=0.0, lt=1.0)

    @model_validator(mode="after")
    def _consistent(self) -> _Written:
        stray = [short for short in self.numerator if short not in self.denominator]
        if stray:
            raise ValueError(f"{', '.join(stray)} is in the numerator, not in the denominator")
        if set(self.numerator) == set(self.denominator):
            raise ValueError("numerator and denominator are the same: the rate would always be 1")
        second, third = self.cutoffs
        if not 0.0 < second < third < 1.0 - self.epsilon:
            raise ValueError("cutoffs must be two ascending numbers between 0 and 1 - epsilon")
        return self


def read_definitions(path: Path) -> tuple[NecrosisDefinition, ...]:
    """Read the definitions of a file, in its order.

    Raises
    ------
    ConfigError
        Naming the file, the definition and what is wrong with it.
    """
    return tuple(_definition(name, table, path) for name, table in _tables(path).items())


def _tables(path: Path) -> dict[str, Any]:
    if path.suffix.lower() == ".json":
        values = read_json_value(path, error=ConfigError, hint="Correct the file.")
    else:
        values = read_toml(path, error=ConfigError)
    if not isinstance(values, dict):
        raise ConfigError(f"{visible(path)} must hold one table for each definition.")
    return values


def _definition(name: str, table: Any, path: Path) -> NecrosisDefinition:
    where = f"{visible(path)}, definition {quoted(name)}"
    if name in DEFINITIONS:
        raise ConfigError(f"{where}: this name is built in.", hint="Choose another name.")
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{where}: this cannot be a name.",
            hint="Use up to 40 small letters, digits, - and _.",
        )
    hint = (
        "A definition has title, numerator, denominator, source and, if wanted, cutoffs and "
        "epsilon."
    )
    try:
        with reading("a definition", where, error=ConfigError, hint=hint):
            written = _Written.model_validate(table)
    except ConfigError as error:
        if not isinstance(error.__cause__, ValidationError):
            raise
        first = error.__cause__.errors()[0]
        key = f"{visible(str(first['loc'][0])[:_NAME_MOST])}: " if first["loc"] else ""
        why = reason(ValueError(first["msg"].removeprefix("Value error, ")))
        raise ConfigError(f"{where}: {key}{why}.", hint=hint) from error
    return NecrosisDefinition(name=name, **written.model_dump())


def user_definitions_path() -> Path:
    """Return the path of the user's own necrosis definitions; there may be no file."""
    from platformdirs import user_config_dir

    return Path(user_config_dir("napari-fddm", appauthor=False)) / DEFINITIONS_FILE


def find_definitions(path: Path | None) -> tuple[NecrosisDefinition, ...]:
    """Read the definitions of a file, or else of the user's own file if there is one.

    Parameters
    ----------
    path : Path or None
        A file to read instead of the user's own.

    Raises
    ------
    ConfigError
        If the file cannot be read or a definition in it is wrong.
    """
    wanted = path or user_definitions_path()
    if path is None and not wanted.is_file():
        return ()
    found = read_definitions(wanted)
    if path is not None and not found:
        raise ConfigError(
            f"{visible(path)} holds no definition.", hint="Check that it is the right file."
        )
    return found
