"""``napari-fddm info``: prints levels, pixel size and warnings of a slide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_fddm.cli.printing import say, say_json

if TYPE_CHECKING:
    from napari_fddm.core.protocols import Slide


def print_info(name: str, *, mpp: float | None, as_json: bool) -> None:
    """Print the properties of a slide."""
    from napari_fddm.slides import open_slide

    with open_slide(name, mpp=mpp) as slide:
        facts = slide_facts(slide)
    if as_json:
        say_json(facts)
        return
    for key, value in facts.items():
        if key == "levels":
            for level in value:
                height, width = level["shape"]
                say(f"level {level['index']}: {width} × {height} px, 1/{level['downsample']:g}")
        elif key == "size_mm" and value is not None:
            say(f"size: {value[1]} × {value[0]} mm, width × height")
        elif key == "warnings":
            for warning in value:
                say(f"warning: {warning}")
        else:
            say(f"{key}: {value if value is not None else 'unknown'}")


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
