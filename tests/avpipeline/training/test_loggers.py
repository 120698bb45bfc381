"""--logger: the curves of a run in Weights & Biases or MLflow, without a network."""

import dataclasses
import sys
from types import SimpleNamespace

import pytest

from avpipeline.cli import run
from avpipeline.errors import InputError
from avpipeline.training import loggers, runs
from tests.helpers.environment import without_packages
from tests.helpers.small_runs import experiment


def test_one_that_is_not_installed_is_one_sentence(capsys):
    from ave import train

    with without_packages("wandb"):
        assert run(train.main, prog="it", argv=["--logger", "wandb"], defaults=train.PAPER.defaults) == 2
    said = "it: error: --logger wandb: is not installed; pip install 'audio-visual-fusion[wandb]'.\n"
    assert capsys.readouterr().err == said


def test_without_one_nothing_is_added(tmp_path):
    with loggers.logged(experiment(), None, tmp_path, 0) as callbacks:
        assert callbacks == []


def test_a_run_that_cannot_begin_is_one_sentence(monkeypatch, tmp_path):
    def refused(**given):
        raise RuntimeError("not logged in\nmore")

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=refused))
    monkeypatch.setitem(sys.modules, "wandb.integration.keras", SimpleNamespace(WandbMetricsLogger=None))
    with pytest.raises(InputError, match=r"^--logger wandb: cannot begin a run \(not logged in\); correct"):
        loggers.logged(experiment(), "wandb", tmp_path, 0).__enter__()


def test_wandb_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    runs.run(dataclasses.replace(experiment(), logger="wandb"), tmp_path, [0])
    (written,) = (tmp_path / "seed-0" / "wandb").glob("offline-run-*/run-*.wandb")
    assert b"val_" in written.read_bytes()


def test_mlflow_in_a_folder(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())
    own = dataclasses.replace(experiment(), logger="mlflow")
    result = runs.run(own, tmp_path / "run", [0])
    (found,) = mlflow.search_runs(experiment_names=[own.info.paper], output_format="list")
    assert found.info.status == "FINISHED" and found.data.tags["configuration"] == result["configuration"]
    assert any(name.startswith("val_") for name in found.data.metrics)
