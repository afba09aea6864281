"""Makes every RGB image layer a slide: looks at it in a thread, serves its pixels to a run."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import QObject, Signal

from napari_fddm.core.errors import ConfigError, FddmError
from napari_fddm.plugin.foreign import Found, LayerImage, engine_mpp, examine, placed
from napari_fddm.plugin.layers.corrected import METADATA
from napari_fddm.plugin.layers.viewport import bare
from napari_fddm.plugin.plumbing.connections import Connections
from napari_fddm.plugin.state.placement import Placement

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_fddm.plugin.document.session import Session
    from napari_fddm.plugin.state.window_state import SlideInfo
    from napari_fddm.slides.base import PyramidSlide
    from napari_fddm.slides.pixel_server import PixelServer
    from napari_fddm.slides.served import PixelSource

ROLE = "image"
JOIN_SECONDS = 5.0


@dataclass
class _Known:
    """What is known of a layer; nothing yet while it is looked at."""

    layer: Layer
    found: Found | None = None
    refusal: str = ""


class ForeignImages(QObject):
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

    def source(self, info: SlideInfo) -> tuple[str | PixelSource, float | None]:
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

    def pixels_of(self, info: SlideInfo) -> PyramidSlide | None:
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


def _serves(known: _Known, info: SlideInfo) -> bool:
    found = known.found
    return (
        found is not None and found.slide is not None and found.info.fingerprint == info.fingerprint
    )
