"""Prediction of ten seconds and of ten minutes of video, beside bare decoding and the networks alone."""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av

from avfusion_benchmarks.extraction import CLIP_SECONDS, write_example
from avpipeline import media
from avpipeline.media.ahead import ahead

# Seconds of the long file, and of one that is quick to measure.
LONG, SHORT = 600, 60


def features(seconds: float, *, names: str) -> dict[str, float]:
    """The features that ave, jca and mafnet predict a file from; `names` e.g. "small_audio,small_visual"."""
    from avpipeline.features.registry import build_extractor, clip_features, clip_format

    extractors = {extractor.modality: extractor for extractor in (build_extractor(name) for name in names.split(","))}

    def whole(path: Path, length: int) -> Iterator:
        windows = [(start, CLIP_SECONDS) for start in range(0, length, CLIP_SECONDS)]
        clips = media.read_windows(path, windows, **clip_format(extractors.values()))
        return (clip_features(extractors, clip) for clip in clips)

    def network(path: Path) -> Callable:
        clip = media.read_clip(path, seconds=CLIP_SECONDS, **clip_format(extractors.values()))
        return lambda: clip_features(extractors, clip)

    return _measured(seconds, whole, network)


def time_steps(seconds: float, *, backbones: str) -> dict[str, float]:
    """The features that the event layers' predict command takes from a file, with the maps, and the onsets."""
    from eventlayers.clips import read_clips
    from eventlayers.time_steps import time_step_backbones

    networks = time_step_backbones(backbones, "none")

    def whole(path: Path, length: int) -> Iterator:
        starts = range(0, length, CLIP_SECONDS)
        clips = ahead(read_clips(path, networks.frames, "librosa", starts))
        return (networks.of_clip(clip) for clip, _ in clips)

    def network(path: Path) -> Callable:
        ((clip, _),) = read_clips(path, networks.frames, "librosa")
        return lambda: networks.of_clip(clip)

    return _measured(seconds, whole, network)


def _measured(seconds: float, whole: Callable[[Path, int], Iterator], network: Callable) -> dict[str, float]:
    """Seconds of each part; their sum is what prediction would take without overlap and without decoding twice."""
    length = LONG if seconds >= 1 else SHORT
    with tempfile.TemporaryDirectory() as folder:
        short, long = Path(folder) / "short.mp4", Path(folder) / "long.mp4"
        write_example(short)
        write_repeated(short, long, length // CLIP_SECONDS)
        run = network(short)
        run()
        ten = _duration(lambda: _drained(whole(short, CLIP_SECONDS)))
        alone = _duration(run) * length / CLIP_SECONDS
        decoding = _duration(lambda: decode(long))
        taken = _duration(lambda: _drained(whole(long, length)))
    return {
        f"{CLIP_SECONDS} s": ten,
        f"{length} s": taken,
        "bare decoding": decoding,
        "networks alone": alone,
        "ratio to the sum": taken / (decoding + alone),
    }


def _duration(function: Callable) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def _drained(found: Iterator) -> None:
    for _ in found:
        pass


def decode(path: Path) -> int:
    """Decodes both streams once and keeps nothing; returns the number of frames and pieces of sound."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        return sum(1 for _ in container.decode(video=0, audio=0))


def write_repeated(source: Path, path: Path, times: int) -> None:
    """Writes a file that shows another one `times` times, without encoding it again; its packets are copied."""
    with av.open(str(source)) as given, av.open(str(path), "w") as made:
        streams = {stream.index: made.add_stream_from_template(stream) for stream in given.streams}
        last: dict[int, int] = {}
        for turn in range(times):
            given.seek(0)
            for packet in given.demux():
                index = packet.stream.index
                shift = round(turn * CLIP_SECONDS / packet.time_base)
                # The encoder's delay makes the sound begin before 0, which would be twice at the seams.
                if packet.dts is None or packet.dts + shift <= last.get(index, packet.dts + shift - 1):
                    continue
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                last[index] = packet.dts
                packet.stream = streams[index]
                made.mux(packet)
