"""Weights and arrays in other people's files: torch, pickles, TensorFlow 1 and old Keras.

Nothing here executes what a file asks for, and torch is not needed.
"""

from avpipeline.checkpoints.readers import read_keras_h5, read_pickle_arrays, read_tf1
from avpipeline.checkpoints.torch import TorchFile, read_torch

__all__ = ["TorchFile", "read_keras_h5", "read_pickle_arrays", "read_tf1", "read_torch"]
