"""MAFnet's models at tiny sizes, and batches for them."""

import numpy as np

import mafnet

SIZES = {
    "units": 6,
    "filters": 5,
    "mcb_channels": 16,
    "cluster_units": 3,
    "dmrn_attention_units": 8,
    "dmrn_lstm_units": 4,
    "num_classes": 4,
    "num_segments": 3,
}


def small_sizes(name: str = "mafnet", preset: str = "code") -> dict:
    """Overrides that make a model tiny; vectors stay vectors and maps maps."""
    config = mafnet.model_config(name, preset)
    visual = (7,) if len(config.visual_shape) == 1 else (2, 3, 7)
    audio = (5,) if len(config.audio_shape) == 1 else (3, 2, 5)
    return {**SIZES, "visual_shape": visual, "audio_shape": audio}


def small_model(name: str = "mafnet", preset: str = "code", **overrides):
    return mafnet.build_model(name, preset, **{**small_sizes(name, preset), **overrides})


def small_batch(model, videos: int = 4, seed: int = 0) -> tuple[dict, np.ndarray]:
    """Inputs and one-hot labels, `(videos, classes)`."""
    rng = np.random.default_rng(seed)
    inputs = {name: rng.random((videos, *x.shape[1:]), "float32") for name, x in model.input.items()}
    classes = model.output.shape[-1]
    return inputs, np.eye(classes, dtype="float32")[rng.integers(classes, size=videos)]
