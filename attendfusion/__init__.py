"""Attend-Fusion: Efficient Audio-Visual Fusion for Video Classification (Awan et al., 2024)."""

from avpipeline import names_on_first_use

__getattr__, __dir__, __all__ = names_on_first_use(__name__, __file__)
