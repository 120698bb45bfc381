"""Checks of a folder of AVE's files: what is there, what is missing, what is wrong."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from avpipeline.datasets import ave
from avpipeline.datasets.ave import ANNOTATIONS, SEGMENTS, TABLES, Annotation
from avpipeline.datasets.ave_h5 import FEATURE_FILES, H5Source
from avpipeline.datasets.base import SPLITS
from avpipeline.datasets.checks.findings import Finding, expect, failed, missing, note, ok, tried, value_findings, wrong
from avpipeline.datasets.checks.lists import require_folder
from avpipeline.datasets.listings import some
from avpipeline.errors import InputError
from avpipeline.features.store import MANIFEST, has_features

# The published dataset.
VIDEOS = 4143
CLASSES = 28
SPLIT_SIZES = {"train": 3339, "val": 402, "test": 402}
NOISY_VIDEOS = 178


def check_ave(folder: Path, *, values: bool = True) -> Iterator[Finding]:
    """Findings about a folder of AVE's files, as they are made.

    Args:
      values: read all feature files completely and check their values; False checks shapes only.

    Raises:
      InputError: the folder is not there, or holds none of AVE's files.
    """
    if not has_features(folder):
        splits = [name for split in SPLITS for name in _split_files(split)]
        require_folder(folder, [ANNOTATIONS, *splits, *TABLES], "AVE's")
    path, purpose = folder / ANNOTATIONS, "every label and id; nothing can be trained or compared without it"
    annotations = yield from tried(path, purpose, ave.read_annotations, path)
    if annotations:
        yield from _annotation_findings(folder, annotations)
        yield from _split_findings(folder, annotations)
        yield from _match_findings(folder, annotations)
    for modality in FEATURE_FILES:
        yield from _feature_findings(folder, modality, annotations, values)
    for name in TABLES:
        if name not in FEATURE_FILES.values():
            yield from _table_findings(folder, name, annotations, values)


def _split_files(split: str) -> tuple[str, str, str]:
    return f"{split}_order.h5", f"{split}Set.txt", f"{split}_order_match.h5"


def _annotation_findings(folder: Path, annotations: Sequence[Annotation]) -> Iterator[Finding]:
    lines = (folder / ANNOTATIONS).read_text(encoding="utf-8-sig").rstrip().splitlines()
    heading = "with" if len(lines) > len(annotations) else "without"
    count = len(annotations)
    yield expect(ANNOTATIONS, count == VIDEOS, f"{count} rows, {heading} a header row", f"{VIDEOS} rows")

    ids = Counter(item.video_id for item in annotations)
    twice = sum(times > 1 for times in ids.values())
    yield ok(ANNOTATIONS, f"{len(ids)} unique ids, {twice} of them annotated more than once")
    repeated = count - len(set(annotations))
    if repeated:
        yield wrong(ANNOTATIONS, f"{repeated} rows repeat another one")

    full = sum(item.end - item.start == SEGMENTS for item in annotations)
    yield ok(ANNOTATIONS, f"{full} rows ({full / count:.2%}) have an event that fills the {SEGMENTS} s")
    for row, item in enumerate(annotations):
        if item.start == item.end:
            span = f"{item.start}&{item.end}"
            yield note(ANNOTATIONS, f"row {row} ({item.category}, {item.video_id}) is {span}: no foreground")

    names = ave.class_names(annotations)[:-1]
    yield expect(ANNOTATIONS, len(names) == CLASSES, f"{len(names)} classes", f"{CLASSES} classes")
    counts = Counter(item.category for item in annotations)
    for index, name in enumerate(names):
        yield ok("class", f"{index:2d} {name}: {counts[name]} videos")
    yield ok("class", f"{len(names):2d} background")


def _split_findings(folder: Path, annotations: Sequence[Annotation]) -> Iterator[Finding]:
    orders = {}
    for split in SPLITS:
        h5, listing, _ = _split_files(split)
        here = [name for name in (h5, listing) if (folder / name).exists()]
        for name in (h5, listing):
            if name not in here:
                instead = f"{here[0]} is used instead" if here else "unknown without it"
                yield missing(name, f"the {split} split; {instead}")
        if not here:
            continue
        order = yield from tried(folder / here[0], "", ave.read_order, folder, split, annotations)
        if order is None:
            continue
        orders[split] = order
        size = SPLIT_SIZES[split]
        yield expect(here[0], len(order) == size, f"{len(order)} videos", f"{size} videos")
        if len(here) == 2:
            yield from _listing_findings(folder / listing, [annotations[row] for row in order])
    yield from _overlap_findings(orders, annotations, "")


def _listing_findings(path: Path, ordered: Sequence[Annotation]) -> Iterator[Finding]:
    listed = yield from tried(path, "", ave.read_annotations, path)
    if listed is None:
        return
    differing = sum(a != b for a, b in zip(listed, ordered, strict=False)) + abs(len(listed) - len(ordered))
    if differing:
        yield wrong(path.name, f"{differing} lines differ from what the order file lists")
    else:
        yield ok(path.name, "equals the order file line by line")


def _overlap_findings(orders: dict[str, np.ndarray], annotations: Sequence[Annotation], task: str) -> Iterator[Finding]:
    """Rows in two splits are an error; ids in two splits are a known weakness of the published ones."""
    for split, order in orders.items():
        repeated = len(order) - len(set(order))
        if repeated:
            yield wrong(f"split {split}{task}", f"lists {repeated} rows twice")
    ids = {split: {annotations[row].video_id for row in order} for split, order in orders.items()}
    for first, second in combinations(orders, 2):
        about = f"splits {first} and {second}{task}"
        rows = len(set(orders[first]) & set(orders[second]))
        shared = sorted(ids[first] & ids[second])
        if rows:
            yield wrong(about, f"{rows} rows are in both")
        elif shared:
            yield note(about, f"{len(shared)} video ids are in both ({some(shared)}); left as published")
        else:
            yield ok(about, "no video id is in both")
    if len(orders) == len(SPLITS):
        left = len(annotations) - len(set(np.concatenate(list(orders.values()))))
        yield expect(f"splits{task}", not left, f"{left} rows of {ANNOTATIONS} are in none", "0")


def _match_findings(folder: Path, annotations: Sequence[Annotation]) -> Iterator[Finding]:
    orders = {}
    spans = np.array([item.end - item.start for item in annotations])
    for split in SPLITS:
        name = _split_files(split)[2]
        purpose = f"the {split} split of cross-modality localization"
        order = yield from tried(folder / name, purpose, ave.read_order, folder, split, annotations, matched=True)
        if order is None:
            continue
        orders[split] = order
        short = int((spans[order] < SEGMENTS).sum())
        text = f"{len(order)} videos, {short} of them with an event shorter than {SEGMENTS} s"
        right = len(order) == SPLIT_SIZES[split] and (split != "test" or short == len(order))
        yield expect(name, right, text, f"{SPLIT_SIZES[split]} videos{', all short' if split == 'test' else ''}")
    yield from _overlap_findings(orders, annotations, " (cross-modality)")


def _feature_findings(
    folder: Path, modality: str, annotations: Sequence[Annotation] | None, values: bool
) -> Iterator[Finding]:
    name = FEATURE_FILES[modality]
    try:
        if modality not in ave.available_features(folder):
            yield missing(name, TABLES[name].purpose)
            return
        features = ave.open_features(folder, modality)
        if annotations:
            ave.feature_rows(features, annotations)
    except InputError as error:
        yield failed(folder / name, error)
        return
    name = MANIFEST if features.place.is_dir() else name
    source = features.source
    form = f", key '{source.key}', {source.number_type}" if isinstance(source, H5Source) else ""
    yield ok(name, f"{modality} features, {len(source)} rows of shape {source.shape}{form}")
    released = features.ids is None
    whose = "taken as the released ones" if released else f"made here ({features.info.sha256[:12]})"
    yield ok(name, f"{features.info.label}, weights '{features.info.weights}', {whose}")
    if values:
        yield from value_findings(name, source, non_negative=released)


def _table_findings(
    folder: Path, name: str, annotations: Sequence[Annotation] | None, values: bool
) -> Iterator[Finding]:
    path = folder / name
    source = yield from tried(path, TABLES[name].purpose, ave.open_table, folder, name, annotations)
    if source is None:
        return
    yield ok(name, f"{len(source)} rows of shape {source.shape}, key '{source.key}', {source.number_type}")
    if TABLES[name].of == "noisy" and len(source) != NOISY_VIDEOS:
        yield wrong(name, f"{len(source)} rows, {NOISY_VIDEOS} expected")
    if values:
        yield from value_findings(name, source, non_negative=True)
    if annotations:
        yield from _label_findings(name, source, annotations)


def _label_findings(name: str, source: H5Source, annotations: Sequence[Annotation]) -> Iterator[Finding]:
    """Compares a label file with Annotations.txt."""
    rebuilt = {
        "labels.h5": ave.segment_labels,
        "mil_labels.h5": ave.video_labels,
        "labels_closs.h5": ave.event_segments,
        "labels_noisy.h5": lambda _: np.eye(source.shape[-1], dtype=np.float32)[[-1] * len(source)],
    }.get(name)
    if rebuilt is None:
        return
    labels = yield from tried(source.path, "", source.read, np.arange(len(source)))
    if labels is None:
        return
    differing = (labels != rebuilt(annotations)).reshape(len(source), -1)
    rows = np.flatnonzero(differing.any(-1))
    what = "background only" if TABLES[name].of == "noisy" else f"labels rebuilt from {ANNOTATIONS}"
    if rows.size:
        yield wrong(name, f"differs from {what} in {rows.size} rows: {some(rows)}")
    else:
        yield ok(name, f"0 mismatches against {what}")
