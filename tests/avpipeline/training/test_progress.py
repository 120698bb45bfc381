"""What training shows: steps, with the loss of the last epoch; curves after the result."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from avpipeline.errors import InputError
from avpipeline.plots import charts
from avpipeline.results import report
from avpipeline.training import runs, state
from avpipeline.training.curves import curves_last, draw_curves
from avpipeline.training.settings import DeviceSettings
from avpipeline.training.state import KeepState, Progress
from tests.helpers.environment import slow_clock
from tests.helpers.pictures import is_same_picture
from tests.helpers.small_runs import experiment
from tests.helpers.synthetic import synthetic_split


@pytest.fixture
def slow():
    with slow_clock():
        yield


@pytest.mark.parametrize("together", [1, 2])
def test_a_resumed_run_goes_on_in_steps(tmp_path, slow, capsys, together):
    """Four of five epochs of four steps, so many in one call."""
    keep = KeepState(tmp_path / "state.npz", Progress(epoch=1), metric="val_x", schedule=None, save_best=None)
    keep.set_params({"epochs": 5, "steps": 4})
    keep.set_model(SimpleNamespace(steps_per_execution=together))
    keep.on_train_begin()
    said, lines = [], []
    for epoch in range(1, 5):
        keep.on_epoch_begin(epoch)
        for step in range(together - 1, 4, together):
            keep.on_train_batch_end(step, {"loss": 0.5})
        lines += capsys.readouterr().err.splitlines()
        said.append(len(lines))
        keep.on_epoch_end(epoch, {"loss": epoch / 10})
    keep.on_train_end()
    lines += capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"training: {n} of 20 steps" for n in range(6, 21, 2)]
    # An epoch's last step counts after its validation, and the line has its loss.
    assert said == [1, 3, 5, 7]
    assert lines[1].endswith("left, epoch=2, loss=0.1000") and lines[2].endswith("left, epoch=2, loss=0.1000")
    assert " took " in lines[-1] and lines[-1].endswith("epoch=5, loss=0.4000")


def test_a_run_counts_steps_and_videos_and_keeps_its_result_where_the_curves_fail(tmp_path, slow, capsys):
    """The log, which the curves are drawn from, is damaged while the test split is scored."""
    whole, log = experiment(epochs=2), tmp_path / "seed-0" / "log.csv"

    def score(labels, predictions):
        log.rename(tmp_path / "kept.csv")
        log.write_text("")
        return whole.scoring.score(labels, predictions)

    damaging = dataclasses.replace(whole, scoring=dataclasses.replace(whole.scoring, score=score))
    with pytest.raises(InputError, match="log.csv: is damaged, so that no curves can be drawn"):
        runs.run(damaging, tmp_path, [0])
    assert (tmp_path / "seed-0" / "result.json").exists() and (tmp_path / "result.json").exists()
    lines = [line.split(",")[0] for line in capsys.readouterr().err.splitlines()]
    # Two epochs of eight clips, of which two batches of three are full and may be taken in one call; then the test.
    assert lines[-3:] == ["training: 4 of 4 steps", "predicting: 3 of 8 videos", "predicting: 6 of 8 videos"]
    assert lines[-4] == "training: 2 of 4 steps" or lines[-5:-3] == [f"training: {n} of 4 steps" for n in (2, 3)]

    (tmp_path / "kept.csv").rename(log)
    runs.run(whole, tmp_path, [0])
    assert (tmp_path / "seed-0" / "curves.png").stat().st_size > 5000


def test_prediction_says_how_far_it_is(slow, capsys):
    model = experiment().build()
    found = runs.predict(model, synthetic_split("test", 8), 3)
    assert found.shape[0] == 8
    lines = [line.split(",")[0] for line in capsys.readouterr().err.splitlines()]
    assert lines == ["predicting: 3 of 8 videos", "predicting: 6 of 8 videos"]


def test_curves_wait_for_the_end_of_the_block_and_are_drawn_once(tmp_path):
    log = [{"epoch": 1, "loss": 1 / 3, "test_x": 0.1}, {"epoch": 2, "loss": 0.25, "val_x": 0.5, "test_x": 0.2}]
    for name in ("a", "b"):
        state.write_log(Progress(history=log), tmp_path / name / "log.csv")
    first, second, none = (tmp_path / name / "curves.png" for name in "abc")
    with curves_last():
        draw_curves(first.parent, "test_x")
        assert not first.exists()
    charts.curves(tmp_path / "expected.png", {"epoch": [1, 2], "loss": [1 / 3, 0.25], "val_x": [np.nan, 0.5]})
    assert is_same_picture(first, tmp_path / "expected.png")
    first.write_bytes(b"drawn already")
    for path in (first, second, none):
        draw_curves(path.parent, "test_x")
    assert first.read_bytes() == b"drawn already" and is_same_picture(second, tmp_path / "expected.png")
    assert not none.exists()


def test_training_prints_the_result_before_it_draws(tmp_path, capsys):
    """What is printed is there where the curves cannot be drawn; the example comes after them, and has its own line."""
    said, curves = [], tmp_path / "curves.png"
    settings = SimpleNamespace(devices=DeviceSettings(), model="m", preset="p", folder=tmp_path)
    data = SimpleNamespace(described=lambda: "the data")
    trained = SimpleNamespace(
        settings=settings,
        unlike=("of your own",),
        scores=(62.5,),
        data="clips",
        result={"selected_on": "val"},
        experiment=SimpleNamespace(scoring=SimpleNamespace(metric="an_accuracy"), data=data),
    )

    def train(settings):
        draw_curves(tmp_path, "test_x")
        return trained

    draw_example = lambda trained: said.append((curves.exists(), capsys.readouterr().out))  # noqa: E731
    paper = SimpleNamespace(name="ave", announce=lambda settings: None, train=train, draw_example=draw_example)
    (tmp_path / "log.csv").write_text("")
    with pytest.raises(InputError, match="log.csv: is damaged, so that no curves can be drawn"):
        report.train(paper, settings)
    told = capsys.readouterr().out
    assert "an accuracy 62.5 % (1 seed) on clips\n" in told and "reproduces no row of the paper: of your own" in told
    state.write_log(Progress(history=[{"epoch": 1, "loss": 0.5}]), tmp_path / "log.csv")
    assert not said and report.train(paper, settings) is trained
    assert said == [(True, told)]
