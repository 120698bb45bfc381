"""What the papers share: media, features, datasets, training, results and prediction.

Data flows one way: media -> features -> datasets -> a paper's model -> training -> results -> predict. This package
imports no paper.
"""

import os

from avpipeline._version import __version__

# TensorFlow logs facts about its build at every start; real errors reach Python as exceptions. The variable is read
# when TensorFlow is imported, so it is set first.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

__all__ = ["__version__"]
