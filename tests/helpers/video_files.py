"""Tiny folders in the layout of the official files of the datasets of whole videos, and shards of features."""

import numpy as np

from avpipeline.datasets.ucf51 import CLASS_NAMES
from avpipeline.features.info import FeatureInfo
from avpipeline.features.shards import ClipRecord, ShardWriter, shard_paths
from avpipeline.features.store import Manifest, write_manifest

SECONDS = 4
FEATURES = {
    "audio": FeatureInfo("vggish", "embedding_relu", "none", "ab" * 32, (3,)),
    "visual": FeatureInfo("vgg19", "pool5", "none", "cd" * 32, (2, 2, 2)),
}
# UCF101's 101 classes: the 51 and fifty that are none of them.
UCF101 = (*CLASS_NAMES, *(f"Silent{chr(65 + number // 26)}{chr(65 + number % 26)}" for number in range(50)))


def write_shards(folder, ids, *, lengths=None):
    """Shards of features: clip r holds r + 1 everywhere; `lengths` gives some clips' (sound, pictures) in seconds."""
    for shard in shard_paths(folder):
        shard.unlink()
    manifest = Manifest(FEATURES, SECONDS, tuple(ids), complete=True)
    write_manifest(folder, manifest)
    with ShardWriter(folder, manifest.shapes, 4) as writer:
        for row, clip in enumerate(ids):
            sound, pictures = (lengths or {}).get(clip, (SECONDS, SECONDS))
            record = ClipRecord(clip, f"{clip}.mp4", 1, sound > 0, pictures > 0, sound, pictures)
            rows = {name: np.full(shape, row + 1, np.float32) for name, shape in manifest.shapes.items()}
            writer.add(record, rows)
    return folder


def write_lines(folder, name, lines, end="\n"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes("".join(line + end for line in lines).encode())
    return folder


def clip_of(label, group, number=1, file_label=None):
    return f"{label}/v_{file_label or label}_g{group:02d}_c{number:02d}.avi"


def write_ucf51(folder, *, split=1):
    """Ten groups of two clips of Archery and of HandstandPushups for training, one group each for testing."""
    write_lines(folder, "classInd.txt", [f"{number} {name}" for number, name in enumerate(UCF101, 1)])
    train = [
        f"{clip_of(label, group, number)} {UCF101.index(label) + 1}"
        for label in ("Archery", "HandstandPushups", "SilentAA")
        for group in range(8, 18)
        for number in (1, 2)
    ]
    test = [
        clip_of(*clip)
        for clip in (
            ("Archery", 1),
            ("Archery", 1, 2),
            ("HandstandPushups", 2, 1, "HandStandPushups"),
            ("SilentAA", 1),
            ("PlayingCello", 19, 6),
        )
    ]
    write_lines(folder, f"trainlist0{split}.txt", train)
    write_lines(folder, f"testlist0{split}.txt", test)
    return folder


def remove(folder, *names):
    """Takes files away from a folder."""
    for name in names:
        (folder / name).unlink()


def spoil_line(name, line, text):
    """A function of a folder that replaces a line (from 1) of one of its files; None takes the file away."""

    def spoil(folder):
        if line is None:
            (folder / name).unlink()
            return
        data = (folder / name).read_bytes().splitlines()
        data[line - 1] = text if isinstance(text, bytes) else text.encode()
        (folder / name).write_bytes(b"\n".join(data) + b"\n")

    return spoil
