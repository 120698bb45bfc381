"""The paper's pictures: what is drawn is what was given."""

import numpy as np
import pytest
from matplotlib.container import BarContainer
from PIL import Image

from mafnet import pictures
from tests.helpers.pictures import figures_of


def bars(axis):
    return [container for container in axis.containers if isinstance(container, BarContainer)]


def test_each_score_has_a_bar_on_one_scale(tmp_path):
    scores = np.random.default_rng(0).dirichlet(np.ones(20)).reshape(10, 2)
    frames = np.zeros((10, 24, 32, 3), np.uint8)
    waveform = np.sin(np.arange(160_000) / 9)
    path = tmp_path / "scores.png"
    shown = {"frames": frames, "waveform": waveform, "start": 20, "title": "clip.mp4: Bark"}
    (figure,) = figures_of(lambda: pictures.modality_scores(path, scores, ("visual", "audio"), **shown))
    seen, visual, audio, heard = figure.axes
    assert len(seen.images) == 10 and figure._suptitle.get_text() == "clip.mp4: Bark"
    assert seen.images[3].get_extent()[:2] == pytest.approx([23.02, 23.98])
    for axis, name, column in ((visual, "visual", scores[:, 0]), (audio, "audio", scores[:, 1])):
        (container,) = bars(axis)
        np.testing.assert_allclose([bar.get_height() for bar in container], column)
        np.testing.assert_allclose([bar.get_x() + bar.get_width() / 2 for bar in container], np.arange(20.5, 30))
        assert axis.get_ylabel() == name
        assert axis.lines[0].get_ydata()[0] == pytest.approx(1 / 20)
        assert [text.get_text() for text in axis.texts] == [f"{score:.3f}"[1:] for score in column]
    assert visual.get_ylim() == audio.get_ylim() and heard.get_xlim() == (20, 30)
    with Image.open(path) as image:
        assert min(image.size) > 500


def test_scores_of_features_have_neither_frames_nor_sound(tmp_path):
    scores = np.full((4, 1), 0.25)
    (figure,) = figures_of(lambda: pictures.modality_scores(tmp_path / "scores.png", scores, ("audio",)))
    assert len(figure.axes) == 1


def test_curve_shows_every_seed_and_their_mean(tmp_path):
    scores = {0.5: [60.0, 70.0], 0.0: [80.0, 84.0], 0.1: [90.0, 86.0]}
    (figure,) = figures_of(lambda: pictures.dropping_curve(tmp_path / "rates.png", scores, title="preset code"))
    (axis,) = figure.axes
    (errors,) = axis.containers
    np.testing.assert_allclose(errors.lines[0].get_xydata(), [(0, 82), (0.1, 88), (0.5, 65)])
    dots = sorted(tuple(point) for line in axis.lines if line.get_marker() == "o" for point in line.get_xydata())
    assert {(rate, value) for rate, values in scores.items() for value in values} <= set(dots)
    assert "dropping rate" in axis.get_xlabel() and axis.get_title() == "preset code"
    pictures.dropping_curve(tmp_path / "one.png", {0.1: [88.0]})
    assert (tmp_path / "one.png").stat().st_size > 5_000


def test_every_point_has_its_class_s_colour(tmp_path):
    rng = np.random.default_rng(1)
    points = {"just before FiLM": rng.standard_normal((12, 2)), "just after FiLM": rng.standard_normal((12, 2))}
    classes, names = np.arange(12) % 3, ("bark", "bell", "engine", "rain")
    path = tmp_path / "film.png"
    (figure,) = figures_of(lambda: pictures.embeddings(path, points, classes, names, title="t"))
    for axis, (heading, places) in zip(figure.axes, points.items(), strict=True):
        assert axis.get_title() == heading
        groups = axis.collections
        assert [group.get_label() for group in groups] == ["bark", "bell", "engine"]
        for index, group in enumerate(groups):
            np.testing.assert_allclose(group.get_offsets(), places[classes == index])
    colours = [[tuple(group.get_facecolor()[0]) for group in axis.collections] for axis in figure.axes]
    assert colours[0] == colours[1] and len(set(colours[0])) == 3
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["bark", "bell", "engine"]
