"""What a model says of ten seconds of a file, and which time steps its layers pool."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from eventlayers.config import SECONDS, ModelConfig


@dataclasses.dataclass(frozen=True)
class Window:
    """A model's output for ten seconds of a file, without the time steps beyond the file's end.

    Attributes:
      start, seconds: position and length; shorter at the end of a file.
      scores: O, `(heads, classes)`.
      onsets: time steps at which a sound begins.
      correspondence: S of Eq. 2, one value per time step; None for a model with one stream, as is `localization`.
      chosen: layer -> the time steps that it pools, sorted; empty for a model with one stream.
      localization: alpha, `(time steps, height, width)`.
    """

    start: int
    seconds: int
    scores: np.ndarray
    onsets: np.ndarray
    correspondence: np.ndarray | None = None
    chosen: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    localization: np.ndarray | None = None

    @classmethod
    def of(cls, found: Mapping[str, np.ndarray], config: ModelConfig, start: int, seconds: int) -> Window:
        """The window of what a model and its backbones found, `eventlayers.predict.Predictor.look`."""
        from eventlayers.layers import InstantEventLayer, correspondence, sound_localization

        count = config.num_moments
        own = round(count * seconds / SECONDS)
        onsets = np.unique(found["onsets"][found["onset_mask"] > 0].astype(int))
        window = cls(start, seconds, found["scores"], onsets[onsets < own])
        if len(config.modalities) == 1:
            return window
        both = found["visual"][np.newaxis], found["audio"][np.newaxis]
        chosen = {
            "continuous": np.arange(count),
            "instant": np.sort(np.asarray(InstantEventLayer(config.top_k, config.instant).time_steps(*both))[0]),
            "onset": onsets if len(onsets) else np.arange(count),
        }
        return dataclasses.replace(
            window,
            correspondence=np.asarray(correspondence(*both, config.instant))[0, :own],
            chosen={layer: steps[steps < own] for layer, steps in chosen.items()},
            localization=sound_localization(found["maps"], found["audio"])[:own],
        )
