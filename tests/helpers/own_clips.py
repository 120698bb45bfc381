"""Splits in memory as folders of one's own clips: a clips.csv, and shards of the features."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from avpipeline.datasets.ave import BACKGROUND
from avpipeline.datasets.base import Split
from avpipeline.features.shards import ClipRecord, ShardWriter
from avpipeline.features.store import Manifest, write_manifest


def write_own_clips(folder: Path, splits: Mapping[str, Split], lengths: Mapping[str, int] | None = None) -> Path:
    """Writes what `--dataset csv --data FOLDER` reads; labels are of whole videos or, with three axes, of segments.

    Args:
      lengths: seconds of the clips that are shorter than the others.
    """
    one = next(iter(splits.values()))
    of_segments = one.labels.ndim == 3
    lines = ["clip,start,end,label,split" if of_segments else "clip,label,split"]
    for name, split in splits.items():
        for clip, labels in zip(split.ids, split.labels, strict=True):
            if of_segments:
                given = [split.class_names[index] for index in labels.argmax(-1)]
                lines.append(f"{clip},,,{BACKGROUND},{name}")
                lines += [f"{clip},{s},{s + 1},{label},{name}" for s, label in enumerate(given) if label != BACKGROUND]
            else:
                lines.append(f"{clip},{split.class_names[labels.argmax()]},{name}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "clips.csv").write_text("\n".join(lines) + "\n")
    write_features(folder, splits, lengths)
    return folder


def write_features(folder: Path, splits: Mapping[str, Split], lengths: Mapping[str, int] | None = None) -> None:
    """Shards of the features alone, beside lists that name the same clips."""
    one = next(iter(splits.values()))
    seconds = next(iter(one.inputs.values())).shape[0]
    ids = tuple(clip for split in splits.values() for clip in split.ids)
    manifest = Manifest(one.features, seconds, ids, complete=True)
    write_manifest(folder, manifest)
    with ShardWriter(folder, manifest.shapes, 100) as writer:
        for split in splits.values():
            rows = {name: split.inputs[name].read(np.arange(len(split))) for name in split.features}
            for row, clip in enumerate(split.ids):
                length = (lengths or {}).get(clip, seconds)
                record = ClipRecord(clip, f"{clip}.mp4", 1, True, True, length, length)
                writer.add(record, {name: values[row] for name, values in rows.items()})
