"""On which devices a model is trained: one, the GPUs of one machine, or several machines.

TensorFlow's own strategies do the work: every replica computes the gradients of its piece of each batch, and their sum
is the gradient of the batch. The batch size is that of the recipe, whatever the number of replicas. On one machine
Keras's `fit` trains; on several it does not work in Keras 3 (its issue 20585), so `Team.fit` has a loop for them, which
shares the model's training step, callbacks and state with `fit`.

Validation, selection, logs, pictures and results are the chief's, worker 0 or the only process. The other workers write
nothing and learn from the chief what it decided.
"""

import contextlib
import dataclasses
import functools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from avpipeline.datasets.batches import batches, steps_per_epoch
from avpipeline.errors import InputError
from avpipeline.nn.backends import has_gpu
from avpipeline.nn.recurrent import unroll
from avpipeline.training.cluster import FORM, VARIABLE, all_there, read, wait_for
from avpipeline.training.experiment import Experiment
from avpipeline.training.settings import DeviceSettings

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


@dataclasses.dataclass(frozen=True)
class Team:
    """The replicas that train a model together.

    Attributes:
      name: "one", "mirrored" or "multiworker".
      strategy: TensorFlow's; None for one replica.
      worker, workers: this process's number, 0 being the chief, and how many there are.
    """

    name: str
    strategy: tf.distribute.Strategy | None = None
    worker: int = 0
    workers: int = 1

    @property
    def replicas(self) -> int:
        return self.strategy.num_replicas_in_sync if self.strategy else 1

    @property
    def is_chief(self) -> bool:
        return self.worker == 0

    def scope(self) -> contextlib.AbstractContextManager:
        """Inside, models and optimizers are built on every replica."""
        return self.strategy.scope() if self.strategy else contextlib.nullcontext()

    def from_chief(self, value=None):
        """The chief's `value`, a JSON value, on every worker; all workers must call this in the same order."""
        if self.workers == 1:
            return value
        # As floats, which every device can sum.
        text = np.frombuffer(json.dumps(value).encode() if self.is_chief else b"", np.uint8).astype(np.float32)
        size = int(self._sum(np.float32([len(text)]))[0])
        whole = self._sum(text if self.is_chief else np.zeros(size, np.float32))
        return json.loads(whole.astype(np.uint8).tobytes())

    def _sum(self, own: np.ndarray) -> np.ndarray:
        """The sum of the workers' arrays."""
        first = self.worker * self.replicas // self.workers

        def of_replica(context) -> tf.Tensor:
            return tf.constant(own if context.replica_id_in_sync_group == first else np.zeros_like(own))

        with all_there():
            values = self.strategy.experimental_distribute_values_from_function(of_replica)
            return self.strategy.reduce("SUM", values, axis=None).numpy()

    def require_same(self, value: int, sentence: str) -> None:
        """Raises InputError on every worker unless all have the same value."""
        differs = value != self.from_chief(value)
        if self.workers > 1 and self._sum(np.float32([differs]))[0]:
            raise InputError(sentence)

    def training(self, experiment: Experiment, modalities: Sequence[str], seed: int, first_epoch: int):
        """Endless training batches; with several replicas each gets its own piece of every batch.

        Each video of an epoch is in exactly one piece.
        """
        schedule = experiment.schedule
        order = {"shuffle": schedule.shuffle, "seed": seed, "repeat": True, "first_epoch": first_epoch}
        order |= {"modalities": modalities, "drop_remainder": not schedule.partial_batches}
        read = functools.partial(batches, experiment.splits.train, schedule.batch_size, **order)
        output = experiment.scoring.trained_output

        def labelled(dataset: tf.data.Dataset) -> tf.data.Dataset:
            return dataset.map(lambda inputs, labels: (inputs, {output: labels})) if output else dataset

        if self.strategy is None:
            return labelled(read())
        own = self.replicas // self.workers
        pieces = range(self.worker * own, (self.worker + 1) * own)
        own_pieces = functools.partial(read, pieces=pieces, of=self.replicas)
        return self.strategy.distribute_datasets_from_function(lambda _: labelled(own_pieces()))

    def fit(
        self, model: keras.Model, training, *, steps: int, epochs: int, initial_epoch: int, callbacks, **validation
    ) -> None:
        """Keras's `fit` over `epochs` of `steps` batches; where there are several workers, the loop of this module.

        Args:
          validation: arguments of `fit`, for one replica.
        """
        if self.workers == 1:
            # No shuffling here, since `batches` has done it.
            length = {"steps_per_epoch": steps, "initial_epoch": initial_epoch, "epochs": epochs}
            model.fit(training, callbacks=list(callbacks), shuffle=False, verbose=0, **length, **validation)
            return
        with all_there():
            self._fit(model, training, steps, range(initial_epoch, epochs), callbacks)

    def _fit(self, model: keras.Model, training, steps: int, epochs: range, callbacks) -> None:
        batches_of_workers = iter(training)
        one = tf.nest.map_structure(
            lambda value: self.strategy.experimental_local_results(value)[0], next(iter(training))
        )
        with self.scope():
            # Creates the variables of loss and metrics, as `fit` does.
            model._symbolic_build(data_batch=one)
            together = keras.callbacks.CallbackList(
                list(callbacks), model=model, epochs=epochs.stop, steps=steps, verbose=0
            )

        @tf.function(reduce_retracing=True)
        def step() -> dict[str, tf.Tensor]:
            logs = self.strategy.run(model.train_step, args=(next(batches_of_workers),))
            # The same on every worker, so that all stop where it is not finite.
            return {"loss": self.strategy.reduce("MEAN", logs["loss"], axis=None)}

        model.stop_training = False
        together.on_train_begin()
        for epoch in epochs:
            model.reset_metrics()
            together.on_epoch_begin(epoch)
            for number in range(steps):
                together.on_train_batch_begin(number)
                together.on_train_batch_end(number, step())
            logs = {name: float(value) for name, value in model.get_metrics_result().items()}
            together.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        together.on_train_end()

    def vary_dropout(self, model: keras.Model) -> None:
        """Gives every replica but the first its own sequence of dropout masks; the saved state holds the first's."""
        states = [variable.value for variable in model.variables if variable.path.endswith("seed_generator_state")]
        if self.strategy is None or not states:
            return

        def vary() -> None:
            number = tf.distribute.get_replica_context().replica_id_in_sync_group
            for state in states:
                state.assign_add(tf.stack([tf.cast(number, state.dtype) * 0x9E3779B1, tf.zeros((), state.dtype)]))

        self.strategy.run(tf.function(vary))


def measured_by_chief(
    team: Team, measure: Callable[[keras.Model], Mapping[str, float]]
) -> Callable[[keras.Model], dict[str, float]]:
    """`measure` of a copy of the model on one device of the chief; every worker has the result."""
    copy = None

    def measured(model: keras.Model) -> dict[str, float]:
        nonlocal copy
        if copy is None:
            copy = keras.models.clone_model(model)
            # Nothing trains the copy: an optimizer without moments will do.
            copy.compile_from_config({**model.get_compile_config(), "optimizer": "sgd"})
        copy.set_weights(model.get_weights())
        return {name: float(value) for name, value in measure(copy).items()}

    return lambda model: team.from_chief(measured(model) if team.is_chief else None)


def weigh_pieces(model: keras.Model) -> None:
    """Makes the gradient that of the whole batch even if its pieces have different numbers of videos.

    Keras by itself takes the mean over a replica's videos, and then the mean over replicas.
    """
    step, scale = model.train_step, model.optimizer.scale_loss

    def weighed_step(data):
        videos = tf.cast(tf.shape(tf.nest.flatten(data)[0])[0], tf.float32)
        share = videos / tf.distribute.get_replica_context().all_reduce("MEAN", videos)
        model.optimizer.scale_loss = lambda loss: scale(loss * tf.cast(share, loss.dtype))
        return step(data)

    model.train_step = weighed_step


def last_batch(experiment: Experiment) -> int:
    """Videos in the last batch of an epoch where it is not full; else 0."""
    schedule = experiment.schedule
    return len(experiment.splits.train) % schedule.batch_size if schedule.partial_batches else 0


def team_for(experiment: Experiment, team: Team | None = None) -> Team:
    """The replicas that train `experiment`: those that were asked for, or `team`.

    Raises:
      InputError: they do not divide a batch, beside the errors of `join`.
    """
    devices = experiment.devices
    team = team or join(devices)
    problem = _indivisible(experiment, team.replicas)
    if not problem:
        return team
    if devices.strategy == "auto" and team.workers == 1:
        print(f"Training on one device: {problem}.")
        return Team("one")
    alone = "--strategy one" if team.workers == 1 else f"remove {VARIABLE}"
    raise InputError(f"--strategy {devices.strategy}: {problem}; choose another --batch-size or {alone}.")


def _indivisible(experiment: Experiment, replicas: int) -> str:
    """Why `replicas` cannot share the batches; "" where they can."""
    size, last = experiment.schedule.batch_size, last_batch(experiment)
    if replicas > 1 and not experiment.is_mean_of_videos:
        return "its loss is that of a whole batch, and no mean over videos"
    if size % replicas:
        return f"batches of {size} videos cannot be divided among {replicas} devices"
    if 0 < last < replicas:
        return f"the last batch of an epoch has {last} videos for {replicas} devices"
    return ""


def join(devices: DeviceSettings) -> Team:
    """The replicas that were asked for; several workers wait for one another here, before TensorFlow does any work.

    Raises:
      InputError: there are no such devices, TF_CONFIG is not used, is malformed or names workers that do not answer
        within `devices.wait` seconds.
    """
    return _joined(devices.strategy, os.environ.get(VARIABLE) or "", devices.wait)


@functools.cache
def _joined(strategy: str, cluster: str, wait: int) -> Team:
    if cluster and strategy in ("one", "mirrored"):
        raise InputError(
            f"--strategy {strategy}: {VARIABLE} is set, which names several workers; choose --strategy multiworker or "
            "remove that variable."
        )
    if strategy == "multiworker" and not cluster:
        raise InputError(
            f"--strategy multiworker: {VARIABLE} is not set; start the command on each machine with it, as {FORM}."
        )
    if cluster:
        addresses, own = read(cluster)
        wait_for(addresses, own, wait)
        return Team("multiworker", tf.distribute.MultiWorkerMirroredStrategy(), own, len(addresses))
    names = [device.name for device in tf.config.list_logical_devices("GPU")]
    if strategy == "mirrored" and not names:
        names = [device.name for device in tf.config.list_logical_devices("CPU")]
    if strategy == "mirrored" and len(names) < 2:
        raise InputError("--strategy mirrored: there is only one device here; choose --strategy one or auto.")
    if strategy == "one" or len(names) < 2:
        return Team("one")
    return Team("mirrored", tf.distribute.MirroredStrategy(names))


@contextlib.contextmanager
def precision(name: str | None) -> Iterator[None]:
    """Layers built inside compute in "float32", "bfloat16" or "float16" (None: as before), with weights in float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(_POLICIES[name] if name else before)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def set_tf32(devices: DeviceSettings) -> str:
    """Switches TF32 on or off; returns a sentence about it where a GPU is visible, else ""."""
    tf.config.experimental.enable_tensor_float_32_execution(devices.tf32 == "on")
    if not has_gpu():
        return ""
    if devices.tf32 == "on":
        return "The GPU multiplies float32 numbers in TF32, of 10 bits (--tf32 off keeps all 23)."
    return "The GPU multiplies float32 numbers with all 23 bits (--tf32 on is faster)."


def set_jit(model: keras.Model, devices: DeviceSettings, team: Team) -> None:
    """Switches XLA for the training steps; "auto" leaves what `compile_model` chose.

    Raises:
      InputError: XLA is asked for on several replicas, whose gradients it cannot sum, or for a model that Keras cannot
        compile with it.
    """
    if devices.jit == "on" and team.replicas > 1:
        raise InputError(f"--jit on: XLA compiles for one device, and {team.replicas} train; leave it out.")
    if devices.jit == "on":
        unroll(model)
    if devices.jit != "auto":
        model.jit_compile = devices.jit == "on"
    if devices.jit == "on" and not model.jit_compile:
        raise InputError("--jit on: Keras cannot compile this model with XLA in this process; leave it out.")


def steps_of(experiment: Experiment) -> int:
    """Batches in an epoch."""
    schedule = experiment.schedule
    return steps_per_epoch(experiment.splits.train, schedule.batch_size, drop_remainder=not schedule.partial_batches)
