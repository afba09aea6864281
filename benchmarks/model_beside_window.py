"""Where can the model run beside a napari window? Tries four places and prints a table.

    python benchmarks/model_beside_window.py

Needs a screen; under Xvfb: ``xvfb-run -a python benchmarks/model_beside_window.py``.
Each place is tried in a process of its own, because some of them end in a
segmentation fault. "Longest gap" is how long the window's event loop stood still.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time

PLACES = {
    "main": "in the main thread, imported after the window",
    "thread": "in a thread, imported after the window",
    "thread-imported-first": "in a thread, imported before the window",
    "process": "in a process of its own",
}
WORK = """
import torch, timm, peft
from diffusers import UNet2DModel
model = timm.create_model("vit_small_patch14_dinov2.lvd142m", pretrained=False, num_classes=0,
                          img_size=224).eval()
with torch.inference_mode():
    for _ in range(4):
        model(torch.zeros(8, 3, 224, 224))
"""


def main() -> None:
    if len(sys.argv) > 1:
        try_place(sys.argv[1])
        return
    print(f"{'where the model runs':<46} {'exit code':>9} {'longest gap':>12}")
    for place, title in PLACES.items():
        done = subprocess.run(
            [sys.executable, "-W", "ignore", __file__, place],
            capture_output=True,
            text=True,
            check=False,
        )
        gap = next((w for w in done.stdout.split("\n") if w.startswith("gap ")), "gap –")[4:]
        print(f"{title:<46} {done.returncode:>9} {gap:>12}", flush=True)


def try_place(place: str) -> None:
    if place == "thread-imported-first":
        exec(WORK)  # noqa: S102 - our own text, shared by all places
    import napari
    import numpy as np
    from qtpy.QtCore import QTimer
    from qtpy.QtWidgets import QApplication

    viewer = napari.Viewer(show=True)
    viewer.add_image(np.zeros((512, 512, 3), np.uint8))
    app = QApplication.instance()
    settle = time.monotonic() + 1
    while time.monotonic() < settle:
        app.processEvents()
    beats = [time.perf_counter()]
    timer = QTimer()
    timer.timeout.connect(lambda: beats.append(time.perf_counter()))
    timer.start(5)
    if place == "process":
        process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", WORK])
        while process.poll() is None:
            app.processEvents()
    elif place == "main":
        exec(WORK)  # noqa: S102
    else:
        thread = threading.Thread(target=exec, args=(WORK, {}))
        thread.start()
        while thread.is_alive():
            app.processEvents()
    beats.append(time.perf_counter())
    gaps = [b - a for a, b in itertools.pairwise(beats)]
    print(f"gap {1000 * max(gaps):.0f} ms", flush=True)
    viewer.close()


if __name__ == "__main__":
    main()
