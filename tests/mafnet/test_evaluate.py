"""`python -m mafnet.evaluate` and `python -m mafnet.tsne` on a small split: figures, tables, points and refusals."""

import dataclasses
import functools
import json

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import silhouette_score

import mafnet
from avpipeline.datasets.base import ArraySource
from avpipeline.errors import InputError
from avpipeline.training.saved import ModelInfo, save_model
from mafnet import evaluate, tsne
from tests.helpers.commands import refused, run_command
from tests.helpers.mafnet_data import CLASS_NAMES, CLIPS, FEATURES, NARROW, video_split

VIDEOS = 7


@pytest.fixture(scope="module")
def split():
    """The last video ends after two clips."""
    whole = video_split("test", VIDEOS)
    inputs = {name: source.read(np.arange(VIDEOS)) for name, source in whole.inputs.items()}
    for values in inputs.values():
        values[-1, 2:] = 0
    return dataclasses.replace(whole, inputs={name: ArraySource(values) for name, values in inputs.items()})


@pytest.fixture
def loads(monkeypatch, split):
    """Hands out the small split instead of a dataset; returns what was asked for."""
    asked = []

    def load_split(dataset, name, network, data_dir=None, *, fold, classes):
        asked.append((dataset, name, data_dir, fold, classes, network.modalities, network.visual_shape))
        return split

    monkeypatch.setattr(evaluate, "load_split", load_split)
    return asked


@functools.cache
def model_of(name):
    keras.utils.set_random_seed(1)
    shapes = {f"{modality}_shape": info.shape for modality, info in FEATURES.items()}
    return mafnet.build_model(name, num_classes=3, num_segments=CLIPS, **shapes, **NARROW)


def write_model(path, name="mafnet", **changes):
    model = model_of(name)
    features = {modality: FEATURES[modality] for modality in model.input}
    info = ModelInfo("mafnet", name, "code", CLASS_NAMES, features, "synthetic")
    save_model(model, path, dataclasses.replace(info, **changes))
    return model


def command(tmp_path, *words, module=evaluate):
    arguments = ["--weights", str(tmp_path / "model.keras"), "--out", str(tmp_path / "out"), *words]
    return run_command(module, *arguments)


def test_figures_are_those_of_the_predictions(tmp_path, split, loads, capsys):
    model = write_model(tmp_path / "model.keras")
    assert command(tmp_path) == 0
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {
        "evaluation.json", "per_class.csv", "confusion.csv", "confusion.png", "predictions.npz"
    }  # fmt: skip
    expected = model({name: source.read(np.arange(VIDEOS)) for name, source in split.inputs.items()}).numpy()
    with np.load(out / "predictions.npz") as file:
        np.testing.assert_allclose(file["predictions"], expected, atol=1e-5)
    truth, predicted = split.labels.argmax(-1), expected.argmax(-1)
    assert pd.read_csv(out / "per_class.csv")["videos"].sum() == VIDEOS
    accuracy = (truth == predicted).mean()
    result = json.loads((out / "evaluation.json").read_text())
    assert result["video_accuracy"] == pytest.approx(accuracy) and result["videos"] == VIDEOS
    assert f"{100 * accuracy:.2f} % of 7 videos right" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ((), ("rendered", "test", None, 1, 32)),
        (("--split", "val", "--data", "."), ("ave", "val", "path", 1, 32)),
        (("--dataset", "ucf51", "--fold", "2", "--data", "."), ("ucf51", "test", "path", 2, 32)),
        (("--dataset", "kinetics_sounds", "--classes", "31"), ("kinetics_sounds", "test", None, 1, 31)),
    ],
)
def test_the_split_follows_from_flags_and_the_features_from_the_model(tmp_path, loads, words, asked):
    write_model(tmp_path / "model.keras", "visual")
    assert command(tmp_path, *words) == 0
    ((dataset, name, data, fold, classes, modalities, shape),) = loads
    assert (dataset, name, data and "path", fold, classes) == asked
    assert modalities == ("visual",) and shape == (6,)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"class_names": ("bell", "bark", "engine")}, "was trained on the classes of synthetic (bell, bark,"),
        (
            {"features": {"visual": dataclasses.replace(FEATURES["visual"], sha256="c" * 64)}},
            "its visual features do not fit the model (weight hash bbbb",
        ),
        ({"paper": "ave"}, "a model of mafnet is needed"),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path, loads, capsys, changes, sentence):
    write_model(tmp_path / "model.keras", "visual", **changes)
    words = ["--weights", tmp_path / "model.keras", "--out", tmp_path / "out"]
    refused(evaluate, words, sentence, capsys, tmp_path / "out")


def test_points_are_the_clips_around_film(tmp_path, split, loads, capsys):
    model = write_model(tmp_path / "model.keras")
    assert command(tmp_path, "--perplexity", "5", module=tsne) == 0
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {"points.npz", "audio_film.png"}
    inputs = {name: source.read(np.arange(VIDEOS)) for name, source in split.inputs.items()}
    output = mafnet.with_film(model)(inputs)
    kept = np.array([*range(VIDEOS * CLIPS - 2)])
    classes = split.labels.argmax(-1).repeat(CLIPS)[kept]
    said = capsys.readouterr().out
    with np.load(out / "points.npz") as file:
        np.testing.assert_array_equal(file["clips"], kept)
        np.testing.assert_array_equal(file["classes"], classes)
        assert file["audio_before"].shape == file["audio_after"].shape == (len(kept), 2)
        assert np.abs(file["audio_before"] - file["audio_after"]).max() > 0.1
    for when in ("before", "after"):
        rows = output[f"audio_{when}"].numpy().reshape(-1, NARROW["filters"])[kept]
        assert f"just {when} FiLM: silhouette of the classes {silhouette_score(rows, classes):.3f}" in said
    assert "26 clips of 7 videos" in said


def test_neighbours_stay_together_in_the_plane():
    """Two groups far apart in 20 dimensions are two groups in the plane; the same seed gives the same points."""
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.standard_normal((15, 20)), rng.standard_normal((15, 20)) + 20]).astype("float32")
    points = tsne.in_the_plane(rows, 30, seed=0)
    near = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(near, np.inf)
    assert all((near[index].argmin() < 15) == (index < 15) for index in range(30))
    np.testing.assert_array_equal(points, tsne.in_the_plane(rows, 30, seed=0))


def test_models_without_film_and_too_few_clips_are_refused(tmp_path, loads, capsys):
    write_model(tmp_path / "model.keras", "visual")
    assert command(tmp_path, module=tsne) == 2
    assert "'visual' has no FiLM layer; use mafnet or film_both" in capsys.readouterr().err
    write_model(tmp_path / "model.keras", class_names=("bell", "bark", "engine"))
    assert command(tmp_path, module=tsne) == 2
    assert "was trained on the classes of synthetic (bell, bark, engine)" in capsys.readouterr().err
    assert command(tmp_path, "--perplexity", "0", module=tsne) == 2
    assert "--perplexity 0.0: must be a finite number above 0" in capsys.readouterr().err
    with pytest.raises(InputError, match="3 clips are too few for t-SNE"):
        tsne.in_the_plane(np.zeros((3, 2)), 30, 0)
