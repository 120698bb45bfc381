"""Speed of feature extraction as multiples of real time: of each part, and of a complete run."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from avfusion_benchmarks.measuring import seconds_per_call
from avpipeline.extract import extract
from avpipeline.features.registry import Extractor, build_extractor
from avpipeline.features.shards import ClipRecord, ShardWriter
from avpipeline.media import SAMPLE_RATE, read_frames, read_waveform, write_clip

CLIP_SECONDS = 10
CLIP_SIZE = (240, 320)
CLIP_FRAME_RATE = 25
# Clips of a complete run for each second of measuring; two cores process about four with the small networks.
_CLIPS_A_SECOND, _FEWEST_CLIPS = 4, 4


def extractor(seconds: float, *, name: str) -> dict[str, float]:
    """Decoding of a clip, preprocessing (log-mel spectrogram, or scaling of pixels), the network, and writing.

    Weights are random, which are as fast as pretrained ones. One thread decodes; "all" is one part after the other.
    """
    made = build_extractor(name, "none")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_example(path)
        taken = {"decode": seconds_per_call(lambda: _decode(path, made), seconds) / CLIP_SECONDS}
        second = _decode(path, made)[:1].astype(np.float32)
        taken["write"] = seconds_per_call(_writer(Path(folder) / "out", made), seconds) / CLIP_SECONDS
    batch = tf.constant(second.reshape(-1, *second.shape[2:]) if made.modality == "visual" else second)
    prepare = tf.function(made.network.prepare, jit_compile=False)
    network = tf.function(lambda inputs: made.network.model(inputs, training=False), jit_compile=False)
    prepared = prepare(batch)
    taken["prepare"] = seconds_per_call(lambda: prepare(batch), seconds)
    taken["network"] = seconds_per_call(lambda: network(prepared), seconds)
    return {
        "decode": 1 / taken["decode"],
        "log-mel or scaling": 1 / taken["prepare"],
        "network": 1 / taken["network"],
        "write": 1 / taken["write"],
        "all": 1 / sum(taken.values()),
    }


def whole_run(seconds: float, *, features: str) -> dict[str, float]:
    """`python -m avpipeline.extract` on several clips: threads decode while the networks run and features are written.

    "decode" is the speed of one thread, "audio" and "visual" that of the networks with preprocessing, "write" that of
    the shards, "all" that of the complete run.
    """
    with tempfile.TemporaryDirectory() as folder:
        clips = Path(folder) / "clips"
        write_example(clips / "clip0.mp4")
        for index in range(1, max(_FEWEST_CLIPS, round(_CLIPS_A_SECOND * seconds))):
            shutil.copy(clips / "clip0.mp4", clips / f"clip{index}.mp4")
        return extract(clips, Path(folder) / "out", features=features, weights="none").timing.speeds()


def _writer(out: Path, made: Extractor) -> Callable:
    """A function that writes the features of one more clip into a folder of shards."""
    shape = (CLIP_SECONDS, *made.info.shape)
    out.mkdir()
    writer = ShardWriter(out, {made.modality: shape}, shard_size=256)
    features = {made.modality: np.random.default_rng(0).normal(size=shape).astype(np.float32)}
    return lambda: writer.add(ClipRecord("clip", "clip.mp4", 1, True, True, CLIP_SECONDS, CLIP_SECONDS), features)


def _decode(path: Path, made: Extractor) -> np.ndarray:
    """The extractor's input from a clip, second by second: `(seconds, ...)`."""
    if made.modality == "audio":
        return read_waveform(path, seconds=CLIP_SECONDS).reshape(CLIP_SECONDS, SAMPLE_RATE)
    frames = read_frames(path, frame_rate=made.frame_rate, size=made.frame_size, seconds=CLIP_SECONDS)
    return frames.reshape(CLIP_SECONDS, made.frame_rate, *frames.shape[1:])


def write_example(path: Path) -> None:
    """Writes a clip as large as AVE's: drifting texture with some noise, and a chord."""
    random = np.random.default_rng(0)
    height, width = CLIP_SIZE
    texture = random.integers(40, 216, size=(height // 8, width // 8 + CLIP_SECONDS * CLIP_FRAME_RATE, 3))
    texture = texture.repeat(8, axis=0).repeat(8, axis=1)

    def frames():
        for index in range(CLIP_SECONDS * CLIP_FRAME_RATE):
            frame = texture[:, 2 * index : 2 * index + width]
            yield (frame + random.integers(-8, 9, size=frame.shape)).astype(np.uint8)[None]

    time = np.arange(CLIP_SECONDS * SAMPLE_RATE) / SAMPLE_RATE
    sound = sum(np.sin(2 * np.pi * pitch * time) for pitch in (220, 277, 330)) / 6
    write_clip(path, frames(), sound.astype(np.float32), frame_rate=CLIP_FRAME_RATE)
