"""`--logger`: also shows a run's curves in Weights & Biases or MLflow, through their own callbacks for Keras.

Whether and where they send anything is configured there, e.g. by WANDB_MODE=offline or MLFLOW_TRACKING_URI.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import keras

from avpipeline.errors import InputError
from avpipeline.files import first_line
from avpipeline.training.experiment import Experiment


@contextlib.contextmanager
def logged(
    experiment: Experiment, logger: str | None, folder: Path, seed: int
) -> Iterator[list[keras.callbacks.Callback]]:
    """Opens a seed's run in a logger, "wandb", "mlflow" or none; yields the callbacks to train with.

    Raises:
      InputError: the logger cannot open a run.
    """
    open_run = {None: lambda *_: contextlib.nullcontext([]), "wandb": _wandb, "mlflow": _mlflow}[logger]
    settings = json.loads(json.dumps(experiment.settings))
    with contextlib.ExitStack() as stack:
        try:
            run = open_run(experiment, settings, folder, f"{experiment.info.model} seed {seed}")
            callbacks = stack.enter_context(run)
        except Exception as error:  # Both raise many kinds of exception.
            raise InputError(
                f"--logger {logger}: cannot begin a run ({first_line(error)}); correct its settings or leave it out."
            ) from error
        yield callbacks


@contextlib.contextmanager
def _wandb(experiment: Experiment, settings: dict, folder: Path, name: str) -> Iterator[list]:
    import wandb
    from wandb.integration.keras import WandbMetricsLogger

    described = {"project": experiment.info.paper, "name": name, "group": experiment.hash}
    with wandb.init(dir=folder, config=settings, **described):
        yield [WandbMetricsLogger()]


@contextlib.contextmanager
def _mlflow(experiment: Experiment, settings: dict, folder: Path, name: str) -> Iterator[list]:
    import mlflow
    from mlflow.keras import MlflowCallback

    mlflow.set_experiment(experiment.info.paper)
    with mlflow.start_run(run_name=name, tags={"configuration": experiment.hash}):
        mlflow.log_dict(settings, "settings.json")
        yield [MlflowCallback()]
