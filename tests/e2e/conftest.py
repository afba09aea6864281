"""Screenshots for the site: only the tests that take them."""

from __future__ import annotations

import inspect
import os
import re
from typing import TYPE_CHECKING

from scripts.tidy_pictures import shown_pictures

if TYPE_CHECKING:
    import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With ``FDDM_SCREENSHOTS=docs/images``, leave out tests whose pictures no page shows."""
    if os.environ.get("FDDM_SCREENSHOTS") != "docs/images":
        return
    wanted = {path.stem for path in shown_pictures()}

    def takes_one(item: pytest.Item) -> bool:
        text = inspect.getsource(item.function)
        return not wanted.isdisjoint(re.findall(r'screenshot\("([^"]+)"', text))

    dull = [item for item in items if not takes_one(item)]
    config.hook.pytest_deselected(items=dull)
    items[:] = [item for item in items if item not in dull]
