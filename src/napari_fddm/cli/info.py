"""``napari-fddm info``: prints levels, pixel size and warnings of a slide."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from napari_fddm.core.protocols import Slide


def print_info(name: str, *, mpp: float | None, as_json: bool) -> None:
    """Print the properties of a slide."""
    from napari_fddm.slides import open_slide

    with open_slide(name, mpp=mpp) as slide:
        facts = slide_facts(slide)
    if as_json:
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    for key, value in facts.items():
        if key == "levels":
            for level in value:
                height, width = level["shape"]
                typer.echo(
                    f"level {level['index']}: {width} × {height} px, 1/{level['downsample']:g}"
                )
        elif key == "size_mm" and value is not None:
            typer.echo(f"size: {value[1]} × {value[0]} mm, width × height")
        elif key == "warnings":
            for warning in value:
                typer.echo(f"warning: {warning}")
        else:
            typer.echo(f"{key}: {value if value is not None else 'unknown'}")


def slide_facts(slide: Slide) -> dict[str, Any]:
    """Return the properties of a slide as JSON values; sizes in mm and µm."""
    height, width = slide.levels[0].shape
    mpp = slide.mpp.value
    return {
        "name": slide.name,
        "backend": slide.backend,
        "mpp": mpp,
        "mpp_source": slide.mpp.source,
        "size_mm": [round(n * mpp / 1000, 3) for n in (height, width)] if mpp else None,
        "fingerprint": slide.fingerprint,
        "levels": [
            {"index": v.index, "shape": list(v.shape), "downsample": v.downsample}
            for v in slide.levels
        ],
        "warnings": list(slide.warnings),
    }
