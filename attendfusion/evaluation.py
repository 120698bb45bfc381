"""Evaluates a model on millions of videos: scores accumulated batch by batch, and predictions stored for each video.

For each video its labels and its twenty most probable classes are stored, 8 bytes each. GAP, Hit@1 and the challenge's
mean average precision can be recomputed from them, and PERR if no video has more than twenty labels. Uncapped mean
average precision and F1 need every class of every video and are accumulated batch by batch; with at most twenty
classes, as for synthetic clips, F1 can be recomputed too.
"""

from collections.abc import Iterator, Mapping

import keras
import numpy as np
import tensorflow as tf

from avpipeline.cli.progress import ProgressBar
from avpipeline.datasets.base import Stream
from avpipeline.errors import InputError
from avpipeline.metrics.ranking import F1, GAP, PERR, TOP_K, BestThreshold, HitAtOne, MeanAveragePrecision
from avpipeline.nn.backends import require_tensorflow
from avpipeline.training.experiment import Outcome

# Name of a score in result.json -> its name in a report.
SCORES = {
    "gap": "GAP@20 in %",
    "f1": "F1 in %, all labels of all videos together",
    "f1_macro": "F1 in %, mean over labels",
    "threshold": "threshold of the F1 scores",
    "hit_at_one": "Hit@1 in %",
    "perr": "PERR in %",
    "mean_ap": "mean AP in %, as in the challenge's code",
    "mean_ap_uncapped": "mean AP in %, every video ranked",
    "mean_ap_uncapped_at_least": "  of unrounded scores, at least",
    "mean_ap_uncapped_at_most": "  of unrounded scores, at most",
}


def described(scores: dict[str, float]) -> list[str]:
    """A line for each score, in percent except for the threshold."""
    return [
        f"{text:<44} {scores[name] if name == 'threshold' else 100 * scores[name]:.2f}" for name, text in SCORES.items()
    ]


class Evaluation:
    """Accumulates labels and probabilities of any number of videos, batch by batch.

    Args:
      threshold: probability from which a label counts as predicted in the F1 scores.

    Attributes:
      metrics: name of a score -> the metric.
    """

    def __init__(self, threshold: float):
        self.threshold = threshold
        self.metrics = {
            "gap": GAP(),
            "f1": F1(threshold),
            "f1_macro": F1(threshold, average="macro"),
            "hit_at_one": HitAtOne(),
            "perr": PERR(),
            "mean_ap": MeanAveragePrecision(),
            "mean_ap_uncapped": MeanAveragePrecision(capped=False),
        }
        self._kept: list[Mapping[str, np.ndarray]] = []

    def add(self, ids: np.ndarray, labels: np.ndarray, probabilities: np.ndarray) -> None:
        """Adds a batch: ids `(batch,)`, labels and probabilities `(batch, classes)`."""
        for metric in self.metrics.values():
            metric.update_state(labels, probabilities)
        # For equal probabilities the lower class index comes first, as in the metrics.
        best = np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP_K]
        self._kept.append(
            {
                "ids": np.asarray(ids).astype(str),
                "labels": np.nonzero(labels)[1].astype(np.int32),
                "label_counts": np.count_nonzero(labels, 1).astype(np.int32),
                "top_labels": best.astype(np.int32),
                "top_scores": np.take_along_axis(probabilities, best, 1).astype(np.float32),
            }
        )

    def outcome(self) -> Outcome:
        """GAP, all scores, and what is stored for the videos.

        Raises:
          InputError: no video has a label, as in YouTube-8M's test files.
        """
        kept = {name: np.concatenate([batch[name] for batch in self._kept]) for name in self._kept[0]}
        if not kept["label_counts"].any():
            raise InputError(
                f"the {len(kept['ids'])} videos that were read have no labels (like YouTube-8M's own test files), so "
                "there is nothing to evaluate; use the validate files."
            )
        scores = {name: float(metric.result()) for name, metric in self.metrics.items()}
        lowest, highest = self.metrics["mean_ap_uncapped"].bounds()
        scores |= {"mean_ap_uncapped_at_least": lowest, "mean_ap_uncapped_at_most": highest}
        scores["threshold"] = float(self.threshold)
        numbers = {"num_classes": self.metrics["f1_macro"].counts.shape[1], "threshold": scores["threshold"]}
        arrays = {**kept, **{name: np.array(value) for name, value in numbers.items()}}
        return Outcome(scores["gap"], arrays, {name: scores[name] for name in SCORES})


def evaluate(model: keras.Model, stream: Stream, threshold: float, batch_size: int = 256) -> Evaluation:
    """Evaluates a model on every video of a split."""
    evaluation = Evaluation(threshold)
    for ids, labels, probabilities in predictions(model, stream, batch_size):
        evaluation.add(ids, labels, probabilities)
    return evaluation


def best_threshold(model: keras.Model, stream: Stream, batch_size: int = 256) -> float:
    """The threshold with the highest micro F1 on a split."""
    metric = BestThreshold("micro")
    for _, labels, probabilities in predictions(model, stream, batch_size):
        metric.update_state(labels, probabilities)
    return metric.best()[0]


def predictions(
    model: keras.Model, stream: Stream, batch_size: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Batches of ids, labels and probabilities, in the order of the files."""
    require_tensorflow("evaluation runs")
    forward = tf.function(lambda inputs: model(inputs, training=False), reduce_retracing=True, jit_compile=False)
    with ProgressBar(total=len(stream), desc="predicting", unit="video", leave=False) as bar:
        for inputs, labels in stream.read(batch_size, modalities=list(model.input), details=True):
            ids = inputs.pop("id").numpy().astype(str)
            yield ids, labels.numpy(), forward(inputs).numpy()
            bar.update(len(ids))
