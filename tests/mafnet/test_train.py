"""The training command: a run on few synthetic clips, UCF51's splits, the recipe, the result beside the paper's."""

import dataclasses
import functools
import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest

import mafnet
from avpipeline import metrics
from avpipeline.datasets import official
from avpipeline.datasets.ucf51 import read_ucf51
from avpipeline.nn.losses import MultiLabelSoftMargin
from avpipeline.training import runs
from avpipeline.training.state import Progress
from mafnet import config, data, train
from tests.helpers.commands import run_command
from tests.helpers.finished_runs import finish_seeds
from tests.helpers.mafnet_data import NARROW, video_split, video_splits
from tests.helpers.own_clips import write_features
from tests.helpers.video_files import write_lines, write_ucf51

command = functools.partial(run_command, train)


@pytest.fixture
def ucf51(tmp_path, monkeypatch):
    """The three official splits in small, with 3, 2 and 1 test videos, and features of them all."""
    folder = tmp_path / "ucf51"
    for fold in (1, 2, 3):
        write_ucf51(folder, split=fold)
        lines = (folder / f"testlist0{fold}.txt").read_text().splitlines()
        write_lines(folder, f"testlist0{fold}.txt", lines[fold - 1 :])
        # As few as there are here.
        monkeypatch.setitem(official.OFFICIAL, f"ucf51-{fold}", official.Official("UCF51", {"test": (4 - fold,)}))
    ids = tuple(clip for name in ("train", "val", "test") for clip in read_ucf51(folder, name).ids)
    write_features(folder, {"all": dataclasses.replace(video_split("all", len(ids)), ids=ids)})
    return folder


def small(model="mafnet", dataset="ave", **changes):
    own = train.PAPER.settings_for(model, dataset=dataset, **changes)
    network = dataclasses.replace(own.network, **NARROW)
    return dataclasses.replace(own, network=network, training=mafnet.train_config(batch_size=4, epochs=3))


def test_command_writes_result_weights_logs_and_pictures(few_clips, tmp_path, capsys):
    assert command("--epochs", 2, "--batch-size", 5, "--units", 8, "--filters", 8, "--out", tmp_path) == 0
    said = capsys.readouterr().out
    assert "the first test video; it is " in said
    assert "90.86" not in said and "Table 1" not in said
    assert "units 8 instead of 64" in said and "batch_size 5 instead of" in said and "epochs 2 instead of 60" in said
    assert "synthetic clips, 4 in the test split (smoke: 2 of 60 epochs)" in said
    assert "instead of the published sizes: units 8, filters 8" in said

    result = json.loads((tmp_path / "result.json").read_text())
    assert result["smoke"] and result["reproduces"] == []
    assert result["settings"]["training"]["epochs"] == 2 and result["metric"] == "video_accuracy"
    assert f"{100 * result['test_mean']:.1f} % (1 seed)" in said
    for name in ("best.keras", "log.csv", "curves.png", "predictions.npz"):
        assert (tmp_path / "seed-0" / name).exists()
    (seed,) = result["seeds"]
    with np.load(tmp_path / "seed-0" / "predictions.npz") as file:
        assert seed["test"] == metrics.segment_accuracy(file["labels"], file["predictions"])
    assert {path.name.split("_")[-1] for path in (tmp_path / "example").iterdir()} == {
        "000000.txt", "000000.json", "scores.png"
    }  # fmt: skip


SCORES = ("val", "test", "best_on_test")


def test_seeds_are_counted_up(tmp_path):
    finish_seeds(tmp_path, {3: 0.5, 4: 0.6})
    trained = train.PAPER.train(small(out=tmp_path, seeds=2, seed=3), video_splits(test=9))
    assert [seed["seed"] for seed in trained.result["seeds"]] == [3, 4]
    assert trained.predictions == tuple(tmp_path / f"seed-{seed}" / "predictions.npz" for seed in (3, 4))
    assert trained.weights == tmp_path / "seed-3" / "best.keras" and len(trained.experiment.splits.test) == 9


def test_ucf51_is_the_mean_over_its_three_official_splits(ucf51, tmp_path):
    """All runs but the last are finished; that one is trained, and watches its test split."""
    rng = np.random.default_rng(0)
    settings = small("visual", dataset="ucf51", out=tmp_path / "run", data=ucf51, seeds=2)
    settings = dataclasses.replace(settings, training=dataclasses.replace(settings.training, epochs=1))
    folders = [tmp_path / "run" / f"split-{fold}" for fold in (1, 2, 3)]
    for folder, seed in itertools.product(folders, (0, 1)):
        if (folder, seed) != (folders[-1], 1):
            val, test, best = rng.random(3)
            finish_seeds(folder, {seed: test}, val=val, best_on_test=best)
    trained = train.PAPER.train(settings, watch_test=True)

    def stored(folder, seed):
        return json.loads((folder / f"seed-{seed}" / "result.json").read_text())

    drawn = np.array([[[stored(folder, seed)[name] for name in SCORES] for seed in (0, 1)] for folder in folders])
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result == json.loads(json.dumps(trained.result)) and result["dataset"] == "ucf51"
    assert [clips["test"] for clips in result["clips"].values()] == [3, 2, 1]
    for index, seed in enumerate(result["seeds"]):
        np.testing.assert_allclose([seed[name] for name in SCORES], drawn[:, index].mean(0))
    np.testing.assert_allclose(result["test_mean"], drawn[:, :, 1].mean())
    np.testing.assert_allclose(result["test_std"], drawn[:, :, 1].mean(0).std(ddof=1))
    np.testing.assert_allclose([*result["splits"].values()], drawn[:, :, 1].mean(1))
    own = [json.loads((folder / "result.json").read_text())["configuration"] for folder in folders]
    assert len({result["configuration"], *own}) == 4
    assert all("model: visual" in (folder / "settings.yaml").read_text() for folder in folders)
    files = [f"split-{fold}/seed-{seed}/predictions.npz" for seed in (0, 1) for fold in (1, 2, 3)]
    assert trained.predictions == tuple(tmp_path / "run" / file for file in files)


def test_a_model_of_one_modality_says_so():
    experiment = train.PAPER.experiment(small("visual"), video_splits())
    assert list(experiment.info.features) == list(experiment.settings["features"]) == ["visual"]
    assert list(experiment.build().input) == ["visual"]


def test_draws_follow_the_seed():
    experiment = train.PAPER.experiment(small(), video_splits())
    seeds = []
    for seed in (0, 0, 1):
        runs.set_seed(seed)
        seeds.append(experiment.build().optimizer.seed)
    assert seeds[0] == seeds[1] != seeds[2]


def test_the_authors_recipe_is_the_default():
    recipe = train.PAPER.settings_for("mafnet", dataset="ave").training
    assert (recipe.learning_rate, recipe.batch_size, recipe.epochs) == (1e-4, 32, 300)
    schedule = train.PAPER.experiment(small(), video_splits()).schedule
    for one in (recipe, schedule):
        assert (one.patience, one.min_improvement, one.shuffle, one.partial_batches) == (51, 1e-4, True, False)


def test_training_stops_after_51_epochs_without_a_better_one():
    """More than 1e-4 better; the first epoch's weights are selected until there is a better one."""
    schedule = train.PAPER.experiment(small(), video_splits()).schedule
    assert schedule.selects(0.5, -np.inf) and not schedule.selects(0.5001, 0.5) and schedule.selects(0.50011, 0.5)
    stopped = [epoch for epoch in range(1, 60) if Progress(epoch, best_epoch=1).is_stopped(schedule.patience)]
    assert stopped[0] == 52
    assert train.PAPER.settings_for("mafnet", "paper", "ave").training.patience == 50


@pytest.mark.parametrize("preset", config.PRESETS)
def test_other_papers_models_are_trained_as_their_code_does(preset):
    """Table 1: "trained based on code available online"."""
    training = train.PAPER.settings_for("dmrn", preset, "ave").training
    assert training == train.PAPER.settings_for("dmrn_vgg", preset, "ave").training
    assert (training.loss, training.learning_rate, training.batch_size) == ("soft_margin", 1e-3, 64)
    assert (training.decay_steps, training.shuffle, training.partial_batches) == (15_000, False, False)
    schedule = train.PAPER.experiment(train.PAPER.settings_for("dmrn", preset, "ave"), video_splits()).schedule
    assert schedule.validated == list(range(1, 297, 5)) and schedule.patience is None
    cluster = train.PAPER.settings_for("attention_cluster", preset, "ave").training
    assert (cluster.loss, cluster.learning_rate, cluster.batch_size) == ("cross_entropy", 1e-3, 64)
    assert (cluster.epochs, cluster.shuffle, cluster.partial_batches, cluster.patience) == (100, True, True, None)


def test_dmrns_loss_and_rate_are_aves():
    settings = train.PAPER.settings_for("dmrn", dataset="ave")
    settings = dataclasses.replace(settings, network=dataclasses.replace(settings.network, **NARROW))
    model = train.PAPER.experiment(settings, video_splits()).build()
    assert isinstance(model.loss, MultiLabelSoftMargin)
    rate = model.optimizer._learning_rate
    assert [float(rate(step)) for step in (14_999, 15_000)] == pytest.approx([1e-3, 1e-4])


def test_the_paper_s_result_is_that_of_the_dataset():
    def printed(model, dataset):
        settings = train.PAPER.settings_for(model, dataset=dataset)
        experiment = SimpleNamespace(splits=SimpleNamespace(test=range(402)))  # as many videos as AVE tests
        trained = SimpleNamespace(settings=settings, scores=(50.0,), data="some clips", experiment=experiment)
        ((published, _),) = train.compared(train.PAPER, trained)
        return published.value

    values = {name: printed("mafnet", name) for name in data.DATASETS if name != "csv"}
    assert values == {"rendered": "90.86", "ave": "90.86", "ucf51": "86.72", "kinetics_sounds": "83.94"}
    assert printed("mcb", "ucf51") == "88.83"
