"""Event-Specific Audio-Visual Fusion Layers (Senocak et al., WACV 2023)."""

from avpipeline import names_on_first_use

__getattr__, __dir__, __all__ = names_on_first_use(__name__, __file__)
