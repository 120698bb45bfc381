"""Checks of folders of UCF51, Kinetics, VGGSound, LLP and your own clips."""

from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from avpipeline.datasets import REGISTERED, kinetics, llp, own_clips, read_video_list, ucf51, vggsound
from avpipeline.datasets.ave import BACKGROUND
from avpipeline.datasets.base import SPLITS
from avpipeline.datasets.checks.findings import Finding, expect, missing, note, ok, tried, wrong
from avpipeline.datasets.checks.lists import feature_findings, overlap_findings, require_folder, span, split_findings
from avpipeline.datasets.listings import read_table, some
from avpipeline.datasets.video_lists import VideoList
from avpipeline.errors import InputError
from avpipeline.features.store import MANIFEST, FeatureShards
from avpipeline.files import parse_json, read_bytes, reading

# The published datasets.
UCF51_LISTED = {1: (4901, 1944), 2: (4930, 1915), 3: (4945, 1900)}
UCF51_ANNOTATION = "ucf51_annotation.json"
NUMBERED_SIZES = {"train": 14799, "test": 2597}
VGGSOUND_TEST = 15446
# A note is made if the most frequent class has more than this many training clips for each clip of the rarest.
_UNBALANCED = 3
LLP_SIZES = {"train": 10000, "val": 649, "test": 1200}


def check_ucf51(folder: Path, *, values: bool = True) -> Iterator[Finding]:
    """Findings about the three official splits of UCF51.

    Args:
      values: read the features completely.

    Raises:
      InputError: the folder does not exist, or holds none of the dataset's files. (Likewise in the other checks.)
    """
    names = [f"{kind}list0{split}.txt" for split in ucf51.OFFICIAL_SPLITS for kind in ("train", "test")]
    require_folder(folder, [ucf51.CLASS_INDEX, *names], "UCF51's")
    index = folder / ucf51.CLASS_INDEX
    purpose = "UCF101's numbers of the classes; no list can be read without it"
    classes = yield from tried(index, purpose, ucf51.read_class_index, index)
    if classes is None:
        return
    yield ok(index.name, f"{len(classes)} classes of UCF101")
    lists: list[VideoList] = []
    listed: dict[str, str] = {}
    for split in ucf51.OFFICIAL_SPLITS:
        groups = {}
        for kind, size in zip(("train", "test"), UCF51_LISTED[split], strict=True):
            path = folder / f"{kind}list0{split}.txt"
            purpose = f"{'training' if kind == 'train' else 'test'} videos of split {split}"
            rows = yield from tried(path, purpose, ucf51.read_ucf51_list, folder, kind, split)
            if rows is None:
                continue
            listed |= {row["id"]: row["class"] for row in rows}
            groups[path.name] = [row["group"] for row in rows]
            text = f"{len(rows)} videos of the {len(ucf51.CLASS_NAMES)} classes"
            yield expect(path.name, len(rows) == size, text, f"{size} videos")
            for name in ("train", "val") if kind == "train" else ("test",):
                lists.append(ucf51.read_ucf51(folder, name, split))
                yield ok(path.name, f"{lists[-1].dataset}, {name}: {len(lists[-1])} videos that are annotated")
        yield from overlap_findings(groups, "groups of clips")
    yield from _annotation_findings(folder, listed)
    yield from feature_findings(folder, lists, values)


def _annotation_findings(folder: Path, listed: dict[str, str]) -> Iterator[Finding]:
    """Compares the lists, id -> class, with the annotation of the dataset's videos."""
    yield ok("lists", f"{len(listed)} videos in all")
    known = [clip for clip in ucf51.NOT_ANNOTATED if clip in listed]
    if known:
        yield note("lists", f"{len(known)} of them have no annotation and are left out: {', '.join(known)}")
    path = folder / UCF51_ANNOTATION
    purpose = "nothing: a count of the annotated videos, compared with the lists"
    annotated = yield from tried(path, purpose, _read_annotation, path)
    if annotated is None:
        return
    expected = listed.keys() - set(ucf51.NOT_ANNOTATED)
    different = sorted(annotated.keys() ^ expected)
    same = f"{len(annotated)} annotated videos"
    yield expect(path.name, not different, same, f"the {len(expected)} of the lists ({some(different)} differ)")
    # Both here and in the lists, one class is spelled in two ways.
    others = [clip for clip, name in annotated.items() if listed.get(clip, name).lower() != name.lower()]
    if others:
        yield wrong(path.name, f"{len(others)} videos have another class than in the lists ({some(others)})")


def _read_annotation(path: Path) -> dict[str, str]:
    """Clip -> the name of its class."""
    with reading(path, "cannot be parsed", "remove it, it is not needed"):
        entries = parse_json(read_bytes(path))["database"].items()
        return {clip: str(entry["label"]) for clip, entry in entries}


def check_kinetics_sounds(folder: Path, *, values: bool = True) -> Iterator[Finding]:
    """Findings about the lists of Kinetics-Sounds in the folder: of 31 classes, and of 32 and 34."""
    numbered_files = list(kinetics.NUMBERED_FILES.values())
    files = [kinetics.LABEL_MAP, *(name for names in kinetics.LIST_FILES.values() for name in names), *numbered_files]
    require_folder(folder, files, "Kinetics-Sounds'")
    lists: list[VideoList] = []
    if any((folder / name).exists() for name in numbered_files):
        lists += yield from _numbered_findings(folder)
    else:
        yield missing(", ".join(numbered_files), "the list of 31 classes")
    paths = {name: kinetics.list_path(folder, name) for name in SPLITS}
    if any(path.exists() for path in paths.values()):
        for classes in (32, 34):
            read = partial(kinetics.read_kinetics_sounds, folder, classes=classes)
            lists += yield from split_findings(read, paths)
    else:
        yield missing(", ".join(path.name for path in paths.values()), "the lists of 32 and 34 classes")
    yield from _label_map_findings(folder)
    yield from feature_findings(folder, lists, values)


def _numbered_findings(folder: Path) -> Generator[Finding, None, list[VideoList]]:
    sounds = partial(kinetics.read_kinetics_sounds, folder, classes=kinetics.NUMBERED_CLASSES)
    train, test = (folder / kinetics.NUMBERED_FILES[name] for name in ("train", "test"))
    lists = yield from split_findings(sounds, {"train": train, "val": train, "test": test})
    for path, names in ((train, ("train", "val")), (test, ("test",))):
        size = NUMBERED_SIZES[names[0]]
        count = sum(len(videos) for videos in lists if videos.name in names)
        if count:
            yield expect(path.name, count == size, f"{count} videos", f"{size} videos")
    yield from _youtube_findings(lists)
    if (folder / kinetics.NUMBERED_NAMES).exists():
        yield ok(kinetics.NUMBERED_NAMES, f"names of the {kinetics.NUMBERED_CLASSES} classes")
    else:
        yield missing(kinetics.NUMBERED_NAMES, "names of the 31 classes; without it they are called by their numbers")
    return lists


def _youtube_findings(lists: list[VideoList]) -> Iterator[Finding]:
    """Whether clips of one YouTube video, whose id begins their names, are in several splits."""
    return overlap_findings({videos.name: [clip[:11] for clip in videos.ids] for videos in lists}, "YouTube videos")


def _label_map_findings(folder: Path) -> Iterator[Finding]:
    path = folder / kinetics.LABEL_MAP
    purpose = "Kinetics-400's class names; the sorted names in train.csv are used instead"
    names = yield from tried(path, purpose, kinetics.kinetics_classes, folder)
    if names is None:
        return
    yield expect(path.name, list(names) == sorted(names), f"{len(names)} class names, sorted", "in sorted order")
    unknown = sorted({*kinetics.SOUNDS_CLASSES[32]} - {*names})
    yield expect(path.name, not unknown, "has the 32 classes of Kinetics-Sounds", f"{some(unknown)} too,")
    lacking = sorted({*kinetics.SOUNDS_CLASSES[34]} - {*names} - {*kinetics.RENAMED})
    renamed = ", ".join(f"{old} = {new}" for old, new in kinetics.RENAMED.items())
    yield note(path.name, f"of the 34 original classes {len(lacking)} are not there ({', '.join(lacking)}); {renamed}")


def check_kinetics400(folder: Path, *, values: bool = True) -> Iterator[Finding]:
    """Findings about Kinetics-400's official lists."""
    files = [name for names in kinetics.LIST_FILES.values() for name in names]
    require_folder(folder, [*files, kinetics.LABEL_MAP], "Kinetics-400's")
    paths = {name: kinetics.list_path(folder, name) for name in SPLITS}
    lists = yield from split_findings(partial(kinetics.read_kinetics400, folder), paths)
    yield from _youtube_findings(lists)
    yield from _label_map_findings(folder)
    yield from feature_findings(folder, lists, values)


def check_vggsound(folder: Path, *, values: bool = True) -> Iterator[Finding]:
    """Findings about VGGSound's official lists."""
    full, test, statistics = (folder / name for name in (vggsound.FULL_LIST, vggsound.TEST_LIST, vggsound.STATISTICS))
    require_folder(folder, [full.name, test.name, statistics.name], "VGGSound's")
    if not full.exists():
        yield missing(full.name, "the training split")
    files = dict.fromkeys(SPLITS, full) if full.exists() else {"test": test}
    lists = yield from split_findings(partial(vggsound.read_vggsound, folder), files)
    for videos in lists:
        text, expected = f"{videos.name}: {len(videos.class_names)} classes", f"{vggsound.CLASSES} classes"
        yield expect("classes", len(videos.class_names) == vggsound.CLASSES, text, expected)
        if videos.name == "test":
            yield expect("test", len(videos) == VGGSOUND_TEST, f"{len(videos)} videos", f"{VGGSOUND_TEST} videos")
    yield from overlap_findings({videos.name: videos.ids for videos in lists}, "clips")
    yield from _vggsound_comparisons(full, test, statistics)
    yield from feature_findings(folder, lists, values)


def _vggsound_comparisons(full: Path, test: Path, statistics: Path) -> Iterator[Finding]:
    """Compares the full list with the test list and with the authors' counts, where present."""
    try:
        rows = vggsound.read_full_list(full) if full.exists() else []
        if rows and test.exists():
            listed = {vggsound.clip_name(row): row["label"] for row in vggsound.read_test_list(test)}
            own = {vggsound.clip_name(row): row["label"] for row in rows if row["split"] == "test"}
            differing = sorted(dict(listed.items() ^ own.items()))
            text = f"{len(listed)} videos, those of {full.name}"
            yield expect(test.name, not differing, text, f"{some(differing)} differ; the same videos")
        if statistics.exists():
            counts = {row["label"]: row.number("videos") for row in vggsound.read_statistics(statistics)}
            yield ok(statistics.name, f"{len(counts)} classes, {sum(counts.values()):.0f} videos")
            if rows and sum(counts.values()) != len(rows):
                yield note(statistics.name, f"{full.name} lists {len(rows)} videos")
    except InputError as error:
        yield wrong("lists", str(error))


def check_llp(folder: Path, *, values: bool = True) -> Iterator[Finding]:
    """Findings about LLP's official lists."""
    files = {name: folder / file for name, file in llp.LIST_FILES.items()}
    require_folder(folder, [path.name for path in files.values()], "LLP's")
    lists = yield from split_findings(partial(llp.read_llp, folder), files, LLP_SIZES)
    for videos in lists:
        labels = videos.labels.sum(1)
        yield ok(videos.name, f"{labels.mean():.2f} labels a video, {(labels > 1).sum()} videos have several")
    tested = [videos for videos in lists if videos.name != "train"]
    if len(tested) == 2:
        mean = np.concatenate([videos.labels.sum(1) for videos in tested]).mean()
        yield ok("val and test", f"{mean:.2f} labels a video")
    yield from _youtube_findings(lists)
    for videos in lists:
        path = files[videos.name]
        for row in read_table(path, llp.COLUMNS, heading=True, delimiter="\t"):
            labels = row["event_labels"].split(",")
            if len(set(labels)) < len(labels):
                yield note(path.name, f"line {row.line} gives {row['filename']} a label twice ({row['event_labels']})")
    known = {clip for videos in tested for clip in videos.ids}
    for modality, name in llp.EVENT_FILES.items():
        yield from _event_findings(folder / name, modality, known)
    yield from feature_findings(folder, lists, values)


def _event_findings(path: Path, modality: str, known: set[str]) -> Iterator[Finding]:
    purpose = f"timed {modality} events of validation and test videos; nothing here trains on them"
    events = yield from tried(path, purpose, llp.read_llp_events, path.parent, modality)
    if events is None:
        return
    yield ok(path.name, f"{len(events)} {modality} events in {len({event.clip for event in events})} videos")
    empty = sum(event.onset == event.offset for event in events)
    reversed_ = sum(event.onset > event.offset for event in events)
    if empty or reversed_:
        yield note(path.name, f"{empty} events have no length, {reversed_} end before they begin; left as published")
    unknown = sorted({event.clip for event in events} - known)
    if unknown and known:
        yield note(path.name, f"{len(unknown)} videos are not in the lists ({some(unknown)})")


def check_csv(folder: Path, *, values: bool = True) -> Iterator[Finding]:
    """Findings about your own clips.csv."""
    require_folder(folder, [own_clips.CLIPS], "your own dataset's")
    paths = dict.fromkeys(SPLITS, folder / own_clips.CLIPS)
    lists = yield from split_findings(partial(own_clips.read_clips_csv, folder), paths)
    if lists:
        counts = sum(videos.labels.sum(0) for videos in lists)
        for number, name in enumerate(lists[0].class_names):
            yield ok("class", f"{number:2d} {name}: {counts[number]:.0f} videos")
        yield from _balance_findings(lists)
        yield from _time_findings(folder)
    shards = yield from feature_findings(folder, lists, values)
    if shards:
        yield from _stream_findings(shards)


def registered_checks() -> dict[str, Callable[..., Iterator[Finding]]]:
    """The checks of datasets that a user's own file registered: dataset -> function as above."""
    return {name: partial(check_registered, name) for name in REGISTERED}


def check_registered(dataset: str, folder: Path, *, values: bool = True) -> Iterator[Finding]:
    """Findings about a registered dataset."""
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; give the dataset's.")
    read = partial(read_video_list, dataset, data_dir=folder)
    lists = yield from split_findings(read, dict.fromkeys(SPLITS, folder))
    yield from _balance_findings(lists, dataset)
    yield from feature_findings(folder, lists, values)


def _balance_findings(lists: list[VideoList], about: str = own_clips.CLIPS) -> Iterator[Finding]:
    """Whether some class has far more training clips than another."""
    for videos in lists:
        counts = videos.labels.sum(0)
        if videos.name == "train" and counts.max() > _UNBALANCED * counts.min():
            most, least = videos.class_names[counts.argmax()], videos.class_names[counts.argmin()]
            text = f"'{most}' has {counts.max():.0f} training clips and '{least}' {counts.min():.0f}"
            yield note(about, f"{text}: a model may always answer '{most}'")


def _time_findings(folder: Path) -> Iterator[Finding]:
    """How many labels clips have, how many of them have times (which segment models need), and how long events are."""
    clips, _ = own_clips.read_own(folder)
    labels = [{event.label for event in clip.events} for clip in clips]
    several, none = sum(len(names) > 1 for names in labels), sum(not names for names in labels)
    yield ok(own_clips.CLIPS, f"{several} clips with several labels, {none} of {BACKGROUND} alone")
    events = [event for clip in clips for event in clip.events]
    lengths = [event.end - event.start for event in events if event.start is not None and event.end is not None]
    if not lengths:
        yield note(own_clips.CLIPS, "labels whole clips; models that label seconds need the columns start and end")
        return
    yield ok(own_clips.CLIPS, f"{len(lengths)} events of {span(min(lengths), max(lengths))} s")
    if len(lengths) < len(events):
        text = f"{len(events) - len(lengths)} labels have no start and end: such clips serve weak training alone"
        yield note(own_clips.CLIPS, text)


def _stream_findings(shards: FeatureShards) -> Iterator[Finding]:
    """How long the clips are, and which lack sound or frames."""
    seconds = np.maximum(shards.audio_seconds, shards.video_seconds)
    length = span(seconds.min(), seconds.max(), ".1f")
    yield ok(MANIFEST, f"clips of {length} s, features of {shards.seconds} s")
    ids = np.array(shards.ids)
    short = ids[seconds < shards.seconds - 0.5]
    if short.size:
        yield note(MANIFEST, f"{short.size} clips are shorter ({some(list(short))}); their rest is silent and black")
    for stream, there in (("sound", shards.has_audio), ("frames", shards.has_video)):
        if not there.all():
            lacking = list(ids[~there])
            yield note(MANIFEST, f"{len(lacking)} clips have no {stream} ({some(lacking)}); those features are zeros")
