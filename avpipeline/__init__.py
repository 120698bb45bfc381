"""Shared pipeline of the five systems: media in, features, batches, metrics and results out.

Data flows one way: media -> audio/backbones -> extract -> records -> datasets -> batches -> a paper's model
-> metrics -> runs -> published. This package imports no paper.
"""

import os

from avpipeline._version import __version__

# TensorFlow logs facts about its build at every start; what truly goes wrong reaches Python as an exception.
# Read when TensorFlow is imported, so set before.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

__all__ = ["__version__"]
