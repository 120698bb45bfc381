"""Metrics: accuracy of segments and videos (`segments`), multi-label ranking of videos (`ranking`)."""

from avpipeline import names_on_first_use

__getattr__, __dir__, __all__ = names_on_first_use(__name__, __file__)
