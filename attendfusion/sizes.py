"""The size of a network without building it, from the shapes of the weights of two narrow builds.

Every dimension of every weight is a * width + b: the width itself, half of it, several concatenated, or independent of
it. Two narrow models give a and b of each dimension, and so the exact shapes at any width; the 416 million parameters
of the largest network never take up memory.
"""

import dataclasses
import functools
import math

from attendfusion.config import ModelConfig, model_config
from attendfusion.models import video_classifier

# Multiples of 8: attention has half the width, and one of multi-head attention's heads an eighth.
_NARROW = (8, 16)


def count_parameters(name: str, preset: str = "paper", **overrides) -> int:
    """Exact number of parameters of `build_model(name, preset, **overrides)`."""
    return sum(map(math.prod, weight_shapes(model_config(name, preset, **overrides)).values()))


def weight_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Path of each weight -> its shape in a network of this configuration.

    Raises:
      ValueError: the width is odd and the attention's size, half of it, is not given.
    """
    if config.width % 2 and config.attention_units is None:
        raise ValueError(f"the width {config.width} is odd, and attention has half of it; name attention_units")
    first, second = (_shapes(dataclasses.replace(config, width=width)) for width in _NARROW)
    low, high = _NARROW

    def at_width(at_low: int, at_high: int) -> int:
        return at_low + (at_high - at_low) * (config.width - low) // (high - low)

    return {path: tuple(map(at_width, shape, second[path])) for path, shape in first.items()}


@functools.lru_cache(maxsize=64)
def _shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    return {weight.path: tuple(weight.shape) for weight in video_classifier(config, "narrow").weights}
