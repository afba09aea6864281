"""Makes every RGB image layer a slide: looks at it in a thread, serves its pixels to a run."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QObject, Signal

from napari_fddm.core.errors import ConfigError, FddmError, SlideError
from napari_fddm.plugin.layers.common import METADATA
from napari_fddm.plugin.layers.slides import slide_info
from napari_fddm.plugin.layers.viewport import bare
from napari_fddm.plugin.plumbing.connections import Connections
from napari_fddm.plugin.state.placement import SOURCE, Placement
from napari_fddm.slides.mpp import MAX_USER_DEVIATION, resolve_mpp
from napari_fddm.slides.opening import open_slide

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_fddm.plugin.document.session import Session
    from napari_fddm.plugin.state.window_state import ShownSlide
    from napari_fddm.slides.base import PyramidSlide
    from napari_fddm.slides.pixel_server import PixelServer
    from napari_fddm.slides.served import PixelSource

ROLE = "image"
JOIN_SECONDS = 5.0
PROBE = 64
"""Edge of the patch in which a layer is compared with its file, px."""
SAME_PICTURE = 24.0
"""Mean difference, gray levels, up to which they show the same: color management and JPEG
decoders differ by less, an image that was filtered or replaced by more."""


@dataclass
class _Known:
    """What is known of a layer; nothing yet while it is looked at."""

    layer: Layer
    found: Found | None = None
    refusal: str = ""


class ForeignImagesController(QObject):
    """Keeps the slides behind image layers that our reader did not make.

    Parameters
    ----------
    session : Session
        Its viewer's layers are looked at.
    parent : QObject
        The owner.

    Signals
    -------
    changed
        A layer became a slide, was refused, or lies elsewhere now.
    lost : str
        The layer whose pixels a run reads is gone; in words.
    """

    changed = Signal()
    lost = Signal(str)
    _examined = Signal(object, object)

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._known: dict[int, _Known] = {}
        self._connections: dict[int, Connections] = {}
        self._threads: list[threading.Thread] = []
        self._server: tuple[PixelServer, _Known] | None = None
        session.on_close(self.close)
        session.connections.add(self._examined, self._on_examined)
        session.connections.add(
            session.viewer.layers.events.removed, self._on_viewer_layers_removed
        )

    def look_at(self, layer: Layer | None) -> None:
        """Begin to find out whether a layer is a slide, unless that is known or it is ours."""
        layer = bare(layer)
        if not isinstance(layer, Image) or id(layer) in self._known or METADATA in layer.metadata:
            return
        known = self._known[id(layer)] = _Known(layer)
        links = self._connections[id(layer)] = Connections()
        for name in ("scale", "translate", "rotate", "shear", "affine", "units"):
            links.add(getattr(layer.events, name), self._on_layer_moved)
        links.add(layer.events.data, self._on_layer_data)
        try:
            Placement.of_layer(layer)
            image = LayerImage.of_layer(layer)
        except FddmError as error:
            known.refusal = str(error)
            return
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(
            target=self._examine, args=(known, image), name="fddm-look", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def refusal(self, layer: Layer | None) -> str:
        """Return why a layer cannot be analyzed; empty if it can or is not looked at."""
        known = self._known.get(id(bare(layer)))
        return known.refusal if known is not None else ""

    def source(self, info: ShownSlide) -> tuple[str | PixelSource, float | None]:
        """Return what the engine opens a slide from, and the pixel size to tell it.

        Pixels of a layer are served until `release`.
        """
        served = next((k for k in self._known.values() if _serves(k, info)), None)
        if info.uri or served is None or served.found is None or served.found.slide is None:
            return info.uri, engine_mpp(info)
        self.release()
        from napari_fddm.slides.pixel_server import PixelServer  # here: a window opens faster

        server = PixelServer(served.found.slide)
        self._server = (server, served)
        return server.source(info.mpp, info.mpp_source), None

    def pixels_of(self, info: ShownSlide) -> PyramidSlide | None:
        """Return the open slide over a layer's own arrays; None where a file has the pixels.

        It does not know the size of its pixels.
        """
        known = next((k for k in self._known.values() if _serves(k, info)), None)
        return known.found.slide if known is not None and known.found is not None else None

    def release(self) -> None:
        """Serve no pixels any more: the run is over."""
        if self._server is not None:
            server, self._server = self._server[0], None
            server.close()

    def close(self) -> None:
        """Forget the layers, end the threads."""
        self.blockSignals(True)
        self.release()
        for thread in self._threads:
            thread.join(JOIN_SECONDS)
        for known in list(self._known.values()):
            self._forget(known)

    def _examine(self, known: _Known, image: LayerImage) -> None:
        try:
            self._examined.emit(known, examine(image))
        except FddmError as error:
            self._examined.emit(known, error)
        except OSError as error:
            self._examined.emit(known, ConfigError(f"{image.name} cannot be read: {error}."))

    def _on_examined(self, known: _Known, answer: Found | FddmError) -> None:
        if self._known.get(id(known.layer)) is not known:
            return  # late: the layer went, or has other pixels by now
        if isinstance(answer, Found):
            known.found = answer
        else:
            known.refusal = str(answer)
        self._place(known)
        self.changed.emit()

    def _place(self, known: _Known) -> None:
        """Write the slide into the layer's metadata, where everybody looks for it."""
        known.layer.metadata.pop(METADATA, None)
        if known.found is None:
            return
        known.refusal = ""
        try:
            info = placed(known.found.info, Placement.of_layer(known.layer))
        except ConfigError as error:
            known.refusal = str(error)
            return
        known.layer.metadata[METADATA] = {"role": ROLE, "info": info}

    def _on_layer_moved(self, event: Any) -> None:
        known = self._known.get(id(bare(event.source)))
        if known is None:
            return
        if known.found is None:  # it was refused, perhaps for where it lay
            self._forget(known)
            self.look_at(event.source)
        else:
            self._place(known)
        self.changed.emit()

    def _on_layer_data(self, event: Any) -> None:
        known = self._known.get(id(bare(event.source)))
        if known is not None:
            self._forget(known)
            self.changed.emit()

    def _on_viewer_layers_removed(self, event: Any) -> None:
        known = self._known.get(id(bare(event.value)))
        if known is None:
            return
        if self._server is not None and self._server[1] is known:
            from napari_fddm.slides.served import KEPT

            reason = f"The layer {known.layer.name} was deleted while it was analyzed."
            self._server[0].stop(reason)
            self.lost.emit(f"{reason} {KEPT}")
        self._forget(known)

    def _forget(self, known: _Known) -> None:
        self._connections.pop(id(known.layer)).close()
        self._known.pop(id(known.layer), None)
        known.layer.metadata.pop(METADATA, None)


def _serves(known: _Known, info: ShownSlide) -> bool:
    found = known.found
    return (
        found is not None and found.slide is not None and found.info.fingerprint == info.fingerprint
    )


@dataclass(frozen=True, slots=True)
class LayerImage:
    """What is read off an image layer on the main thread, to be examined in another.

    Attributes
    ----------
    name : str
        The layer's.
    path : str or None
        What a reader opened to make it.
    levels : tuple of arrays
        Finest first.
    rgb : bool
        Whether the last axis is colors.
    """

    name: str
    path: str | None
    levels: tuple[Any, ...]
    rgb: bool

    @classmethod
    def of_layer(cls, layer: Image) -> LayerImage:
        """Take what an examination needs; no pixel is read."""
        levels = tuple(layer.data) if layer.multiscale else (layer.data,)
        return cls(layer.name, layer.source.path, levels, bool(layer.rgb))

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the finest level."""
        sizes = self.levels[0].shape
        y, x = sizes[-3:-1] if self.rgb else sizes[-2:]
        return int(y), int(x)


@dataclass(frozen=True, slots=True)
class Found:
    """A layer that can be analyzed.

    Attributes
    ----------
    info : ShownSlide
        As far as it does not depend on where the layer lies.
    slide : PyramidSlide or None
        Over the layer's own arrays; None where the engine opens the file.
    """

    info: ShownSlide
    slide: PyramidSlide | None = None


def examine(image: LayerImage) -> Found:
    """Find out how a layer can be analyzed; reads some pixels, so not for the main thread.

    Raises
    ------
    SlideError
        If it is no RGB image, and no part of a file that is.
    """
    from napari_fddm.slides.array import ArraySlide  # here: a window opens faster
    from napari_fddm.slides.served import BACKEND

    by_path = _by_path(image)
    if by_path is not None:
        return Found(by_path)
    sizes = tuple(image.levels[0].shape)
    if not image.rgb:
        raise SlideError(
            f"The layer {image.name} is grayscale, the model reads stained slides in color.",
            hint="Open the slide with napari-fddm, or add the three channels as one RGB layer.",
        )
    if len(sizes) != 3:
        raise SlideError(
            f"The layer {image.name} is a stack of shape {sizes}.",
            hint="Add the plane to analyze as an RGB layer of its own.",
        )
    slide = ArraySlide(image.levels, name=image.name, backend=BACKEND, axes=("y", "x", "c"))
    return Found(replace(slide_info(slide, ""), warnings=()), slide)


def placed(info: ShownSlide, placement: Placement) -> ShownSlide:
    """Return what is known of a slide whose layer lies there.

    A file that says its pixel size is believed before the layer; where the two differ,
    a warning says so.
    """
    claim = placement.claim
    info = replace(info, placement=placement)
    if info.mpp is None:
        mpp, notes = resolve_mpp((claim,), name=info.name)
        text = tuple(note for note in notes if claim is not None)
        warnings = (*info.warnings, *text)
        return replace(info, mpp=mpp.value, mpp_source=mpp.source, warnings=warnings)
    if claim is not None:
        low, high = sorted((info.mpp, claim.y))
        if high > low * MAX_USER_DEVIATION:
            note = f"the layer has {claim.y:.3g} µm per pixel, the file {info.mpp:.3g}."
            return replace(info, warnings=(*info.warnings, note))
    return info


def engine_mpp(info: ShownSlide) -> float | None:
    """Return the pixel size that only the layer knows and the engine must be told."""
    return info.mpp if info.mpp_source == SOURCE else None


def _by_path(image: LayerImage) -> ShownSlide | None:
    """Return what a layer's file says, if that can be opened and is the same picture."""
    from napari_fddm.slides.base import PyramidSlide

    if not image.path or not Path(image.path).exists():
        return None
    try:
        slide = open_slide(image.path)
    except FddmError:
        return None  # a file that only its own reader understands
    with slide:
        if not isinstance(slide, PyramidSlide):
            return None
        if slide.levels[0].shape != image.shape or not _same_picture(slide, image):
            return None
        return slide_info(slide, image.path)


def _same_picture(slide: PyramidSlide, image: LayerImage) -> bool:
    """Compare a patch of the middle; of a single channel only that the file has colors."""
    y, x = (max(0, n // 2 - PROBE // 2) for n in image.shape)
    height, width = (min(PROBE, n) for n in image.shape)
    try:
        theirs = slide.read_level(0, y, x, height, width).astype(np.int16)
    except SlideError:
        return False
    if not image.rgb:
        level = slide.levels[-1]
        whole = slide.read_level(level.index, 0, 0, *level.shape)
        return bool((whole != whole[..., :1]).any())
    ours = np.asarray(image.levels[0][..., y : y + height, x : x + width, :3])
    return ours.dtype == np.uint8 and bool(np.abs(theirs - ours).mean() <= SAME_PICTURE)
