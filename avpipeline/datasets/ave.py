"""AVE: 4143 ten-second videos, one audio-visual event each (Tian et al., "Audio-Visual Event Localization in
Unconstrained Videos", ECCV 2018), read from the files that its authors publish.

The files refer to a video by its row: its line in Annotations.txt, counted from 0 without the heading.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from avpipeline.datasets.ave_h5 import DATA_KEY, FEATURE_FILES, SUPPLEMENT_FILES, H5Source, read_h5_array
from avpipeline.datasets.base import SelectedRows, Source, Split, require_split
from avpipeline.datasets.listings import Row, read_lines
from avpipeline.datasets.padding import ZeroPadded, whole_segments
from avpipeline.datasets.video_lists import by_youtube_id, is_one_hot, one_hot
from avpipeline.errors import InputError
from avpipeline.features.info import FeatureInfo
from avpipeline.features.store import FeatureShards, has_features

SEGMENTS = 10  # of one second each
BACKGROUND = "background"
ANNOTATIONS = "Annotations.txt"
GUIDE = "docs/datasets.md says where AVE's files come from"

# The authors' released feature files: VGGish after its last ReLU, neither whitened nor quantised.
RELEASED_FEATURES = {
    "audio": FeatureInfo("vggish", "embedding_relu", "audioset", "", (128,)),
    "visual": FeatureInfo("vgg19", "pool5", "imagenet", "", (7, 7, 512)),
}

# The authors did not release the supplement's features; users extract them, so a file that does not describe its
# features is assumed to hold these.
SUPPLEMENT_FEATURES = {
    "audio_map": FeatureInfo("vggish", "pool4", "audioset", "", (6, 4, 512)),
    "motion": FeatureInfo("c3d", "pool5", "sports1m", "", (512,)),
}


@dataclasses.dataclass(frozen=True)
class Table:
    """One of the authors' HDF5 files with the key "avadataset".

    Attributes:
      shape: shape of one row; None stands for the number of classes including background.
      of: what its rows are: "annotations" (one for each line of Annotations.txt) or "noisy" (the extra videos).
      purpose: what it is for.
    """

    shape: tuple[int | None, ...]
    of: str
    purpose: str


TABLES = {
    "audio_feature.h5": Table((SEGMENTS, 128), "annotations", "audio features; every model that hears"),
    "visual_feature.h5": Table((SEGMENTS, 7, 7, 512), "annotations", "visual features; every model that sees"),
    "labels.h5": Table((SEGMENTS, None), "annotations", "segment labels; rebuilt from Annotations.txt"),
    "mil_labels.h5": Table((None,), "annotations", "video labels of weakly-supervised training"),
    "labels_closs.h5": Table((SEGMENTS,), "annotations", "in or out of the event; cross-modality localization"),
    "visual_feature_vec.h5": Table((SEGMENTS, 512), "annotations", "averaged maps; cross-modality localization"),
    "audio_feature_noisy.h5": Table((SEGMENTS, 128), "noisy", "background videos of weakly-supervised training"),
    "visual_feature_noisy.h5": Table((SEGMENTS, 7, 7, 512), "noisy", "the same videos' visual features"),
    "labels_noisy.h5": Table((None,), "noisy", "the same videos' labels (background)"),
}


@dataclasses.dataclass(frozen=True)
class Annotation:
    """One line of Annotations.txt: the event lasts from second `start` up to, not including, second `end`."""

    category: str
    video_id: str
    quality: str
    start: int
    end: int


def load_ave(data_dir, split: str, *, modalities: Iterable[str] | None = None) -> Split:
    """One split of AVE with segment labels `(videos, 10, classes)`, in the order of the authors' order file.

    Features are not read yet: `Split.inputs` reads them by row. Labels come from labels.h5 if present, else from
    Annotations.txt.

    Args:
      data_dir: folder with Annotations.txt, the order or Set files, and features (see `open_features`).
      modalities: the inputs needed; None for all that the folder holds.

    Raises:
      InputError: a file is missing, malformed or disagrees with another.
    """
    folder = Path(data_dir)
    annotations = read_annotations(folder / ANNOTATIONS)
    order = read_order(folder, split, annotations)
    inputs, features = open_inputs(folder, modalities, annotations, order)
    ids = tuple(annotations[row].video_id for row in order)
    labels = read_segment_labels(folder, annotations)[order]
    return Split("ave", split, ids, class_names(annotations), inputs, labels, features)


def read_annotations(path) -> tuple[Annotation, ...]:
    """The lines of Annotations.txt (or trainSet.txt, ...), in order.

    A line is `Category&VideoID&good&start&end`. A heading, empty lines at the end and any kind of line ending are
    accepted.

    Raises:
      InputError: no such file, not text, no lines, a malformed line (the sentence names its number).
    """
    lines = read_lines(path)
    first = int("videoid" in [field.strip().lower() for field in lines[0].split("&")][1:2])  # whether it is a heading
    if len(lines) == first:
        raise InputError(f"{path}: holds no annotations; download it again.")
    return tuple(_annotation(Row(path, number, {}), line) for number, line in enumerate(lines[first:], first + 1))


def class_names(annotations: Sequence[Annotation]) -> tuple[str, ...]:
    """Names in label order: as the authors number them, by first appearance, then background."""
    return (*dict.fromkeys(annotation.category for annotation in annotations), BACKGROUND)


def event_segments(annotations: Sequence[Annotation]) -> np.ndarray:
    """`(videos, 10)` float32, 1 for segments inside the event: the content of labels_closs.h5."""
    seconds = np.arange(SEGMENTS)
    return np.stack([(item.start <= seconds) & (seconds < item.end) for item in annotations]).astype(np.float32)


def video_labels(annotations: Sequence[Annotation]) -> np.ndarray:
    """`(videos, classes)` float32 one-hot category of each video: the content of mil_labels.h5."""
    names = class_names(annotations)
    return one_hot([names.index(item.category) for item in annotations], len(names))


def segment_labels(annotations: Sequence[Annotation]) -> np.ndarray:
    """`(videos, 10, classes)` float32 one-hot, background outside the event: the content of labels.h5."""
    labels = event_segments(annotations)[..., np.newaxis] * video_labels(annotations)[:, np.newaxis]
    labels[..., -1] = 1 - labels.sum(-1)
    return labels


def read_segment_labels(folder, annotations: Sequence[Annotation]) -> np.ndarray:
    """The labels of labels.h5, rebuilt where it is missing: `(videos, 10, classes)` float32 one-hot.

    Raises:
      InputError: labels.h5 is not one-hot, has another shape or another numbering of the classes.
    """
    path = Path(folder) / "labels.h5"
    rebuilt = segment_labels(annotations)
    if not path.exists():
        return rebuilt
    source = open_table(folder, path.name, annotations)
    labels = source.read(np.arange(len(source)))
    if not is_one_hot(labels):
        raise InputError(f"{path}: its labels are not one-hot; remove the file, so that they are rebuilt.")
    given, own = labels.argmax(-1), rebuilt.argmax(-1)
    background = rebuilt.shape[-1] - 1
    if ((given != own) & (given != background) & (own != background)).any():
        raise InputError(
            f"{path}: numbers the classes differently from {ANNOTATIONS}, which numbers them by first appearance; "
            "remove the file, so that its labels are rebuilt."
        )
    return labels


def read_order(folder, split: str, annotations: Sequence[Annotation], *, matched: bool = False) -> np.ndarray:
    """Rows of one split, int64, in the authors' order.

    Read from `<split>_order.h5`, else from `<split>Set.txt`, which lists the same videos in the same order; with
    `matched`, from `<split>_order_match.h5`: the split of cross-modality localization, whose test videos all have
    events shorter than the video.

    Raises:
      InputError: neither file is there, a row is out of range, a listed line is not in Annotations.txt.
    """
    require_split("ave", split)
    path = Path(folder) / f"{split}_order{'_match' if matched else ''}.h5"
    listing = Path(folder) / f"{split}Set.txt"
    if path.exists():
        return _order_from_h5(path, len(annotations))
    if listing.exists() and not matched:
        return _order_from_list(listing, annotations)
    missing = path.name if matched else f"{path.name} nor {listing.name}"
    raise InputError(f"{folder}: has {'no' if matched else 'neither'} {missing}; {GUIDE}.")


def open_table(folder, name: str, annotations: Sequence[Annotation] | None) -> H5Source:
    """One of `TABLES`, its shape and number of rows checked against the annotations.

    Args:
      annotations: None if they are not known; any number of rows and classes is accepted then.

    Raises:
      InputError: the file is missing or damaged, or has another shape or number of rows.
    """
    classes = len(class_names(annotations)) if annotations else None
    table = TABLES[name]
    source = H5Source(Path(folder) / name, DATA_KEY, shape=[classes if size is None else size for size in table.shape])
    if table.of == "annotations" and annotations:
        require_rows(source.path, source, len(annotations), ANNOTATIONS)
    return source


@dataclasses.dataclass(frozen=True)
class Features:
    """Features of one modality.

    Attributes:
      place: the file or folder that holds them.
      source: the rows, `(10, *info.shape)` each.
      info: their identity.
      ids: the video of each row; None for the authors' files, which have one row for each line of Annotations.txt.
      seconds: length of each row's video, float32; None if not known.
    """

    place: Path
    source: Source
    info: FeatureInfo
    ids: tuple[str, ...] | None
    seconds: np.ndarray | None = None


def open_inputs(
    folder, modalities: Iterable[str] | None, annotations: Sequence[Annotation], order: np.ndarray, padded: bool = False
) -> tuple[dict[str, Source], dict[str, FeatureInfo]]:
    """The rows of the annotations `order` for each modality, and what their features are.

    Args:
      modalities: the inputs needed; None for all that the folder holds.
      padded: whether segments after the end of a short video are zeros, where its length is known.

    Raises:
      InputError: the folder holds no features; or as `open_features` and `feature_rows`.
    """
    inputs, infos = {}, {}
    for modality in available_features(folder) if modalities is None else modalities:
        features = open_features(folder, modality)
        rows = feature_rows(features, annotations)[order]
        inputs[modality] = SelectedRows(features.source, rows)
        if padded and features.seconds is not None:
            inputs[modality] = ZeroPadded(inputs[modality], whole_segments(features.seconds[rows], SEGMENTS))
        infos[modality] = features.info
    if not inputs:
        files = " nor ".join(FEATURE_FILES.values())
        raise InputError(f"{folder}: has no features, neither {files} nor shards; {GUIDE}.")
    return inputs, infos


def available_features(folder) -> tuple[str, ...]:
    """The modalities that `open_features` can open in a folder."""
    folder = Path(folder)
    extracted = FeatureShards(folder).features if has_features(folder) else ()
    return tuple(name for name, file in FEATURE_FILES.items() if (folder / file).exists() or name in extracted)


def open_features(folder, modality: str) -> Features:
    """One modality's features: audio_feature.h5 or visual_feature.h5, else what `avpipeline.extract` stored.

    Features from `avpipeline.extract` come with their identity and the video of each row; an HDF5 file without them
    is assumed to be the authors' release (`RELEASED_FEATURES`).

    Raises:
      InputError: the features are missing or damaged, or have an unexpected shape.
    """
    files = {**FEATURE_FILES, **SUPPLEMENT_FILES}
    if modality not in files:
        raise InputError(f"ave: has no {modality} features, only {' and '.join(files)}.")
    folder = Path(folder)
    path = folder / files[modality]
    if path.exists() or not has_features(folder):
        source = H5Source(path)
        info = source.feature_info() or {**RELEASED_FEATURES, **SUPPLEMENT_FEATURES}[modality]
        return Features(path, H5Source(path, shape=(SEGMENTS, *info.shape)), info, source.ids())
    shards = FeatureShards(folder)
    if modality not in shards.features:
        raise InputError(f"{folder}: its shards hold no {modality} features; extract them too.")
    if shards.seconds != SEGMENTS:
        raise InputError(f"{folder}: clips of {shards.seconds} s where AVE has {SEGMENTS} s; extract them again.")
    seconds = np.maximum(shards.audio_seconds, shards.video_seconds)
    return Features(folder, shards.sources[modality], shards.features[modality], shards.ids, seconds)


def feature_rows(features: Features, annotations: Sequence[Annotation]) -> np.ndarray:
    """For each annotation the row of its features, int64.

    Raises:
      InputError: the numbers of rows and annotations differ, or an annotated video has no features.
    """
    if features.ids is None:
        require_rows(features.place, features.source, len(annotations), ANNOTATIONS)
        return np.arange(len(annotations))
    row_of = {video_id: row for row, video_id in enumerate(features.ids)}
    row_of = {**by_youtube_id(row_of), **row_of}
    missing = sorted({item.video_id for item in annotations} - row_of.keys())
    if missing:
        raise InputError(
            f"{features.place}: has no features of {len(missing)} annotated videos (the first is {missing[0]}); "
            "extract clips named by it alone, or by it and times (ID_60.000_70.000), too."
        )
    return np.array([row_of[item.video_id] for item in annotations], np.int64)


def require_rows(place: Path, source: Source, count: int, of: str) -> None:
    """Raises InputError unless a source has as many rows as the file `of`."""
    if len(source) != count:
        raise mismatch(place, f"has {len(source)} rows and {of} {count}")


def mismatch(place: Path, problem: str) -> InputError:
    """The error for two files of which one is not of the other's videos."""
    return InputError(f"{place}: {problem}; the two do not belong together, download both from one place.")


def _annotation(row: Row, line: str) -> Annotation:
    fields = [field.strip() for field in line.split("&")]
    if len(fields) != 5 or not all(fields):
        raise row.error(f"is not of the form Category&VideoID&good&start&end ({line.strip()!r})")
    category, video_id, quality, *times = fields
    if not all(time.isdecimal() and len(time) < 9 for time in times) or not int(times[0]) <= int(times[1]) <= SEGMENTS:
        raise row.error(f"has no event within seconds 0 to {SEGMENTS} ({line.strip()!r})")
    return Annotation(category, video_id, quality, int(times[0]), int(times[1]))


def _order_from_h5(path: Path, count: int) -> np.ndarray:
    if len(H5Source(path, "order")) > count:
        raise mismatch(path, f"has more entries than {ANNOTATIONS} rows")
    order = read_h5_array(path, "order")
    if order.ndim != 1 or order.dtype.kind not in "iu" or not len(order):
        raise InputError(
            f"{path}: 'order' is not a list of row numbers (type {order.dtype}, shape {order.shape}); "
            "download it again."
        )
    outside = np.flatnonzero((order < 0) | (order >= count))
    if outside.size:
        entry = f"entry {outside[0]} is row {order[outside[0]]}"
        raise mismatch(path, f"{entry}, {ANNOTATIONS} has rows 0 to {count - 1}")
    return order.astype(np.int64)


def _order_from_list(path: Path, annotations: Sequence[Annotation]) -> np.ndarray:
    row_of = {annotation: row for row, annotation in enumerate(annotations)}
    listed = read_annotations(path)
    for item in listed:
        if item not in row_of:
            event = f"{item.video_id} ({item.category}, {item.start} to {item.end} s)"
            raise mismatch(path, f"lists {event}, which is not in {ANNOTATIONS}")
    return np.array([row_of[item] for item in listed], np.int64)
