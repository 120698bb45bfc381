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
from avpipeline.datasets.ucf51 import read_ucf51
from avpipeline.errors import InputError
from avpipeline.training.saved import ModelInfo, save_model
from mafnet import evaluate, tsne
from mafnet.config import ModelConfig
from mafnet.data import load_split
from tests.helpers.commands import refused, run_command
from tests.helpers.mafnet_data import CLASS_NAMES, CLIPS, FEATURES, NARROW, video_split, video_splits
from tests.helpers.own_clips import write_features, write_own_clips
from tests.helpers.video_files import write_ucf51

VIDEOS = 7


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Clips of one's own; the last test video ends after two seconds."""
    splits = video_splits(test=VIDEOS)
    return write_own_clips(tmp_path_factory.mktemp("clips"), splits, {splits["test"].ids[-1]: 2})


@pytest.fixture(scope="module")
def split(folder):
    shapes = {f"{modality}_shape": info.shape for modality, info in FEATURES.items()}
    return load_split("csv", "test", ModelConfig(**shapes), folder)


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


def words_for(tmp_path, *words):
    return ["--weights", tmp_path / "model.keras", "--out", tmp_path / "out", *words]


def command(tmp_path, folder, *words, module=evaluate):
    return run_command(module, *words_for(tmp_path, "--dataset", "csv", "--data", folder, *words))


def test_figures_are_those_of_the_predictions(tmp_path, folder, split, capsys):
    model = write_model(tmp_path / "model.keras")
    assert command(tmp_path, folder) == 0
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


@pytest.mark.parametrize(("words", "name"), [((), "test"), (("--split", "val"), "val")])
def test_without_a_folder_the_synthetic_clips_have_the_features_of_the_model(few_clips, tmp_path, words, name):
    """Visual maps are there, and no sound is read; the model takes the maps' means."""
    read = load_split("rendered", name, ModelConfig(modalities=("visual",), visual_shape=(512,)))
    assert list(read.features) == ["visual"] and read.features["visual"].shape == (512,)
    model = mafnet.build_model("visual", num_classes=len(read.class_names), visual_shape=(512,), **NARROW)
    info = ModelInfo("mafnet", "visual", "code", read.class_names, read.features, "rendered")
    save_model(model, tmp_path / "model.keras", info)
    assert run_command(evaluate, *words_for(tmp_path, *words)) == 0
    told = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (told["dataset"], told["split"], told["videos"]) == ("rendered", name, 4)


def test_the_split_follows_from_the_flags(tmp_path, capsys):
    """A folder is AVE's unless a dataset is named; here each is refused for a reason of its own."""
    write_model(tmp_path / "model.keras", "visual")
    ucf51, out = write_ucf51(tmp_path / "ucf51", split=2), tmp_path / "out"
    ids = read_ucf51(ucf51, "test", 2).ids
    write_features(ucf51, {"test": dataclasses.replace(video_split("test", len(ids)), ids=ids)})
    other = "but a part of UCF51, official split 2, test has others"
    for words, sentence in (
        (("--data", ucf51), "Annotations.txt: no such file"),
        (("--dataset", "ucf51", "--fold", 2, "--data", ucf51), other),
        (("--dataset", "ucf51", "--data", ucf51), "testlist01.txt: no such file"),
        (("--dataset", "kinetics_sounds", "--classes", 31), "dataset 'kinetics_sounds-31': needs the folder"),
    ):
        refused(evaluate, words_for(tmp_path, *words), sentence, capsys, out)


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
def test_what_does_not_fit_is_one_sentence(tmp_path, folder, capsys, changes, sentence):
    write_model(tmp_path / "model.keras", "visual", **changes)
    words = words_for(tmp_path, "--dataset", "csv", "--data", folder)
    refused(evaluate, words, sentence, capsys, tmp_path / "out")


def test_points_are_the_clips_around_film(tmp_path, folder, split, capsys):
    model = write_model(tmp_path / "model.keras")
    assert command(tmp_path, folder, "--perplexity", "5", module=tsne) == 0
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


def test_models_without_film_and_too_few_clips_are_refused(tmp_path, folder, capsys):
    write_model(tmp_path / "model.keras", "visual")
    assert command(tmp_path, folder, module=tsne) == 2
    assert "'visual' has no FiLM layer; use mafnet or film_both" in capsys.readouterr().err
    write_model(tmp_path / "model.keras", class_names=("bell", "bark", "engine"))
    assert command(tmp_path, folder, module=tsne) == 2
    assert "was trained on the classes of synthetic (bell, bark, engine)" in capsys.readouterr().err
    assert command(tmp_path, folder, "--perplexity", "0", module=tsne) == 2
    assert "--perplexity 0.0: must be a finite number above 0" in capsys.readouterr().err
    with pytest.raises(InputError, match="3 clips are too few for t-SNE"):
        tsne.in_the_plane(np.zeros((3, 2)), 30, 0)
