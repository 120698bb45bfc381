"""Shared pipeline of the five systems: media in, features, batches, metrics and results out.

Data flows one way: media -> audio/backbones -> extract -> records -> datasets -> batches -> a paper's model
-> metrics -> runs -> published. This package imports no paper.
"""

from avpipeline._version import __version__

__all__ = ["__version__"]
