"""Lets image layers of other readers be analyzed: examines them and serves their pixels.

The pixels of a layer without a file that the engine can open are sent to the engine while a
run needs them.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import QObject, Signal

from napari_fddm.core.errors import ConfigError, FddmError
from napari_fddm.plugin.layers.common import METADATA
from napari_fddm.plugin.layers.foreign_images import (
    AnalyzableImage,
    LayerImage,
    engine_mpp,
    examine,
    with_placement,
)
from napari_fddm.plugin.layers.viewport import bare
from napari_fddm.plugin.plumbing import Connections
from napari_fddm.plugin.state.placement import Placement

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_fddm.plugin.document import Session
    from napari_fddm.plugin.state.window_state import ShownSlide
    from napari_fddm.slides import PyramidSlide
    from napari_fddm.slides.pixel_server import PixelServer
    from napari_fddm.slides.served import PixelSource

ROLE = "image"
JOIN_SECONDS = 5.0


@dataclass
class _Result:
    """The result for a layer: ``image`` or ``refusal``, or neither while it is examined."""

    layer: Layer
    image: AnalyzableImage | None = None
    refusal: str = ""


class ForeignImagesController(QObject):
    """Examines image layers that this plugin did not add, and keeps the slides behind them.

    Parameters
    ----------
    session : Session
        Its viewer's layers are examined.
    parent : QObject
        The owner.

    Signals
    -------
    changed
        A layer was examined, or its placement or data changed.
    lost : str
        The layer whose pixels a run reads was deleted; a message for the user.
    """

    changed = Signal()
    lost = Signal(str)
    _examined = Signal(object, object)

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._results: dict[int, _Result] = {}
        self._connections: dict[int, Connections] = {}
        self._threads: list[threading.Thread] = []
        self._server: tuple[PixelServer, _Result] | None = None
        session.on_close(self.close)
        session.connections.add(self._examined, self._on_examined)
        session.connections.add(
            session.viewer.layers.events.removed, self._on_viewer_layers_removed
        )

    def examine(self, layer: Layer | None) -> None:
        """Start examining a layer, unless it was examined or this plugin has added it."""
        layer = bare(layer)
        if not isinstance(layer, Image) or id(layer) in self._results or METADATA in layer.metadata:
            return
        result = self._results[id(layer)] = _Result(layer)
        links = self._connections[id(layer)] = Connections()
        for name in ("scale", "translate", "rotate", "shear", "affine", "units"):
            links.add(getattr(layer.events, name), self._on_layer_moved)
        links.add(layer.events.data, self._on_layer_data)
        try:
            Placement.of_layer(layer)
            image = LayerImage.of_layer(layer)
        except FddmError as error:
            result.refusal = str(error)
            return
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(
            target=self._examine, args=(result, image), name="fddm-examine", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def refusal(self, layer: Layer | None) -> str:
        """Return why a layer cannot be analyzed; empty if it can, or was not examined."""
        result = self._results.get(id(bare(layer)))
        return result.refusal if result is not None else ""

    def source(self, info: ShownSlide) -> tuple[str | PixelSource, float | None]:
        """Return what the engine opens a slide from, and the pixel size to pass to it.

        The pixels of a layer are served until `release` is called.
        """
        served = next((r for r in self._results.values() if _serves(r, info)), None)
        if info.uri or served is None or served.image is None or served.image.slide is None:
            return info.uri, engine_mpp(info)
        self.release()
        from napari_fddm.slides.pixel_server import PixelServer  # late: a window opens faster

        server = PixelServer(served.image.slide)
        self._server = (server, served)
        return server.source(info.mpp, info.mpp_source), None

    def pixels_of(self, info: ShownSlide) -> PyramidSlide | None:
        """Return the open slide over a layer's own arrays; None if a file has the pixels.

        That slide has no pixel size.
        """
        result = next((r for r in self._results.values() if _serves(r, info)), None)
        return result.image.slide if result is not None and result.image is not None else None

    def release(self) -> None:
        """Stop serving pixels, after a run."""
        if self._server is not None:
            server, self._server = self._server[0], None
            server.close()

    def close(self) -> None:
        """End the threads and drop all results."""
        self.blockSignals(True)
        self.release()
        for thread in self._threads:
            thread.join(JOIN_SECONDS)
        for result in list(self._results.values()):
            self._forget(result)

    def _examine(self, result: _Result, image: LayerImage) -> None:
        try:
            self._examined.emit(result, examine(image))
        except FddmError as error:
            self._examined.emit(result, error)
        except OSError as error:
            self._examined.emit(result, ConfigError(f"{image.name} cannot be read: {error}."))

    def _on_examined(self, result: _Result, answer: AnalyzableImage | FddmError) -> None:
        if self._results.get(id(result.layer)) is not result:
            return  # too late: the layer was removed, or its data changed
        if isinstance(answer, AnalyzableImage):
            result.image = answer
        else:
            result.refusal = str(answer)
        self._place(result)
        self.changed.emit()

    def _place(self, result: _Result) -> None:
        """Store the slide in the layer's metadata, where the rest of the plugin finds it."""
        result.layer.metadata.pop(METADATA, None)
        if result.image is None:
            return
        result.refusal = ""
        try:
            info = with_placement(result.image.info, Placement.of_layer(result.layer))
        except ConfigError as error:
            result.refusal = str(error)
            return
        result.layer.metadata[METADATA] = {"role": ROLE, "info": info}

    def _on_layer_moved(self, event: Any) -> None:
        result = self._results.get(id(bare(event.source)))
        if result is None:
            return
        if result.image is None:  # it may have been refused for its placement
            self._forget(result)
            self.examine(event.source)
        else:
            self._place(result)
        self.changed.emit()

    def _on_layer_data(self, event: Any) -> None:
        result = self._results.get(id(bare(event.source)))
        if result is not None:
            self._forget(result)
            self.changed.emit()

    def _on_viewer_layers_removed(self, event: Any) -> None:
        result = self._results.get(id(bare(event.value)))
        if result is None:
            return
        if self._server is not None and self._server[1] is result:
            from napari_fddm.slides.served import KEPT

            reason = f"The layer {result.layer.name} was deleted while it was analyzed."
            self._server[0].stop(reason)
            self.lost.emit(f"{reason} {KEPT}")
        self._forget(result)

    def _forget(self, result: _Result) -> None:
        self._connections.pop(id(result.layer)).close()
        self._results.pop(id(result.layer), None)
        result.layer.metadata.pop(METADATA, None)


def _serves(result: _Result, info: ShownSlide) -> bool:
    image = result.image
    return (
        image is not None and image.slide is not None and image.info.fingerprint == info.fingerprint
    )
