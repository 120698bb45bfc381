"""`python -m avfusion_benchmarks.rounded_probabilities`: what clipping probabilities in Eq. 10 costs.

A network with as many labels as YouTube-8M soon gives most labels a probability near zero. A loss that clips
probabilities at 1e-7 has no gradient below, so positives that have fallen below stay there; Eq. 10 computed from the
scores brings them back. Here both are trained from the same weights on the same synthetic videos, with Zipfian labels.
"""

import dataclasses

import keras
import numpy as np
from keras import ops

import attendfusion
from attendfusion.recipe import MultiLabelCrossEntropy
from avpipeline.cli import Count, Rate, Seed, Units, run
from avpipeline.metrics.ranking import GAP
from avpipeline.results.papers import markdown

FLOOR = 1e-7
_WIDTHS = {"audio": 128, "visual": 1024}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of the comparison."""

    model: str = "fc_early"
    """Which of Attend-Fusion's networks."""
    width: Units = 512
    """Width of its layers; 8000 in the published baselines, 2048 in the proposed networks."""
    classes: Count = 4716
    """Number of labels."""
    videos: Count = 1024
    """Training videos; GAP is measured on a quarter as many others."""
    epochs: Count = 6
    batch_size: Count = 32
    learning_rate: Rate = 1e-3
    """Ten times the published one, since the layers are sixteen times narrower."""
    seed: Seed = 0


class ClippedCrossEntropy(keras.losses.Loss):
    """Eq. 10 of probabilities clipped to [1e-7, 1 - 1e-7]."""

    def call(self, y_true, y_pred):
        p = ops.clip(y_pred, FLOOR, 1 - FLOOR)
        return -ops.sum(y_true * ops.log(p) + (1 - y_true) * ops.log1p(-p), axis=-1)


def main(settings: Settings) -> None:
    """Prints, epoch by epoch, the share of positives below 1e-7, the loss and GAP: Eq. 10 beside its clipped form."""
    train, held_out = synthetic_videos(settings)
    lines = [("epoch", *(f"{form}: {what}" for form in ("Eq. 10", "clipped") for what in _COLUMNS))]
    histories = [history(settings, loss, train, held_out) for loss in (MultiLabelCrossEntropy(), ClippedCrossEntropy())]
    for epoch, both in enumerate(zip(*histories, strict=True), 1):
        lines.append((str(epoch), *(cell for row in both for cell in row)))
    print(markdown(lines))


_COLUMNS = ("positives below 1e-7", "loss", "GAP %")


def history(settings: Settings, loss: keras.losses.Loss, train, held_out) -> list[tuple[str, ...]]:
    """After each epoch: the share of training positives below 1e-7, the training videos' Eq. 10, GAP on others."""
    keras.utils.set_random_seed(settings.seed)
    model = attendfusion.build_model(settings.model, width=settings.width, num_classes=settings.classes)
    attendfusion.compile_model(model, attendfusion.train_config(learning_rate=settings.learning_rate))
    model.compile(model.optimizer, loss, jit_compile=False)
    scores = keras.Model(model.input, model.get_layer("classifier").output)
    rows = []
    for _ in range(settings.epochs):
        model.fit(*train, batch_size=settings.batch_size, verbose=0)
        rows.append(_measured(scores, train, held_out))
    return rows


def _measured(scores: keras.Model, train, held_out) -> tuple[str, ...]:
    logits, labels = scores.predict(train[0], batch_size=256, verbose=0).astype("f8"), train[1]
    # p < 1e-7 as a bound of the logit; log(1 + e^z) - y z is Eq. 10.
    rounded = (logits[labels > 0] < np.log(FLOOR / (1 - FLOOR))).mean()
    loss = (np.logaddexp(0, logits) - labels * logits).sum(-1).mean()
    gap = GAP()
    gap.update_state(held_out[1], ops.sigmoid(scores.predict(held_out[0], batch_size=256, verbose=0)))
    return f"{100 * rounded:.1f} %", f"{loss:.1f}", f"{100 * float(gap.result()):.1f}"


def synthetic_videos(settings: Settings):
    """Inputs and labels of the training videos and of others.

    Each video has three draws from labels with frequencies 1, 1/2, 1/3, ...; every label has a direction of its own in
    each modality, a video's mean is that of its labels' directions and noise, its standard deviation noise alone.
    """
    rng = np.random.default_rng(settings.seed)
    frequencies = 1 / np.arange(1, settings.classes + 1)
    count = settings.videos * 5 // 4
    drawn = rng.choice(settings.classes, (count, 3), p=frequencies / frequencies.sum())
    labels = np.zeros((count, settings.classes), "float32")
    labels[np.arange(count)[:, None], drawn] = 1
    inputs = {}
    for name, width in _WIDTHS.items():
        directions = rng.standard_normal((settings.classes, width))
        mean = directions[drawn].mean(1) + 0.3 * rng.standard_normal((count, width))
        std = 0.3 * np.abs(rng.standard_normal((count, width)))
        inputs[name] = np.stack([mean, std], 1).astype("float32")
    train, others = np.split(np.arange(count), [settings.videos])
    return tuple(({name: x[rows] for name, x in inputs.items()}, labels[rows]) for rows in (train, others))


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m avfusion_benchmarks.rounded_probabilities"))
