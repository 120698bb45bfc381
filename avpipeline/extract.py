"""Features of media files: a folder, a list or one file in, shards of features (or AVE's HDF5 files) out.

    python -m avpipeline.extract CLIPS OUT --features vgg19,vggish

Threads decode files while the networks work on earlier ones, or a Ray cluster does both (--engine ray); on a cluster
without Ray, each job takes a part (--part 1/8 to 8/8). A run that was killed resumes where it stopped: what is in the
shards is neither lost nor computed again. docs/scale.md has commands and costs.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from avpipeline.cli import Count, MaybeCount, run
from avpipeline.cli.cluster import EngineName, require_engine
from avpipeline.cli.progress import ProgressBar
from avpipeline.datasets.ave_h5 import write_ave_h5
from avpipeline.errors import InputError
from avpipeline.features.extraction import AudioReader, Timing, leave_gpus, made_here, made_there, store
from avpipeline.features.info import FeatureInfo
from avpipeline.features.parts import Part, part_folders, part_of
from avpipeline.features.remote import Upload, list_files, to_urls
from avpipeline.features.shards import ClipRecord, ShardWriter, shard_paths
from avpipeline.features.store import MANIFEST, FeatureShards, Manifest, read_manifest, write_manifest
from avpipeline.files import locked, make_folder, remove_partial, write_json
from avpipeline.media import by_id
from avpipeline.media.remote import RemoteFile, is_url

if TYPE_CHECKING:
    from avpipeline.features.registry import Extractor

FAILED_FILE = "failed.json"

_MOST_WORKERS = 8


@dataclasses.dataclass(frozen=True)
class ExtractSummary:
    """What a run of `extract` did.

    Attributes:
      out: the folder, or its URL as text.
      features: modality -> what its features are.
      seconds: length of each clip.
      extracted, reused: number of clips processed by this run, and of clips that were there before.
      failed: file -> the sentence that says why it could not be used.
      notes: sentences about files that are damaged and were used as far as they go.
      timing: where the time went.
    """

    out: Path | str
    features: Mapping[str, FeatureInfo]
    seconds: int
    extracted: int
    reused: int
    failed: Mapping[str, str]
    notes: tuple[str, ...]
    timing: Timing

    def text(self) -> str:
        """The summary for people."""
        reused = f" ({self.reused} of them were there already)" if self.reused else ""
        lines = [f"{self.out}: {self.extracted + self.reused} clips of {self.seconds} s{reused}"]
        for modality, info in self.features.items():
            weights = f"weights {info.weights}, sha256 {info.sha256[:12]}"
            lines.append(f"  {modality}: {info.label} {info.shape}, {weights}")
        if self.extracted:
            speeds = ", ".join(f"{part} {speed:.3g}x" for part, speed in self.timing.speeds().items())
            media, spent = self.timing.media["all"], self.timing.spent["all"]
            lines.append(f"  {spent:.1f} s for {media:.1f} s of media; multiples of real time: {speeds}")
        lines += [f"  note: {note}" for note in self.notes]
        if self.failed:
            lines.append(f"{len(self.failed)} could not be used (also in {self.out}/{FAILED_FILE}):")
            lines += [f"  {reason}" for reason in self.failed.values()]
        return "\n".join(lines)


@to_urls
def extract(
    source,
    out,
    *,
    features: Sequence[str] | str,
    weights: str | Path = "default",
    weights_dir=None,
    seconds: int = 10,
    format: Literal["shards", "h5"] = "shards",
    shard_size: int = 256,
    workers: int | None = None,
    audio_reader: AudioReader = "pyav",
    engine: EngineName = "local",
    address: str | None = None,
    part: str | None = None,
) -> ExtractSummary:
    """Extracts features of every media file of `source` into the folder `out`.

    The shards and `features.json` are read by `features.store.FeatureShards`; ids are the files' names without
    extension. A missing stream gives features of zeros and a flag. A file that cannot be used is left out and
    listed in `failed.json`; the next run tries it again.

    Args:
      source: folder, list of files (.txt) or one media file; folder and file may be URLs, and so may a list's lines.
      out: folder, or the URL of one (extra `[remote]`).
      features: extractors, e.g. `["vgg19", "vggish:embedding"]`, or these joined by commas; one for each name under
        which models read features (`features.registry.input_name`).
      weights: "default", "none" or, for a single extractor, a file; see `features.registry.build_extractor`.
      weights_dir: folder in which pretrained weights are looked for first.
      seconds: taken from the start of each file, filled up where it is shorter.
      format: "shards", HDF5 files of `shard_size` clips each; "h5" also writes `audio_feature.h5`,
        `visual_feature.h5`, ... as AVE's authors share them.
      shard_size: clips a shard.
      workers: number of decoding threads; None takes one per core, at most 8. With the engine "ray" and no GPU: number
        of processes that hold the networks; None takes one per machine. Each GPU gets one in any case.
      audio_reader: "tfio" decodes audio files by tensorflow-io inside tf.data, for audio features only.
      engine: "local", or "ray" for a cluster: the shards are the same.
      address: of the Ray cluster, "auto" or host:port; None takes this machine alone.
      part: "I/N", the I-th of N parts of the files, for a cluster's job number I; once all have run, `FeatureShards`
        reads `out` as if one run had made it.

    Raises:
      InputError: bad settings, nothing to read, another process or other features in `out`, a full disk, no cluster.
    """
    _require_usable(source, out, format, audio_reader, engine, address, part)
    if min(seconds, shard_size, 1 if workers is None else workers) < 1:
        raise InputError(f"{out}: seconds, shard size and workers must be at least 1; correct them.")
    clips = by_id(list_files(source))
    division, clips = part_of(part, clips) if part else (None, clips)
    new_writer = out.writer if isinstance(out, Upload) else ShardWriter
    out = _folder(Path(out), division)
    if engine == "ray":
        leave_gpus()
        # In which the machines of the cluster look for weights first.
        folder = weights_dir if weights in ("default", "none") else Path(weights).parent
        folder = None if folder is None else Path(folder).absolute()
        make = functools.partial(made_there, workers=workers, weights_dir=folder, address=address)
    else:
        threads = workers or min(os.cpu_count() or 1, _MOST_WORKERS)
        make = functools.partial(made_here, workers=threads, audio_reader=audio_reader)
    extractors = _extractors(features, weights, weights_dir)
    if audio_reader == "tfio":
        if any(extractor.modality == "visual" for extractor in extractors.values()):
            raise InputError("audio reader tfio: decodes sound only; name audio features only, or take 'pyav'.")
        from avpipeline.media.tfio import tensorflow_io

        tensorflow_io()
    infos = {modality: extractor.info for modality, extractor in extractors.items()}
    manifest = Manifest(infos, seconds, part=division)
    out = make_folder(out)
    with locked(out / "extraction", wait=False):
        remove_partial(out)
        before = _agreed(out, manifest)
        with new_writer(out, manifest.shapes, shard_size, before.made_of) as writer:
            reused = len(writer.records)
            todo = _without_finished(out, clips, writer.records)
            there = len(clips) - len(todo)
            with ProgressBar(desc="extracting", total=len(clips), initial=there, unit="clip") as progress:
                failed, notes, timing = store(make(todo, extractors, seconds), writer, progress)
        present = [record.id for record in writer.records]
        _finish(out, dataclasses.replace(before, ids=_ordered(before.ids, clips, present)), failed)
        if format == "h5" and present:
            shards = FeatureShards(out)
            write_ave_h5(out, shards.sources, shards.features, shards.ids)
    return ExtractSummary(out, manifest.features, seconds, len(present) - reused, reused, failed, notes, timing)


def _require_usable(
    source, out, format: str, audio_reader: str, engine: EngineName, address: str | None, part: str | None
) -> None:
    """Raises InputError for settings that do not go together, and for places that no engine can use."""
    require_engine(engine, address)
    if engine == "ray" and audio_reader == "tfio":
        raise InputError("--audio-reader tfio: decodes in this process alone; take --engine local, or 'pyav'.")
    if audio_reader == "tfio" and is_url(source):
        raise InputError(f"{source}: --audio-reader tfio reads files of this machine alone; take 'pyav'.")
    if part and format == "h5":
        raise InputError(f"--part {part}: AVE's HDF5 files hold all clips; take --format shards, or no part.")


def _folder(out: Path, part: Part | None) -> Path:
    """Where a part, or the whole, is written; InputError if `out` holds an extraction that is divided differently."""
    there = part_folders(out)
    if part is None and there:
        raise InputError(
            f"{out}: holds parts of an extraction ({next(iter(there.values())).name}); choose another folder, or add "
            "--part."
        )
    if part is None:
        return out
    if (out / MANIFEST).exists():
        raise InputError(f"{out}: holds a whole extraction; choose another folder, or leave out --part {part}.")
    others = sorted({of for _, of in there} - {part.of})
    if others:
        raise InputError(f"{out}: holds parts of {others[0]}; choose another folder, or one of {others[0]} parts.")
    return out / part.folder


def _extractors(features: Sequence[str] | str, weights: str | Path, weights_dir) -> dict[str, Extractor]:
    """Name under which models read the features -> extractor, audio first."""
    from avpipeline.features.registry import EXTRACTORS, build_extractor, input_name

    features = features.split(",") if isinstance(features, str) else features
    names = [name.strip() for name in features if name.strip()]
    if not names:
        raise InputError(f"features: none are named; choose from {', '.join(EXTRACTORS)}.")
    if weights not in ("default", "none"):
        if Path(weights).is_dir():
            raise InputError(f"{weights}: is a folder; give it as the folder of weights (--weights-dir).")
        if len(names) > 1:
            raise InputError(
                f"{weights}: one weight file cannot serve {' and '.join(names)}; put the files of both into one "
                "folder and give that as the folder of weights (--weights-dir)."
            )
    extractors: dict[str, Extractor] = {}
    for name in names:
        extractor = build_extractor(name, weights, weights_dir=weights_dir)
        other = extractors.setdefault(input_name(extractor), extractor)
        if other is not extractor:
            raise InputError(
                f"{name}: gives {input_name(extractor)} features, as {other.info.label} does; extract each into a "
                "folder of its own."
            )
    different = {"audio": "sound that is resampled in different ways", "visual": "frames of different sizes"}
    for modality, what in different.items():
        formats = [made.clip_format for made in extractors.values() if made.modality == modality]
        if any(each != formats[0] for each in formats):
            raise InputError(f"{', '.join(names)}: take {what}; extract each into a folder of its own.")
    return dict(sorted(extractors.items()))


def _agreed(out: Path, manifest: Manifest) -> Manifest:
    """The manifest in `out`, written there if there is none; InputError if it holds anything but these features."""
    if not (out / MANIFEST).exists():
        if shard_paths(out):
            raise InputError(f"{out}: holds shards but no {MANIFEST} that says of what; choose another folder.")
        write_manifest(out, manifest)
        return manifest
    there = read_manifest(out)
    if there.part != manifest.part:
        raise InputError(
            f"{out}: was made from another list of files, of which it is part {there.part}; give the same files, or "
            "choose another folder."
        )
    differences = [f"clips of {there.seconds} s where {manifest.seconds} s are asked for"]
    if there.seconds == manifest.seconds:
        differences = [
            f"{modality}: {difference}"
            for modality in sorted({*there.features, *manifest.features})
            if (difference := _difference(there.features.get(modality), manifest.features.get(modality)))
        ]
    if differences:
        raise InputError(
            f"{out}: already holds other features ({'; '.join(differences)}); choose another folder or the same "
            "settings."
        )
    return there


def _difference(there: FeatureInfo | None, asked: FeatureInfo | None) -> str | None:
    if there is None or asked is None:
        return "there is none" if there is None else "none is asked for"
    return asked.difference(there)


def _without_finished(out: Path, clips: Mapping[str, Path | RemoteFile], records: Sequence[ClipRecord]):
    """The clips that are still to be done; InputError if a finished one was made from another file of the same name."""
    finished = {record.id: record for record in records}
    for name, path in clips.items():
        if name in finished and _size(path) not in (None, finished[name].file_size):
            raise InputError(
                f"{path}: is not the file that '{name}' in {out} was made from ({finished[name].path}, "
                f"{finished[name].file_size} bytes); choose another folder."
            )
    return {name: path for name, path in clips.items() if name not in finished}


def _size(path: Path | RemoteFile) -> int | None:
    """Bytes of a file; None where that is not known, or it is not there."""
    if isinstance(path, RemoteFile):
        return path.listed_size
    return path.stat().st_size if path.exists() else None


def _ordered(before: Sequence[str], clips: Mapping[str, Path], present: list[str]) -> tuple[str, ...]:
    """Ids in the order of the source; if the folder also has clips of other sources, the earlier clips come first."""
    if clips.keys() >= set(present):
        return tuple(sorted(present, key={name: position for position, name in enumerate(clips)}.get))
    return tuple(dict.fromkeys([*(name for name in before if name in present), *present]))


def _finish(out: Path, manifest: Manifest, failed: Mapping[str, str]) -> None:
    """Writes what the folder holds now, and which files could not be used."""
    if manifest.ids or manifest.part:
        write_manifest(out, dataclasses.replace(manifest, complete=True))
    if failed:
        write_json(out / FAILED_FILE, dict(failed))
    else:
        (out / FAILED_FILE).unlink(missing_ok=True)


@dataclasses.dataclass(frozen=True)
class Settings:
    source: tyro.conf.Positional[str]
    """Folder with media files, a .txt list of them (one path a line), or one file; or a URL (s3://bucket/folder)."""
    out: tyro.conf.Positional[str]
    """Folder for the features, or its URL; an interrupted run into it goes on."""
    features: str = "vgg19,vggish"
    """Extractors joined by commas: yamnet, efficientnet_lite0, vggish, vgg19, densenet201, c3d, ...; another output
    than the default is named behind a colon, e.g. vggish:embedding_pca, or vggish:pool4, which models read as
    audio_map."""
    weights: str = "default"
    """default: the pretrained ones; none: seeded random; or, for a single extractor, a weight file."""
    weights_dir: Path | None = None
    """Folder in which pretrained weights are looked for first; then $AVPIPELINE_WEIGHTS and the cache folder."""
    format: Literal["shards", "h5"] = "shards"
    """shards: HDF5 files of many clips each and features.json; h5 writes audio_feature.h5, visual_feature.h5, ... as
    the authors of AVE share them, too."""
    seconds: Count = 10
    """Taken from the start of each file, one feature a second."""
    shard_size: Count = 256
    """Clips a shard, which is one file."""
    workers: MaybeCount = None
    """Decoding threads; as many as there are cores, at most 8, when not given. With --engine ray and no GPU: processes
    that hold the networks; one a machine when not given."""
    audio_reader: AudioReader = "pyav"
    """pyav decodes every media file; tfio only .wav, .flac, .mp3 and Ogg Vorbis, for audio features, by tensorflow-io
    inside tf.data."""
    engine: EngineName = "local"
    """local: this process; ray: a Ray cluster, on which CPUs decode and GPUs, where there are any, run the networks."""
    address: str | None = None
    """Address of the Ray cluster: auto, or HOST:PORT. [default: this machine alone]"""
    part: str | None = None
    """I/N: the I-th of N parts of the files, e.g. --part $SLURM_ARRAY_TASK_ID/8; what all parts left in OUT is read as
    one."""


def main(settings: Settings) -> int:
    """Extracts audio and visual features of media files. Exit status 0, or 2 if a file is damaged or cannot be used.

    Examples:
      python -m avpipeline.extract VIDEOS FEATURES --features vgg19,vggish
      python -m avpipeline.extract clips.txt FEATURES --format h5
    """
    summary = extract(**vars(settings))
    print(summary.text())
    # A part may be empty, where there are fewer files than parts.
    is_empty = not summary.extracted + summary.reused and not settings.part
    return 2 if summary.failed or summary.notes or is_empty else 0


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m avpipeline.extract"))
