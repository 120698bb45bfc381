"""Speed of cross-modality localization: AVE's test split, all windows of all videos."""

import numpy as np

from ave.match.networks import build_avdln
from ave.match.search import DIRECTIONS, exact_match
from avfusion_benchmarks.measuring import seconds_per_call

VIDEOS = 402


def evaluation(seconds: float) -> dict[str, float]:
    """Distances for AVE's 402 test videos from features in memory, and the search in both directions."""
    random = np.random.default_rng(0)
    lengths = random.integers(2, 10, VIDEOS)
    starts = [random.integers(0, 11 - length) for length in lengths]
    events = np.stack([np.arange(10) - start for start in starts])
    events = ((events >= 0) & (events < lengths[:, None])).astype(np.float32)
    inputs = {name: random.random((VIDEOS, 10, size), np.float32) for name, size in (("audio", 128), ("visual", 512))}
    model = build_avdln()

    def evaluate():
        distances = model.predict(inputs, batch_size=64, verbose=0)
        return [exact_match(events, distances, direction) for direction in DIRECTIONS]

    taken = seconds_per_call(evaluate, seconds)
    return {"videos/s": VIDEOS / taken, "seconds a split": taken}
