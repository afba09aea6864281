"""The user's own necrosis definitions, for the panel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils.notifications import show_error

from napari_fddm.core.errors import ConfigError
from napari_fddm.pipeline.user_files import find_definitions

if TYPE_CHECKING:
    from napari_fddm.core.necrosis import NecrosisDefinition


def own_definitions() -> tuple[NecrosisDefinition, ...]:
    """Return the definitions of the user's file; says what is wrong with it and goes on."""
    try:
        return find_definitions(None)
    except ConfigError as error:
        show_error(str(error))
        return ()
