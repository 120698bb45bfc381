"""Audio-Visual Event Localization in Unconstrained Videos (Tian et al., ECCV 2018)."""

from avpipeline import names_on_first_use

__getattr__, __dir__, __all__ = names_on_first_use(__name__, __file__)
