"""Pictures: written whole, of the right size, and their colours mean what they say."""

import matplotlib
import numpy as np
import pytest
from PIL import Image

from avpipeline import plots
from avpipeline.errors import InputError
from avpipeline.plots import charts
from avpipeline.plots.overlays import overlay_attention
from tests.helpers.counting import calls_of
from tests.helpers.pictures import figures_of

CLASSES = ("Female speech, woman speaking", "Fixed-wing aircraft, airplane", "Bark", "background")


@pytest.fixture
def probabilities():
    values = np.full((6, 4), 0.1)
    values[[0, 1, 2, 3, 4, 5], [3, 3, 0, 0, 1, 3]] = 0.7
    return values


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def share_of(picture, colour):
    """Share of a picture's pixels that have a colour, given as matplotlib gives it."""
    wanted = np.round(255 * np.asarray(matplotlib.colors.to_rgb(colour)))
    return np.mean(np.abs(picture - wanted).max(-1) <= 2)


def test_stretches_merge_equal_neighbours():
    assert plots.stretches("aabbba") == [(0, 2, "a"), (2, 5, "b"), (5, 6, "a")]
    assert plots.stretches([]) == []


def test_timeline_colours_as_much_as_was_predicted(tmp_path, probabilities):
    plots.timeline(tmp_path / "t.png", probabilities, CLASSES, title="clip.mp4")
    picture = pixels(tmp_path / "t.png")
    background, speech, aircraft, bark = (
        share_of(picture, plots.class_colour(CLASSES[i], CLASSES)) for i in (3, 0, 1, 2)
    )
    assert bark == 0 and aircraft > 0.003
    # Names are written on the stretches, so only about 3 : 2 : 1 seconds.
    assert 1.2 < background / speech < 1.8 and 1.6 < speech / aircraft < 2.5


def test_timeline_shows_truth_and_sound(tmp_path, probabilities):
    plots.timeline(tmp_path / "a.png", probabilities, CLASSES)
    sound = np.sin(np.linspace(0, 3000, 6 * 16000)).astype(np.float32)
    plots.timeline(tmp_path / "b.png", probabilities, CLASSES, truth=[2] * 6, waveform=sound)
    with_truth = pixels(tmp_path / "b.png")
    assert with_truth.shape[0] > pixels(tmp_path / "a.png").shape[0] + 200
    assert share_of(with_truth, plots.class_colour("Bark", CLASSES)) > 0.02


@pytest.mark.parametrize("seconds", [1, 23])
def test_timelines_of_any_length(tmp_path, seconds):
    values = np.random.default_rng(0).dirichlet([0.1] * 4, seconds)
    plots.timeline(tmp_path / "t.png", values, CLASSES, waveform=np.zeros(seconds * 16000, np.float32))
    assert pixels(tmp_path / "t.png").shape[1] > 1000


def test_classes_of_one_dataset_have_colours_of_their_own():
    names = [str(index) for index in range(28)] + ["background"]
    assert len({plots.class_colour(name, names) for name in names}) == 29


@pytest.mark.parametrize("seconds", [3, 10])
def test_attention_picture_has_every_second_twice(tmp_path, seconds):
    frames = np.full((seconds, 60, 80, 3), (10, 200, 30), np.uint8)
    attention = np.random.default_rng(0).dirichlet(np.ones(49), seconds).reshape(seconds, 7, 7)
    plots.attention_frames(tmp_path / "a.png", frames, attention, ["Bark"] * seconds, class_names=CLASSES)
    picture = pixels(tmp_path / "a.png")
    plain = share_of(picture, (10 / 255, 200 / 255, 30 / 255))
    assert 0.2 < plain < 0.5
    assert share_of(picture, plots.class_colour("Bark", CLASSES)) > 0.003


def test_attention_figure_has_a_row_for_each_video(tmp_path):
    """Videos of other shapes and lengths, each with its map laid over."""
    attention = np.zeros((3, 2, 2))
    attention[:, 0, 0] = 1
    blue = np.full((3, 60, 80, 3), (0, 0, 250), np.uint8)
    green = np.full((2, 90, 80, 3), (0, 250, 0), np.uint8)
    rows = [
        plots.AttentionRow("one", blue, attention, ["Bark"] * 3),
        plots.AttentionRow("two", green, attention[:2], ["background"] * 2),
    ]
    for count in (1, 2):
        plots.attention_figure(tmp_path / f"{count}.png", rows[:count], class_names=CLASSES)
    first, both = pixels(tmp_path / "1.png"), pixels(tmp_path / "2.png")
    assert len(both) > 1.5 * len(first)
    # The edge that is not attended to.
    unseen_blue, unseen_green = (overlay_attention(x[0], attention[0], (0, 1))[-1, 40] / 255 for x in (blue, green))
    assert share_of(first, unseen_blue) > 0.05 and share_of(first, unseen_green) == 0
    assert share_of(both, unseen_blue) > 0.03 and share_of(both, unseen_green) > 0.03
    assert share_of(both, plots.class_colour("Bark", CLASSES)) > 0.002


@pytest.mark.parametrize("seconds", [6, 45])
def test_found_window_marks_the_query_and_the_cheapest_place(tmp_path, seconds):
    frames = np.full((seconds, 20, 30, 3), 255, np.uint8)
    sound = np.sin(np.linspace(0, 3000, seconds * 16000)).astype(np.float32)
    costs = np.ones(seconds - 1)
    for best, streams in ((1, {"asked": sound, "searched": frames}), (4, {"asked": frames, "searched": sound})):
        costs[best] = 0.5
        plots.found_window(tmp_path / f"{best}.png", query=(0, 2), costs=costs, title="clip.mp4", **streams)
        costs[best] = 1
    first, second = (pixels(tmp_path / f"{best}.png") for best in (1, 4))
    for picture in (first, second):
        assert share_of(picture, "#1f77b4") > 0.0005 and share_of(picture, "#e07b00") > 0.0005
    # The frame of the found place stands further right for the later one.
    columns = [np.flatnonzero((np.abs(p - [0xE0, 0x7B, 0]).max(-1) <= 2).any(0)).min() for p in (first, second)]
    assert columns[0] < columns[1]


def test_curves_with_validation_now_and_then(tmp_path):
    history = {
        "epoch": [1, 2, 3, 4],
        "loss": [0.9, 0.8, 0.75, 0.7],
        "segment_accuracy": [0.2, 0.4, 0.5, 0.6],
        "val_segment_accuracy": [np.nan, 0.3, np.nan, 0.5],
    }
    charts.curves(tmp_path / "c.png", history)
    height, width, _ = pixels(tmp_path / "c.png").shape
    assert width > 2 * height


def test_confusion_matrix_of_29_classes_and_of_empty_rows(tmp_path):
    counts = np.diag([5] * 29)
    counts[3, 3] = 0
    charts.confusion_matrix(tmp_path / "c.png", counts, [f"a class with the name {index}" for index in range(29)])
    picture = pixels(tmp_path / "c.png")
    assert min(picture.shape[:2]) > 1200
    full, empty = matplotlib.colormaps["Blues"](1.0), matplotlib.colormaps["Blues"](0.0)
    assert share_of(picture, empty) > 5 * share_of(picture, full) > 0


def test_a_picture_that_cannot_be_written_is_one_sentence(tmp_path, probabilities):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file: a file of that name is in the way"):
        plots.timeline(tmp_path / "file" / "t.png", probabilities, CLASSES)


def test_class_bars_have_one_bar_a_class_and_model(tmp_path):
    values = {"A": np.array([50.0, np.nan, 10.0]), "V": np.array([20.0, 30.0, 100.0])}
    names = ["dog", "bell", "cat"]
    (figure,) = figures_of(lambda: charts.class_bars(tmp_path / "bars.png", values, names, title="on what"))
    (axis,) = figure.axes
    assert [[bar.get_height() for bar in group] for group in axis.containers][1] == [20, 30, 100]
    assert [label.get_text() for label in axis.get_xticklabels()] == names
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["A", "V"]
    assert axis.get_title() == "on what"


def test_curves_of_a_figure_that_only_validation_has(tmp_path):
    history = {"epoch": [1, 2], "loss": [1.0, 0.5], "val_segment_accuracy": [np.nan, 0.5]}
    (figure,) = figures_of(lambda: charts.curves(tmp_path / "c.png", history))
    assert [axis.get_title() for axis in figure.axes] == ["loss", "segment accuracy"]


def test_a_picture_is_laid_out_once(tmp_path, probabilities):
    """A second time only where classes move to a legend; with nothing drawn on the left, it is cut there."""

    def layouts(draw):
        return calls_of(matplotlib.layout_engine.ConstrainedLayoutEngine.execute, draw)

    assert layouts(lambda: charts.curves(tmp_path / "c.png", {"loss": [1.0, 0.5]})) == 1
    timeline = tmp_path / "t.png"
    assert layouts(lambda: plots.timeline(timeline, np.eye(2)[[0, 1]], ("Bark", "background"))) == 1
    assert layouts(lambda: plots.timeline(timeline, np.eye(4)[np.arange(40) % 4], CLASSES)) == 2
    for name in ("c.png", "t.png"):
        inked = (pixels(tmp_path / name) < 255).any(-1)
        rows, columns = np.flatnonzero(inked.any(1)), np.flatnonzero(inked.any(0))
        height, width = inked.shape
        assert (rows[0], columns[0], height - 1 - rows[-1], width - 1 - columns[-1]) == (22, 22, 22, 22)
