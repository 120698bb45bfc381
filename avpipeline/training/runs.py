"""Runs an experiment: seeds, resumable training, selection on validation, result.json.

A run has one folder:

    settings.json            what is trained; other settings are refused in this folder
    result.json              the result over all seeds and how it was obtained
    seed-0/state.npz         everything needed to resume (removed when the seed is finished)
    seed-0/best.keras        the weights selected: with the best validation score, or the last validated
    seed-0/log.csv, tensorboard/, curves.png
    seed-0/predictions.npz   labels and predictions of the test split, from which the result is computed
    seed-0/best_on_test.npz  the same at the epoch with the best test score, where the test split was watched
    seed-0/result.json

Many papers print the best score that the test split ever reached during training. With `watch_test` that score is
recorded too, beside the selected one and under its own name; nothing is ever selected by it.
"""

import dataclasses
import datetime
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
from avpipeline.files import atomic_path, locked, make_folder, read_record, remove_partial, write_json
from avpipeline.nn.backends import require_tensorflow
from avpipeline.plots import charts
from avpipeline.training.experiment import Experiment, Outcome
from avpipeline.training.familiarity import feature_statistics
from avpipeline.training.saved import load_model, save_model
from avpipeline.training.state import KeepState, Progress, Score, restore_state, write_log


def run(experiment: Experiment, out, seeds: Sequence[int], *, watch_test: bool = False) -> dict:
    """Trains `experiment` with each seed and writes result.json; resumes an interrupted run.

    Args:
      out: folder of the run.
      watch_test: also evaluate the test split at each validation, for the record.

    Returns:
      the contents of result.json: the configuration, the score of each seed and their mean and standard deviation.

    Raises:
      InputError: `out` holds a run with other settings, another process is working there, or it cannot be written.
    """
    require_tensorflow("training commands run")
    out = make_folder(out)
    with locked(out / "run", wait=False):
        remove_partial(out)
        _claim(out, experiment)
        results = [_run_seed(experiment, out / f"seed-{seed}", seed, watch_test) for seed in seeds]
        result = {**_description(experiment), **summary(results)}
        earlier = _earlier_result(out / "result.json")
        if earlier.get("seeds") == result["seeds"]:
            # Nothing was trained: command, date and commit are those of the run that did.
            return {**result, **earlier}
        write_json(out / "result.json", result)
    return result


def _earlier_result(path: Path) -> dict:
    """What an earlier run left in result.json; empty where there is none that can be read."""
    try:
        return read_record(path, "remove it")
    except InputError:
        return {}


def summary(results: Sequence[Mapping]) -> dict:
    """Mean and sample standard deviation (None for one seed) of the seeds' test scores, with the seeds' results."""
    scores = [result["test"] for result in results]
    return {
        "test_mean": float(np.mean(scores)),
        "test_std": float(np.std(scores, ddof=1)) if len(scores) > 1 else None,
        "seeds": list(results),
    }


def set_seed(seed: int) -> None:
    """Seeds Python, NumPy, Keras and TensorFlow, and makes TensorFlow's kernels deterministic."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def _claim(out: Path, experiment: Experiment) -> None:
    """Refuses a folder that holds another experiment; otherwise writes this one's settings there."""
    path = out / "settings.json"
    settings = json.loads(json.dumps(experiment.settings))
    if path.exists():
        earlier = read_record(path, "remove the folder or choose another --out")
        if earlier != settings:
            names = sorted(name for name in {*earlier, *settings} if earlier.get(name) != settings.get(name))
            raise InputError(
                f"{out}: holds a run with other settings ({', '.join(names)}); choose another --out or remove it."
            )
    write_json(path, settings)


def _run_seed(experiment: Experiment, folder: Path, seed: int, watch_test: bool) -> dict:
    """Trains and tests one seed, or returns the stored result of a finished one."""
    done = folder / "result.json"
    if done.exists():
        print(f"seed {seed}: already finished, {done} is kept (remove {folder} to train it again)")
        return _finished(done, folder, seed)
    make_folder(folder)
    progress = _train(experiment, folder, seed, watch_test)
    selected = {"seed": seed, "val": progress.best_score, "best_epoch": progress.best_epoch}
    watched = {"best_on_test": _best_on_test(experiment, progress)} if watch_test else {}
    result = {**selected, **_test(experiment, folder), **watched}
    write_json(done, result)
    (folder / "state.npz").unlink(missing_ok=True)
    return result


def _finished(path: Path, folder: Path, seed: int) -> dict:
    """The stored result of a finished seed; InputError where it lacks what tables and reports need."""
    result = read_record(path, f"remove {folder} to train the seed again")
    is_whole = all(isinstance(result.get(name), int | float) for name in ("test", "val", "parameters"))
    if not is_whole or result.get("seed") != seed:
        raise InputError(f"{path}: is not the result of seed {seed}; remove {folder} to train the seed again.")
    return result


def _train(experiment: Experiment, folder: Path, seed: int, watch_test: bool) -> Progress:
    """Trains one seed; the weights that the schedule selects are saved in best.keras."""
    set_seed(seed)
    model = experiment.build()
    if experiment.start:
        experiment.start(model, seed)
    model.optimizer.build(model.trainable_variables)
    splits, schedule, scoring = experiment.splits, experiment.schedule, experiment.scoring
    callbacks = experiment.callbacks()
    info = dataclasses.replace(experiment.info, statistics=feature_statistics(splits.train, experiment.info.features))
    progress = restore_state(model, folder / "state.npz", callbacks)
    keep = KeepState(
        folder / "state.npz",
        progress,
        metric=f"val_{scoring.metric}",
        schedule=schedule,
        save_best=lambda: save_model(model, folder / "best.keras", info),
        others=callbacks,
    )
    modalities = list(model.input)
    training = batches(
        splits.train,
        schedule.batch_size,
        modalities=modalities,
        shuffle=schedule.shuffle,
        seed=seed,
        drop_remainder=not schedule.partial_batches,
        repeat=True,
        first_epoch=progress.epoch,
    )
    steps = steps_per_epoch(splits.train, schedule.batch_size, drop_remainder=not schedule.partial_batches)
    validated, last = schedule.validated, schedule.epochs
    validation = {"validation_freq": validated}
    if scoring.trained_output:
        training = training.map(lambda inputs, labels: (inputs, {scoring.trained_output: labels}))
    else:
        validation["validation_data"] = batches(splits.val, schedule.batch_size, modalities=modalities)
    measures = _measures(experiment, progress, folder, watch_test)
    scores = [Score(name, measure, validated) for name, measure in measures.items()]
    if progress.epoch < last and not progress.is_stopped(schedule.patience):
        with warnings.catch_warnings():
            # The length of a stream is known only at its end, and Keras warns about that at each validation.
            warnings.filterwarnings("ignore", "Your input ran out of data", UserWarning)
            model.fit(
                training,
                steps_per_epoch=steps,
                initial_epoch=progress.epoch,
                epochs=last,
                callbacks=[*scores, keras.callbacks.TensorBoard(folder / "tensorboard"), *callbacks, keep],
                shuffle=False,  # `batches` shuffles
                verbose=0,
                **validation,
            )
    # A process killed between the last state and its log left the log one validation behind.
    write_log(progress, folder / "log.csv")
    columns = progress.columns()
    columns.pop(_watched_name(experiment), None)
    charts.curves(folder / "curves.png", columns)
    return progress


def _measures(experiment: Experiment, progress: Progress, folder: Path, watch_test: bool) -> dict[str, Callable]:
    """Scores that are computed in addition to Keras's own validation: name -> function of the model."""

    def watch(model: keras.Model) -> float:
        outcome = _measured(experiment, model, experiment.splits.test)
        earlier = _best_on_test(experiment, progress)
        if earlier is None or outcome.score > earlier:
            _store(folder / "best_on_test.npz", outcome)
        return outcome.score

    scoring, val = experiment.scoring, experiment.splits.val
    measures = {}
    if scoring.trained_output:
        measures[f"val_{scoring.metric}"] = lambda model: _measured(experiment, model, val).score
    if watch_test:
        measures[_watched_name(experiment)] = watch
    return measures


def _watched_name(experiment: Experiment) -> str:
    return f"test_{experiment.scoring.metric}"


def _best_on_test(experiment: Experiment, progress: Progress) -> float | None:
    name = _watched_name(experiment)
    return max((epoch[name] for epoch in progress.history if name in epoch), default=None)


def _test(experiment: Experiment, folder: Path) -> dict:
    """The result on the test split, with the weights selected on validation; stores the predictions."""
    model, _ = load_model(folder / "best.keras")
    outcome = _measured(experiment, model, experiment.splits.test)
    _store(folder / "predictions.npz", outcome)
    further = {"figures": dict(outcome.figures)} if outcome.figures else {}
    return {"test": outcome.score, "parameters": model.count_params(), **further}


def _measured(experiment: Experiment, model: keras.Model, split: Split | Stream) -> Outcome:
    scoring = experiment.scoring
    if scoring.measure:
        return scoring.measure(model, split)
    predictions = predict(model, split, experiment.schedule.batch_size, output=scoring.scored_output)
    arrays = {"ids": np.array(split.ids), "labels": split.labels, "predictions": predictions}
    return Outcome(scoring.score(split.labels, predictions), arrays)


def _store(path: Path, outcome: Outcome) -> None:
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **outcome.arrays)


def predict(model: keras.Model, split: Split, batch_size: int = 64, *, output: str | None = None) -> np.ndarray:
    """The model's output for every video of a split, in the order of the split.

    Args:
      output: name of the output, for a model with several.
    """
    dataset = batches(split, batch_size, modalities=list(model.input)).map(lambda inputs, labels: inputs)
    predictions = model.predict(dataset, verbose=0)
    return predictions if output is None else predictions[output]


def _description(experiment: Experiment) -> dict:
    """What was run, and with which settings and versions: the part of result.json that is not a score."""
    info = experiment.info
    return {
        "paper": info.paper,
        "model": info.model,
        "preset": info.preset,
        "dataset": info.dataset,
        "metric": experiment.scoring.metric,
        "selected_on": "val" if experiment.schedule.select == "best" else "last validated epoch",
        "reproduces": [list(row) for row in experiment.reproduces],
        "smoke": experiment.schedule.is_smoke,
        "configuration": experiment.hash,
        "settings": json.loads(json.dumps(experiment.settings)),
        "features": {modality: feature.to_json() for modality, feature in info.features.items()},
        "clips": {split.name: len(split) for split in vars(experiment.splits).values()},
        **record(),
    }


def record() -> dict:
    """How a result is obtained: the command, the date, the commit and the versions."""
    return {
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
    """The command line, with the module's name instead of its file's path.

    It starts with the number of threads if that was set, since sums over other partitions are rounded differently.
    """
    module = getattr(sys.modules["__main__"], "__spec__", None)
    program = ["-m", module.name.removesuffix(".__main__")] if module else [Path(sys.argv[0]).name]
    threads = [f"{name}={os.environ[name]}" for name in ("TF_NUM_INTRAOP_THREADS",) if name in os.environ]
    return " ".join([*threads, shlex.join(["python", *program, *sys.argv[1:]])])


def _commit() -> str | None:
    """The commit of the checkout that this code runs from, with '+' if files were changed; None outside one."""
    here = Path(__file__).resolve()

    def git(*words):
        words = ["git", *words]
        return subprocess.run(words, cwd=here.parent, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # An installed copy may be in a virtual environment inside somebody else's checkout.
        git("ls-files", "--error-unmatch", here.name)
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None
