"""Multi-level Attention Fusion Network for Audio-visual Event Recognition (Brousmiche et al., 2021)."""

import lazy_loader

import avpipeline  # noqa: F401  it silences TensorFlow's startup messages

# The names are listed in __init__.pyi and imported on first use, so that a command starts without TensorFlow.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
