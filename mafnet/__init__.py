"""Multi-level Attention Fusion Network for Audio-visual Event Recognition (Brousmiche et al., 2021)."""

from avpipeline import names_on_first_use

__getattr__, __dir__, __all__ = names_on_first_use(__name__, __file__)
