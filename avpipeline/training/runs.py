"""One experiment: seeds, training that survives a kill, selection on validation, result.json.

A run lies in one folder:

    settings.json            what is trained; the folder refuses other settings
    result.json              the figure over seeds and how it was made
    seed-0/state.npz         everything needed to go on (removed when the seed is finished)
    seed-0/best.keras        weights of the best validation score
    seed-0/log.csv, tensorboard/, curves.png
    seed-0/predictions.npz   labels and predictions of the test split, from which the figure is computed
    seed-0/best_on_test.npz  the same where the test split was watched: those of its best validation (see below)
    seed-0/result.json

Many papers print the best figure that the test split ever reached in training. With `watch_test` that figure is
recorded too, beside the selected one and under its own name; nothing is ever chosen by it.
"""

import dataclasses
import datetime
import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from avpipeline import __version__
from avpipeline.datasets.base import Split, Stream
from avpipeline.datasets.batches import batches, steps_per_epoch
from avpipeline.errors import InputError
from avpipeline.files import atomic_path, locked, make_folder
from avpipeline.plots import charts
from avpipeline.training.saved import ModelInfo, load_model, save_model
from avpipeline.training.state import KeepState, Progress, Score, restore_state


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A model measured on a split.

    Attributes:
      score: the figure that is reported.
      arrays: what is stored, by name; `score` can be computed from it again.
      figures: further ones, for result.json.
    """

    score: float
    arrays: Mapping[str, np.ndarray]
    figures: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What is trained, on what, and how its result is measured.

    Attributes:
      build: makes the compiled model; called after the seed is set.
      info: what every saved model says about itself.
      train, val, test: the splits; `test` gives the result once, with the weights that validation chose.
      settings: every setting that decides the numbers, as JSON values; their hash names the configuration.
      epochs, batch_size, shuffle, validate_every: the schedule; the last partial batch is left out.
      score: `(labels, predictions) -> float`, the figure that is reported; None where `measure` gives it.
      metric: name of `score`, and of the compiled Keras metric that validation selects on.
      start: puts weights into a seed's fresh model, `(model, seed)`; None trains from the initialisation.
      trained_output: of a model with several outputs, the one that the labels of `train` are for. Validation's
        labels may then be of another kind, and `score` measures it.
      scored_output: of such a model, the output that `score` takes and that is stored.
      watch_test: also measure the test split at each validation, for the record.
      reproduces: the rows of the paper, `(table, row)`, that this model is; for the record.
      planned_epochs: of the configuration, where `epochs` may be fewer for a smoke run; None is `epochs`.
      callbacks: gives a seed's further Keras callbacks, called before the state is saved. What one keeps beside the
        model's variables it hands out as JSON values by `get_state()` and takes back by `set_state(values)`.
      patience: epochs without a better validation after which the training ends; None trains all epochs.
      min_improvement: by how much a validation must exceed the best one to be better.
      measure: `(model, split) -> Outcome`, for a split whose predictions cannot all be kept; None: `score` of them.
    """

    build: Callable[[], keras.Model]
    info: ModelInfo
    train: Split | Stream
    val: Split | Stream
    test: Split | Stream
    settings: Mapping
    epochs: int
    batch_size: int
    shuffle: bool
    validate_every: int
    score: Callable[[np.ndarray, np.ndarray], float] | None
    metric: str
    start: Callable[[keras.Model, int], None] | None = None
    trained_output: str | None = None
    scored_output: str | None = None
    watch_test: bool = False
    reproduces: Sequence[tuple[str, str]] = ()
    planned_epochs: int | None = None
    callbacks: Callable[[], Sequence[keras.callbacks.Callback]] = tuple
    patience: int | None = None
    min_improvement: float = 0.0
    measure: Callable[[keras.Model, Split | Stream], Outcome] | None = None

    @property
    def hash(self) -> str:
        """Short hash of the configuration: equal settings, equal hash."""
        return configuration_hash(self.settings)


def settings_of(info: ModelInfo, training, **more) -> dict:
    """The `settings` of an experiment, which decide its numbers.

    Args:
      info: what the model is.
      training: its recipe, a dataclass.
      more: further values, or others than those of `info`; JSON values.
    """
    return {
        "paper": info.paper,
        "model": info.model,
        "preset": info.preset,
        "dataset": info.dataset,
        "network": info.config,
        "training": dataclasses.asdict(training),
        "features": {name: feature.to_json() for name, feature in info.features.items()},
        **more,
    }


def configuration_hash(settings: Mapping) -> str:
    """The hash of an experiment with these settings."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def run(experiment: Experiment, out, seeds: Sequence[int]) -> dict:
    """Trains `experiment` once a seed and writes result.json; goes on where an earlier run was cut off.

    Returns:
      What result.json holds: the configuration, the score of each seed and their mean and standard deviation.

    Raises:
      InputError: `out` holds a run with other settings, another process works there, or it cannot be written.
    """
    out = make_folder(out)
    with locked(out / "run", wait=False):
        _claim(out, experiment)
        results = [_run_seed(experiment, out / f"seed-{seed}", seed) for seed in seeds]
        result = {**_description(experiment), **summary(results)}
        write_json(out / "result.json", result)
    return result


def summary(results: Sequence[Mapping]) -> dict:
    """Mean and standard deviation (n - 1; none for one seed) of the seeds' test scores, with their sources."""
    scores = [result["test"] for result in results]
    return {
        "test_mean": float(np.mean(scores)),
        "test_std": float(np.std(scores, ddof=1)) if len(scores) > 1 else None,
        "seeds": list(results),
    }


def set_seed(seed: int) -> None:
    """Makes everything that follows a function of `seed`: Python, NumPy, Keras, and TensorFlow's kernels."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def write_json(path, value) -> None:
    """Writes readable JSON, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n")


def _claim(out: Path, experiment: Experiment) -> None:
    """Refuses a folder that holds another experiment; else notes this one's settings there."""
    path = out / "settings.json"
    settings = json.loads(json.dumps(experiment.settings))
    if path.exists():
        try:
            earlier = json.loads(path.read_text())
        except ValueError as error:
            raise InputError(f"{path}: is not JSON; remove the folder or choose another --out.") from error
        if earlier != settings:
            names = sorted(name for name in {*earlier, *settings} if earlier.get(name) != settings.get(name))
            raise InputError(
                f"{out}: holds a run with other settings ({', '.join(names)}); choose another --out or remove it."
            )
    write_json(path, settings)


def _run_seed(experiment: Experiment, folder: Path, seed: int) -> dict:
    """Trains and tests one seed, or returns the result that a finished one left."""
    done = folder / "result.json"
    if done.exists():
        print(f"seed {seed}: already finished, {done} is kept (remove {folder} to train it again)")
        return json.loads(done.read_text())
    make_folder(folder)
    progress = _train(experiment, folder, seed)
    selected = {"seed": seed, "val": progress.best_score, "best_epoch": progress.best_epoch}
    watched = {"best_on_test": _best_on_test(experiment, progress)} if experiment.watch_test else {}
    result = {**selected, **_test(experiment, folder), **watched}
    write_json(done, result)
    (folder / "state.npz").unlink(missing_ok=True)
    return result


def _train(experiment: Experiment, folder: Path, seed: int) -> Progress:
    """Fits one seed; the weights of the best validation are in best.keras."""
    set_seed(seed)
    model = experiment.build()
    if experiment.start:
        experiment.start(model, seed)
    model.optimizer.build(model.trainable_variables)
    callbacks = experiment.callbacks()
    progress = restore_state(model, folder / "state.npz", callbacks)
    keep = KeepState(
        folder / "state.npz",
        progress,
        metric=f"val_{experiment.metric}",
        save_best=lambda: save_model(model, folder / "best.keras", experiment.info),
        others=callbacks,
        patience=experiment.patience,
        min_improvement=experiment.min_improvement,
    )
    modalities = list(model.input)
    training = batches(
        experiment.train,
        experiment.batch_size,
        modalities=modalities,
        shuffle=experiment.shuffle,
        seed=seed,
        drop_remainder=True,
        repeat=True,
        first_epoch=progress.epoch,
    )
    # The last epoch is always validated, so that a run of any length has something to choose from.
    every, last = experiment.validate_every, experiment.epochs
    validated = [*range(every, last, every), last]
    validation = {"validation_freq": validated}
    if experiment.trained_output:
        training = training.map(lambda inputs, labels: (inputs, {experiment.trained_output: labels}))
    else:
        validation["validation_data"] = batches(experiment.val, experiment.batch_size, modalities=modalities)
    scores = [Score(name, measure, validated) for name, measure in _measures(experiment, progress, folder).items()]
    if progress.epoch < last and not progress.is_stopped(experiment.patience):
        with warnings.catch_warnings():
            # Only its end says how many batches a stream has; Keras warns of that at each validation.
            warnings.filterwarnings("ignore", "Your input ran out of data", UserWarning)
            model.fit(
                training,
                steps_per_epoch=steps_per_epoch(experiment.train, experiment.batch_size, drop_remainder=True),
                initial_epoch=progress.epoch,
                epochs=last,
                callbacks=[*scores, keras.callbacks.TensorBoard(folder / "tensorboard"), *callbacks, keep],
                shuffle=False,  # the batches come in their own order
                verbose=0,
                **validation,
            )
    columns = progress.columns()
    columns.pop(_watched_name(experiment), None)
    charts.curves(folder / "curves.png", columns)
    return progress


def _measures(experiment: Experiment, progress: Progress, folder: Path) -> dict[str, Callable]:
    """Figures that are measured beside Keras's own validation: name -> function of the model."""

    def watch(model: keras.Model) -> float:
        outcome = _measured(experiment, model, experiment.test)
        earlier = _best_on_test(experiment, progress)
        if earlier is None or outcome.score > earlier:
            _store(folder / "best_on_test.npz", outcome)
        return outcome.score

    measures = {}
    if experiment.trained_output:
        measures[f"val_{experiment.metric}"] = lambda model: _measured(experiment, model, experiment.val).score
    if experiment.watch_test:
        measures[_watched_name(experiment)] = watch
    return measures


def _watched_name(experiment: Experiment) -> str:
    return f"test_{experiment.metric}"


def _best_on_test(experiment: Experiment, progress: Progress) -> float | None:
    name = _watched_name(experiment)
    return max((epoch[name] for epoch in progress.history if name in epoch), default=None)


def _test(experiment: Experiment, folder: Path) -> dict:
    """The figure on the test split, with the weights that validation chose; the predictions are stored."""
    model, _ = load_model(folder / "best.keras")
    outcome = _measured(experiment, model, experiment.test)
    _store(folder / "predictions.npz", outcome)
    figures = {"figures": dict(outcome.figures)} if outcome.figures else {}
    return {"test": outcome.score, "parameters": model.count_params(), **figures}


def _measured(experiment: Experiment, model: keras.Model, split: Split | Stream) -> Outcome:
    if experiment.measure:
        return experiment.measure(model, split)
    predictions = predict(model, split, experiment.batch_size, output=experiment.scored_output)
    arrays = {"ids": np.array(split.ids), "labels": split.labels, "predictions": predictions}
    return Outcome(experiment.score(split.labels, predictions), arrays)


def _store(path: Path, outcome: Outcome) -> None:
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **outcome.arrays)


def predict(model: keras.Model, split: Split, batch_size: int = 64, *, output: str | None = None) -> np.ndarray:
    """The model's output for every video of a split, in the split's order.

    Args:
      output: which one, of a model with several.
    """
    dataset = batches(split, batch_size, modalities=list(model.input)).map(lambda inputs, labels: inputs)
    predictions = model.predict(dataset, verbose=0)
    return predictions if output is None else predictions[output]


def _description(experiment: Experiment) -> dict:
    """What was run, where and with what: the part of result.json that is not a figure."""
    info = experiment.info
    return {
        "paper": info.paper,
        "model": info.model,
        "preset": info.preset,
        "dataset": info.dataset,
        "metric": experiment.metric,
        "selected_on": "val",
        "reproduces": [list(row) for row in experiment.reproduces],
        "smoke": experiment.epochs < (experiment.planned_epochs or experiment.epochs),
        "configuration": experiment.hash,
        "settings": json.loads(json.dumps(experiment.settings)),
        "features": {modality: feature.to_json() for modality, feature in info.features.items()},
        "clips": {split.name: len(split) for split in (experiment.train, experiment.val, experiment.test)},
        "command": _command(),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(),
        "versions": {
            "audio-visual-fusion": __version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


def _command() -> str:
    """The command line, with a module's name instead of the place where it is installed.

    In front stands the number of threads where it was set: sums over other parts round to other numbers.
    """
    module = getattr(sys.modules["__main__"], "__spec__", None)
    program = ["-m", module.name.removesuffix(".__main__")] if module else [Path(sys.argv[0]).name]
    threads = [f"{name}={os.environ[name]}" for name in ("TF_NUM_INTRAOP_THREADS",) if name in os.environ]
    return " ".join([*threads, shlex.join(["python", *program, *sys.argv[1:]])])


def _commit() -> str | None:
    """The commit of the checkout that this code runs from, with '+' where files differ; None elsewhere."""
    here = Path(__file__).resolve()

    def git(*words):
        words = ["git", *words]
        return subprocess.run(words, cwd=here.parent, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # An installed copy may lie in a virtual environment inside of somebody else's checkout.
        git("ls-files", "--error-unmatch", here.name)
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None
