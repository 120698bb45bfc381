"""Audio-Visual Event Localization via Recursive Fusion by Joint Co-Attention (Duan et al., WACV 2021)."""

import lazy_loader

import avpipeline  # noqa: F401  it silences TensorFlow's startup messages

# The names are listed in __init__.pyi and imported on first use, so that a command starts without TensorFlow.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
