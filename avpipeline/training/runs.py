"""Runs an experiment: seeds, resumable training, selection on validation, result.json.

A run has one folder:

    settings.json            what is trained; other settings are refused in this folder
    result.json              the result over all seeds and how it was obtained
    seed-0/state.npz         everything needed to resume (removed when the seed is finished)
    seed-0/code.json         hashes of the code that began it (likewise; then they are in result.json)
    seed-0/best.keras        the weights selected: with the best validation score, or the last validated
    seed-0/log.csv, tensorboard/, curves.png
    seed-0/predictions.npz   labels and predictions of the test split, from which the result is computed
    seed-0/best_on_test.npz  the same at the epoch with the best test score, where the test split was watched
    seed-0/result.json

Many papers print the best score that the test split ever reached during training. With `watch_test` that score is
recorded too, beside the selected one and under its own name; nothing is ever selected by it.
"""

import contextlib
import dataclasses
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from avpipeline.cli.options_file import write_options
from avpipeline.cli.progress import ProgressBar
from avpipeline.datasets.base import Split, Stream
from avpipeline.datasets.batches import batches
from avpipeline.datasets.caching import with_cache
from avpipeline.errors import InputError
from avpipeline.files import atomic_path, locked, make_folder, read_record, remove_partial, write_json
from avpipeline.nn.backends import has_gpu, require_tensorflow
from avpipeline.training import strategy
from avpipeline.training.curves import draw_curves
from avpipeline.training.experiment import Experiment, Outcome, Splits
from avpipeline.training.familiarity import feature_statistics
from avpipeline.training.loggers import logged
from avpipeline.training.record import code, different_code, record
from avpipeline.training.saved import load_model, save_model
from avpipeline.training.settings import DeviceSettings
from avpipeline.training.state import KeepState, Progress, Scores, restore_state, write_log
from avpipeline.training.steps import take_together
from avpipeline.training.strategy import Team

# The code that began a seed, kept beside its state.
_CODE = "code.json"


def run(
    experiment: Experiment,
    out,
    seeds: Sequence[int],
    *,
    watch_test: bool = False,
    options: Mapping[str, object] | None = None,
) -> dict:
    """Trains `experiment` with each seed and writes result.json; resumes an interrupted run.

    Args:
      out: folder of the run.
      watch_test: also evaluate the test split at each validation, for the record.
      options: of the command, for settings.yaml, with which it is started again.

    Returns:
      the contents of result.json: the configuration, the score of each seed and their mean and standard deviation.

    Raises:
      InputError: `out` holds a run with other settings, another process is working there, or it cannot be written; the
        devices that are asked for are not there or cannot share the batches.
    """
    require_tensorflow("training commands run")
    team = strategy.team_for(experiment)
    experiment = _prepared(experiment, team)
    if not team.is_chief:
        return _assist(experiment, Path(out), seeds, team)
    out = make_folder(out)
    with locked(out / "run", wait=False):
        remove_partial(out)
        _claim(out, experiment)
        if options is not None:
            write_options(out / "settings.yaml", options)
        results = [_run_seed(experiment, out / f"seed-{seed}", seed, watch_test, team) for seed in seeds]
        described, made = {**_description(experiment, team), **summary(results)}, record()
        earlier = {}
        with contextlib.suppress(InputError):
            earlier = read_record(out / "result.json", "remove it")
        if earlier.get("seeds") == described["seeds"]:
            # Nothing was trained now: command, date and code are those of the run that trained.
            result = {**dict.fromkeys(made), **earlier, **described}
        else:
            result = {**described, **made}
            write_json(out / "result.json", result)
        for seed in seeds:
            draw_curves(out / f"seed-{seed}", _watched_name(experiment))
    return team.from_chief(result)


def _prepared(experiment: Experiment, team: Team) -> Experiment:
    """The experiment with cached splits; also sets the precision of products, and prints a line about each."""
    devices, splits = experiment.devices, vars(experiment.splits)
    # The test split is read once a seed.
    again = {name: split for name, split in splits.items() if name != "test"}
    kept, sentence = with_cache(again, devices.cache, experiment.info.features)
    for line in filter(None, (strategy.set_tf32(devices), sentence)):
        if team.is_chief:
            print(line)
    return dataclasses.replace(experiment, splits=Splits(**{**splits, **kept}))


def _assist(experiment: Experiment, out: Path, seeds: Sequence[int], team: Team) -> dict:
    """What a worker other than the chief does: it trains along and writes nothing."""
    for seed in seeds:
        if not team.from_chief():
            _train(experiment, out / f"seed-{seed}", seed, False, team)
    return team.from_chief()


def summary(results: Sequence[Mapping]) -> dict:
    """Mean and sample standard deviation (None for one seed) of the seeds' test scores, with the seeds' results."""
    scores = [result["test"] for result in results]
    return {
        "test_mean": float(np.mean(scores)),
        "test_std": float(np.std(scores, ddof=1)) if len(scores) > 1 else None,
        "seeds": list(results),
    }


def set_seed(seed: int, *, deterministic: bool = True) -> None:
    """Seeds Python, NumPy, Keras and TensorFlow, and makes TensorFlow's kernels deterministic from then on."""
    keras.utils.set_random_seed(seed)
    if deterministic:
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


def _run_seed(experiment: Experiment, folder: Path, seed: int, watch_test: bool, team: Team) -> dict:
    """Trains and tests one seed, or returns the stored result of a finished one."""
    done = folder / "result.json"
    if team.from_chief(done.exists()):
        result = _finished(done, folder, seed)
        print(f"seed {seed}: already finished, {done} is kept (remove {folder} to train it again)")
        _tell_other_code(folder, seed, result.get("code"))
        return result
    make_folder(folder)
    begun = folder / _CODE
    if begun.exists():
        _tell_other_code(folder, seed, read_record(begun, f"remove {folder}"))
    else:
        write_json(begun, code())
    progress = _train(experiment, folder, seed, watch_test, team)
    selected = {"seed": seed, "val": progress.best_score, "best_epoch": progress.best_epoch}
    watched = {"best_on_test": _best_on_test(experiment, progress)} if watch_test else {}
    result = {**selected, **_test(experiment, folder), **watched, "code": read_record(begun, f"remove {folder}")}
    write_json(done, result)
    measured = f"{experiment.scoring.metric.replace('_', ' ')} {100 * result['test']:.1f} %"
    print(f"seed {seed}: {measured} on the test split", flush=True)
    (folder / "state.npz").unlink(missing_ok=True)
    begun.unlink(missing_ok=True)
    return result


def _tell_other_code(folder: Path, seed: int, earlier: object) -> None:
    """Prints a line if a seed was trained, or begun, with other code than this."""
    different = different_code(earlier)
    if different:
        print(
            f"seed {seed}: was trained by other code (not this {', '.join(different)}), and this code may give another "
            f"result; remove {folder} to train it again."
        )


def _finished(path: Path, folder: Path, seed: int) -> dict:
    """The stored result of a finished seed; InputError where it lacks what tables and reports need."""
    result = read_record(path, f"remove {folder} to train the seed again")
    is_whole = all(isinstance(result.get(name), int | float) for name in ("test", "val", "parameters"))
    if not is_whole or result.get("seed") != seed:
        raise InputError(f"{path}: is not the result of seed {seed}; remove {folder} to train the seed again.")
    return result


def _train(experiment: Experiment, folder: Path, seed: int, watch_test: bool, team: Team) -> Progress:
    """Trains one seed; the weights that the schedule selects are saved in best.keras."""
    splits, schedule, scoring = experiment.splits, experiment.schedule, experiment.scoring
    model = _started(experiment, seed, team)
    callbacks = experiment.callbacks()
    info = dataclasses.replace(experiment.info, statistics=feature_statistics(splits.train, experiment.info.features))
    progress = restore_state(model, folder / "state.npz", callbacks)
    unshared = f"{folder}: is not the same folder on all machines; give an --out that they share."
    team.require_same(progress.epoch, unshared)
    team.vary_dropout(model)
    steps = strategy.steps_of(experiment)
    # Keras cannot take several at once on several devices.
    finite_steps = None if team.strategy else take_together(model, schedule.batch_size, steps, callbacks)
    keep = KeepState(
        folder / "state.npz" if team.is_chief else None,
        progress,
        metric=f"val_{scoring.metric}",
        schedule=schedule,
        save_best=lambda: save_model(model, folder / "best.keras", info),
        others=callbacks,
        finite_steps=finite_steps,
    )
    modalities = list(model.input)
    training = team.training(experiment, modalities, seed, progress.epoch)
    validation, scores = _validation(experiment, progress, folder, watch_test, modalities, team)
    if progress.epoch < schedule.epochs and not progress.is_stopped(schedule.patience):
        logger = experiment.logger if team.is_chief else None
        with warnings.catch_warnings(), logged(experiment, logger, folder, seed) as logging:
            # The length of a stream is known only at its end, and Keras warns about that at each validation.
            warnings.filterwarnings("ignore", "Your input ran out of data", UserWarning)
            board = [keras.callbacks.TensorBoard(folder / "tensorboard")] if team.is_chief else []
            team.fit(
                model,
                training,
                steps=steps,
                initial_epoch=progress.epoch,
                epochs=schedule.epochs,
                callbacks=[scores, *board, *logging, *callbacks, keep],
                **validation,
            )
    if team.is_chief:
        # A process killed between the last state and its log left the log one validation behind.
        write_log(progress, folder / "log.csv")
    return progress


def _started(experiment: Experiment, seed: int, team: Team) -> keras.Model:
    """The compiled model of a seed, on every replica, as it is before the first step."""
    devices = experiment.devices
    set_seed(seed, deterministic=devices.deterministic)
    with team.scope(), strategy.precision(devices.precision):
        model = experiment.build()
        if experiment.start:
            experiment.start(model, seed)
        model.optimizer.build(model.trainable_variables)
    strategy.set_jit(model, devices, team)
    if strategy.last_batch(experiment) % team.replicas:
        strategy.weigh_pieces(model)
    return model


def _validation(
    experiment: Experiment, progress: Progress, folder: Path, watch_test: bool, modalities: Sequence[str], team: Team
) -> tuple[dict, Scores]:
    """How training is validated: the arguments of Keras's own validation, and a callback that adds further scores."""
    scoring, schedule, val = experiment.scoring, experiment.schedule, experiment.splits.val
    data = None if scoring.trained_output else batches(val, schedule.batch_size, modalities=modalities)

    def measured(model: keras.Model) -> dict[str, float]:
        scores = {}
        if data and team.strategy:
            logs = model.evaluate(data, return_dict=True, verbose=0)
            # Named as `fit` names them.
            scores = {f"val_{name}": value for name, value in logs.items()}
        if scoring.validate:
            scores[f"val_{scoring.metric}"] = scoring.validate(val.labels, _predicted(experiment, model, val))
        elif scoring.trained_output:
            scores[f"val_{scoring.metric}"] = _measured(experiment, model, val).score
        if watch_test:
            scores[_watched_name(experiment)] = _watched(experiment, model, progress, folder)
        return scores

    if team.strategy:
        return {}, Scores(strategy.measured_by_chief(team, measured), schedule.validated)
    by_keras = {"validation_data": data, "validation_freq": schedule.validated} if data else {}
    return by_keras, Scores(measured, schedule.validated)


def _watched(experiment: Experiment, model: keras.Model, progress: Progress, folder: Path) -> float:
    """The score on the test split; stores the predictions if it is the best one so far."""
    outcome = _measured(experiment, model, experiment.splits.test)
    earlier = _best_on_test(experiment, progress)
    if earlier is None or outcome.score > earlier:
        _store(folder / "best_on_test.npz", outcome)
    return outcome.score


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
    predictions = _predicted(experiment, model, split)
    arrays = {"ids": np.array(split.ids), "labels": split.labels, "predictions": predictions}
    return Outcome(scoring.score(split.labels, predictions), arrays)


def _predicted(experiment: Experiment, model: keras.Model, split: Split) -> np.ndarray:
    return predict(model, split, experiment.schedule.batch_size, output=experiment.scoring.scored_output)


def _store(path: Path, outcome: Outcome) -> None:
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **outcome.arrays)


def predict(
    model: keras.Model, split: Split | Stream, batch_size: int = 64, *, output: str | None = None
) -> np.ndarray:
    """The model's output for every video of a split, in the order of the split.

    Args:
      output: name of the output, for a model with several.
    """
    dataset = batches(split, batch_size, modalities=list(model.input)).map(lambda inputs, labels: inputs)
    with ProgressBar(total=len(split), desc="predicting", unit="video", leave=False) as bar:
        size = batch_size * model.steps_per_execution
        count = keras.callbacks.LambdaCallback(
            on_predict_batch_end=lambda batch, logs: bar.update(min(size, bar.total - bar.n))
        )
        predictions = model.predict(dataset, verbose=0, callbacks=[count])
    return predictions if output is None else predictions[output]


def _description(experiment: Experiment, team: Team) -> dict:
    """What was run, and with which settings and versions: the part of result.json that is not a score."""
    info = experiment.info
    return {
        "paper": info.paper,
        "model": info.model,
        "preset": info.preset,
        "dataset": experiment.data.key,
        "data": experiment.data.to_json(),
        "metric": experiment.scoring.metric,
        "selected_on": "val" if experiment.schedule.select == "best" else "last validated epoch",
        "reproduces": [list(row) for row in experiment.reproduces],
        "unlike": list(experiment.unlike),
        "differences": {
            name: {"ours": mine, "preset": planned} for name, (mine, planned) in experiment.differences.items()
        },
        "smoke": experiment.schedule.is_smoke,
        "configuration": experiment.hash,
        "settings": json.loads(json.dumps(experiment.settings)),
        "features": {modality: feature.to_json() for modality, feature in info.features.items()},
        "devices": _devices(experiment.devices, team),
        "clips": {split.name: len(split) for split in vars(experiment.splits).values()},
    }


def _devices(devices: DeviceSettings, team: Team) -> dict:
    shared = {"strategy": team.name, "replicas": team.replicas, "workers": team.workers}
    rounded = {"tf32": devices.tf32} if has_gpu() else {}
    return {**shared, "jit": devices.jit, "deterministic": devices.deterministic, **rounded}
