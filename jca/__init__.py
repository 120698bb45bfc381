"""Audio-Visual Event Localization via Recursive Fusion by Joint Co-Attention (Duan et al., WACV 2021)."""

from avpipeline import names_on_first_use

__getattr__, __dir__, __all__ = names_on_first_use(__name__, __file__)
