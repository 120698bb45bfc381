"""Metrics: accuracy of segments and videos (`segments`), multi-label ranking of videos (`ranking`)."""

import lazy_loader

# The names are listed in __init__.pyi and imported on first use, so that a command starts without TensorFlow.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
