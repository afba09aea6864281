"""The training loop of both stages: steps, checkpoints, the log of a run."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
