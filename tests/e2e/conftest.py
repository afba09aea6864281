"""Screenshots for the site: only the tests that take some."""

from __future__ import annotations

import inspect
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With ``FDDM_SCREENSHOTS``, leave out the tests in whose text no picture is taken."""
    if "FDDM_SCREENSHOTS" not in os.environ:
        return
    dull = [item for item in items if "screenshot(" not in inspect.getsource(item.function)]
    config.hook.pytest_deselected(items=dull)
    items[:] = [item for item in items if item not in dull]
