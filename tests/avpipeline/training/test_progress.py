"""What training shows: steps, with the loss of the last epoch; curves after the result."""

from types import SimpleNamespace

import numpy as np
import pytest

from avpipeline.cli import progress
from avpipeline.plots import charts
from avpipeline.results import report
from avpipeline.training import runs, state
from avpipeline.training.curves import curves_last, draw_curves
from avpipeline.training.settings import DeviceSettings
from avpipeline.training.state import KeepState, Progress
from tests.helpers.small_runs import experiment
from tests.helpers.synthetic import synthetic_split


@pytest.mark.parametrize("together", [1, 2])
def test_a_resumed_run_goes_on_in_steps(tmp_path, monkeypatch, capsys, together):
    """Four of five epochs of four steps, so many in one call."""
    monkeypatch.setattr(progress, "_DELAY", 0)
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


class Counted(progress.ProgressBar):
    """A bar that is kept with its updates."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.updates = []
        bars.append(self)

    def update(self, n=1):
        self.updates.append(n)
        super().update(n)


bars: list[Counted] = []


def test_a_run_counts_steps_and_videos_and_keeps_its_result_where_the_curves_fail(tmp_path, monkeypatch):
    def fails(path, columns):
        assert (tmp_path / "seed-0" / "result.json").exists() and (tmp_path / "result.json").exists()
        raise OSError("no picture")

    bars.clear()
    monkeypatch.setattr(charts, "curves", fails)
    monkeypatch.setattr(state, "ProgressBar", Counted)
    monkeypatch.setattr(runs, "ProgressBar", Counted)
    with pytest.raises(OSError, match="no picture"):
        runs.run(experiment(epochs=2), tmp_path, [0])
    training, testing = bars
    # Two epochs of eight clips, of which two batches of three are full.
    assert (training.initial, training.n, training.total, training.unit) == (0, 4, 4, "step")
    assert (testing.updates, testing.total, testing.unit) == ([3, 3, 2], 8, "video")

    monkeypatch.undo()
    runs.run(experiment(epochs=2), tmp_path, [0])
    assert (tmp_path / "seed-0" / "curves.png").stat().st_size > 5000


def test_prediction_says_how_far_it_is(monkeypatch, capsys):
    monkeypatch.setattr(progress, "_DELAY", 0)
    model = experiment().build()
    found = runs.predict(model, synthetic_split("test", 8), 3)
    assert found.shape[0] == 8
    lines = [line.split(",")[0] for line in capsys.readouterr().err.splitlines()]
    assert lines == ["predicting: 3 of 8 videos", "predicting: 6 of 8 videos"]


def test_curves_wait_for_the_end_of_the_block_and_are_drawn_once(tmp_path, monkeypatch):
    drawn = []

    def curves(path, columns):
        drawn.append((path.parent.name, columns))
        path.write_bytes(b"png")

    monkeypatch.setattr(charts, "curves", curves)
    log = [{"epoch": 1, "loss": 1 / 3, "test_x": 0.1}, {"epoch": 2, "loss": 0.25, "val_x": 0.5, "test_x": 0.2}]
    for name in ("a", "b"):
        state.write_log(Progress(history=log), tmp_path / name / "log.csv")
    with curves_last():
        draw_curves(tmp_path / "a", "test_x")
        assert not drawn
    draw_curves(tmp_path / "a", "test_x")
    draw_curves(tmp_path / "b", "test_x")
    draw_curves(tmp_path / "c", "test_x")
    assert [name for name, _ in drawn] == ["a", "b"]
    np.testing.assert_equal(drawn[0][1], {"epoch": [1, 2], "loss": [1 / 3, 0.25], "val_x": [np.nan, 0.5]})


def test_training_prints_the_result_before_it_draws(tmp_path, monkeypatch, capsys):
    said = []
    monkeypatch.setattr(charts, "curves", lambda path, columns: said.append(("curves", capsys.readouterr().out)))
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
        state.write_log(Progress(history=[{"epoch": 1, "loss": 0.5}]), tmp_path / "log.csv")
        draw_curves(tmp_path, "test_x")
        return trained

    draw_example = lambda trained: said.append(("example", capsys.readouterr().out))  # noqa: E731
    paper = SimpleNamespace(name="ave", announce=lambda settings: None, train=train, draw_example=draw_example)
    assert report.train(paper, settings) is trained
    (first, told), (second, between) = said
    assert (first, second, between) == ("curves", "example", "")
    assert "an accuracy 62.5 % (1 seed) on clips\n" in told and "reproduces no row of the paper: of your own" in told
