"""AVE as MAFnet's authors distribute it: features and labels of whole videos, three pickles for each split.

`{train,val,test}Set_visual.p` (videos, 10, 1920), `..._audio.p` (videos, 10, 12, 8, 512) and `..._target.p`
(videos, 28). A pickle can execute arbitrary code, so these are read with an allow-list: arrays of numbers only.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from avpipeline.checkpoints import read_pickle_arrays
from avpipeline.datasets import ave
from avpipeline.datasets.audioset import AVE_SOUNDS
from avpipeline.datasets.ave import ANNOTATIONS, SEGMENTS
from avpipeline.datasets.base import ArraySource, Split
from avpipeline.datasets.video_lists import is_one_hot
from avpipeline.errors import InputError
from avpipeline.features.info import FeatureInfo

# The features in the authors' files: DenseNet-201's last activation, averaged over space and the 16 frames of a second,
# and VGGish's maps before its last pooling.
FEATURES = {
    "audio": FeatureInfo("vggish", "conv4_2", "audioset", "", (12, 8, 512)),
    "visual": FeatureInfo("densenet201", "avg_pool", "imagenet", "", (1920,)),
}

# AVE's categories in the order of the authors' labels, which is alphabetical.
CLASS_NAMES = tuple(AVE_SOUNDS)


def pickle_path(folder, split: str, content: str) -> Path:
    """The authors' file of a split's "audio", "visual" or "target"."""
    return Path(folder) / f"{split}Set_{content}.p"


def load_mafnet_pickles(data_dir, split: str, *, modalities: Iterable[str] | None = None) -> Split:
    """One split of AVE with video labels `(videos, 28)` from the authors' pickles.

    A pickle is read whole: the training split's audio features take 6.1 GiB of memory, its visual ones 0.24 GiB.

    Args:
      data_dir: folder with the pickles, which are checked against Annotations.txt and the split files if present.
      modalities: "audio", "visual" or both; None for both.

    Raises:
      InputError: a file is missing or damaged, holds anything but an array of the right shape, labels that are not
        one-hot, a different class order, or videos other than those in Annotations.txt.
    """
    folder = Path(data_dir)
    target = pickle_path(folder, split, "target")
    labels = _array(target, (len(CLASS_NAMES),))
    if not len(labels):
        raise InputError(f"{target}: has no videos; get the file again.")
    if not is_one_hot(labels):
        raise InputError(f"{target}: its labels are not one-hot; get the authors' file.")
    _check_classes(target, split, labels.sum(0))
    inputs = {}
    for name in FEATURES if modalities is None else modalities:
        if name not in FEATURES:
            raise InputError(f"{folder}: the pickles hold no {name} features, only {' and '.join(FEATURES)}.")
        path = pickle_path(folder, split, name)
        inputs[name] = ArraySource(_array(path, (SEGMENTS, *FEATURES[name].shape)))
        ave.require_rows(path, inputs[name], len(labels), target.name)
    # The pickles name no videos.
    ids = tuple(f"{split}_{row:04d}" for row in range(len(labels)))
    features = {name: FEATURES[name] for name in inputs}
    return Split("ave", split, ids, CLASS_NAMES, inputs, labels.astype(np.float32), features)


def _check_classes(path: Path, split: str, counts: np.ndarray) -> None:
    """Compares the number of videos of each class with Annotations.txt, if that is in the folder too.

    Nothing in a pickle says which number stands for which class; as AVE's classes differ in size, the counts reveal a
    file in another order.
    """
    if not (path.parent / ANNOTATIONS).exists():
        return
    annotations = ave.read_annotations(path.parent / ANNOTATIONS)
    listed = [annotations[row].category for row in ave.read_order(path.parent, split, annotations)]
    if np.array_equal(counts, [listed.count(name) for name in CLASS_NAMES]):
        return
    if np.array_equal(counts, [listed.count(name) for name in ave.class_names(annotations)[:-1]]):
        raise InputError(
            f"{path}: numbers the classes in the order of {ANNOTATIONS}, but the authors' labels are in alphabetical "
            "order; write it with sorted class names."
        )
    problem = f"its classes, in alphabetical order, have other numbers of videos than {ANNOTATIONS} and the split lists"
    raise ave.mismatch(path, problem)


def _array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The array of a pickle, `(videos, *shape)`."""
    array = read_pickle_arrays(path)
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path}: holds a {type(array).__name__} where one array is needed; get the authors' file.")
    if array.shape[1:] != shape or array.ndim != 1 + len(shape):
        needed = ", ".join(("videos", *map(str, shape)))
        raise InputError(f"{path}: has the shape {array.shape} where ({needed}) is needed; these are other features.")
    return array
