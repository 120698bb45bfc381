"""Pictures: timelines, attention over frames, training curves, confusion matrices, overlays on videos."""

from avpipeline import names_on_first_use

__getattr__, __dir__, __all__ = names_on_first_use(__name__, __file__)
