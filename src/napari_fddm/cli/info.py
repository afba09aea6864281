"""``napari-fddm info``: prints levels, pixel size and warnings of a slide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_fddm.cli.printing import say, say_json
from napari_fddm.core.outside.text import visible, visible_line

if TYPE_CHECKING:
    from napari_fddm.core.protocols import Slide
    from napari_fddm.slides.choosing import SlideImage


def print_info(name: str, *, mpp: float | None, series: int | None, as_json: bool) -> None:
    """Print the properties of a slide."""
    from napari_fddm.slides import open_slide

    with open_slide(name, mpp=mpp, series=series) as slide:
        facts = slide_facts(slide)
    if as_json:
        say_json(facts)
        return
    for key, value in facts.items():
        if key == "levels":
            for level in value:
                height, width = level["shape"]
                say(f"level {level['index']}: {width} × {height} px, 1/{level['downsample']:g}")
        elif key == "images":
            for image in value if len(value) > 1 else ():
                say(_image_line(image))
        elif key == "size_mm" and value is not None:
            say(f"size: {value[1]} × {value[0]} mm, width × height")
        elif key == "warnings":
            for warning in value:
                say(f"warning: {warning}")
        else:
            say(f"{key}: {value if value is not None else 'unknown'}")


def slide_facts(slide: Slide) -> dict[str, Any]:
    """Return the properties of a slide as JSON values; sizes in mm and µm.

    ``images`` lists all images of its file: number, shape, name, whether it is the open one,
    and why it cannot be analyzed (null if it can).
    """
    height, width = slide.levels[0].shape
    mpp = slide.mpp.value
    series: int = getattr(slide, "series", 0)
    images: tuple[SlideImage, ...] = getattr(slide, "images", ())
    return {
        "name": visible(slide.name),
        "backend": slide.backend,
        "mpp": mpp,
        "mpp_source": slide.mpp.source,
        "size_mm": [round(n * mpp / 1000, 3) for n in (height, width)] if mpp else None,
        "fingerprint": slide.fingerprint,
        "levels": [
            {"index": v.index, "shape": list(v.shape), "downsample": v.downsample}
            for v in slide.levels
        ],
        "series": series,
        "images": [
            {
                "series": image.series,
                "shape": list(image.shape),
                "name": visible_line(image.name),
                "open": image.series == series,
                "refusal": visible_line(image.refusal) or None,
            }
            for image in images
        ],
        "warnings": [visible(warning) for warning in slide.warnings],
    }


def _image_line(image: dict[str, Any]) -> str:
    height, width = image["shape"]
    name = f" {image['name']!r}" if image["name"] else ""
    why = "open" if image["open"] else image["refusal"] or "not open"
    return f"series {image['series']}{name}: {width} × {height} px, {why}"
