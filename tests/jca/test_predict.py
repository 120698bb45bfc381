"""`python -m jca.predict`: the picture of the paper's Figure 3 says what the model says.

What the texts, the overlay and long, short or broken files come to is tested with ave's command, whose code runs here.
"""

import functools
import json

import keras
import numpy as np
import pytest
from PIL import Image

import jca
from ave.models import with_attention
from avpipeline import media, plots
from avpipeline.features.registry import build_extractor, clip_features
from avpipeline.plots.overlays import overlay_attention
from avpipeline.predict.documents import picture_title
from avpipeline.predict.segments import Prediction, Predictor, write_prediction
from avpipeline.training.saved import ModelInfo, load_model, save_model
from jca import predict
from tests.ave.test_predict import write_media
from tests.helpers.commands import refused, run_command
from tests.helpers.pictures import figures_of, is_same_picture

CLASSES = ("Female speech, woman speaking", "Bark", "background")
NARROW = {"num_classes": 3, "video_size": 8, "audio_size": 8, "num_layers": 1, "recursions": 1}


@pytest.fixture(scope="module")
def extractors():
    return {"audio": build_extractor("small_audio"), "visual": build_extractor("small_visual")}


def write_weights(path, extractors, name="jca", **changes):
    """A narrow model with random weights, saved as training saves it; returns the model."""
    keras.utils.set_random_seed(3)
    model = jca.build_model(name, **NARROW, **changes)
    features = {modality: extractor.info for modality, extractor in extractors.items()}
    save_model(model, path, ModelInfo("jca", name, "code", CLASSES, features, "rendered"))
    return model


command = functools.partial(run_command, predict)


def features_of(clip, extractors):
    visual = extractors["visual"]
    read = media.read_clip(clip, frame_rate=visual.frame_rate, size=visual.frame_size)
    return {name: feature[np.newaxis] for name, feature in clip_features(extractors, read).items()}


@pytest.mark.slow
def test_figure_3_holds_sound_frames_attention_and_labels(tmp_path, extractors):
    model = write_weights(tmp_path / "jca.keras", extractors)
    clip, out = write_media(tmp_path / "clip.mp4", 10), tmp_path / "out"
    assert command(clip, "--weights", tmp_path / "jca.keras", "--out", out) == 0
    assert {path.name for path in out.iterdir()} == {
        "clip.txt", "clip.json", "clip_timeline.png", "clip_attention.png", "clip_attention.mp4"
    }  # fmt: skip

    expected = with_attention(model)(features_of(clip, extractors))
    told = json.loads((out / "clip.json").read_text())
    probabilities = [segment["probabilities"] for segment in told["segments"]]
    np.testing.assert_allclose(probabilities, expected["segments"][0], atol=2e-6)
    # The frame in the middle of each second; each second of the clip has a picture of its own.
    about, (_, info) = media.probe(clip), load_model(tmp_path / "jca.keras")
    plots.timeline(
        tmp_path / "expected.png",
        np.asarray(expected["segments"][0]),
        CLASSES,
        waveform=media.read_waveform(clip, seconds=10),
        frames=media.read_frames(clip, frame_rate=1, size=about.size_at(160), seconds=10),
        attention=np.asarray(expected["attention"][0]),
        title=picture_title(info, about),
    )
    assert is_same_picture(out / "clip_timeline.png", tmp_path / "expected.png")


@pytest.mark.slow
def test_frames_of_a_long_clip_stand_with_the_maps_of_their_seconds(tmp_path):
    """46 s: 15 frames, each from the middle of its share of the time."""
    levels = np.arange(20, 250, 5)
    frames = np.broadcast_to(levels.astype(np.uint8)[:, None, None, None], (46, 48, 64, 3))
    media.write_clip(tmp_path / "long.mp4", frames.repeat(2, 0), None, frame_rate=2)
    (tmp_path / "model.keras").write_bytes(b"its hash is written")
    attention = np.arange(46.0)[:, None, None] + np.zeros((46, 2, 2))
    info = ModelInfo("jca", "jca", "code", CLASSES, {}, "rendered")
    predictor = Predictor(None, info, tmp_path / "model.keras", {}, window=10)
    prediction = Prediction(media.probe(tmp_path / "long.mp4"), np.eye(3)[np.zeros(46, int)], attention, ())
    figures = figures_of(lambda: write_prediction(prediction, predictor, tmp_path / "out"))
    (frames, overlaid) = (
        [image.get_array() for image in axis.images]
        for figure in figures
        for axis in figure.axes
        if axis.get_ylabel() in ("frames", "attention")
    )
    seconds = ((np.arange(15) + 0.5) * 46 / 15).astype(int)
    np.testing.assert_allclose([frame.mean() for frame in frames], levels[seconds], atol=2)
    # One scale for all maps that are drawn, which grow from second to second.
    assert len(overlaid) == 15 and seconds[[0, -1]].tolist() == [1, 44]
    for frame, picture, second in zip(frames, overlaid, seconds, strict=True):
        np.testing.assert_array_equal(picture, overlay_attention(frame, attention[second], (1.0, 44.0)))


def test_models_without_attention_have_no_frames(tmp_path, extractors, capsys):
    write_weights(tmp_path / "pool.keras", extractors, "max_pooling")
    out = tmp_path / "out"
    assert command(write_media(tmp_path / "plain.mp4", 2), "--weights", tmp_path / "pool.keras", "--out", out) == 0
    assert "max_pooling has no attention" in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == ["plain.json", "plain.txt", "plain_timeline.png"]


@pytest.mark.parametrize("name", ["avsdn", *(pytest.param(name, marks=pytest.mark.slow) for name in ("dam", "gru"))])
def test_other_systems_predict_too(tmp_path, extractors, name):
    write_weights(tmp_path / "model.keras", extractors, name)
    clip = write_media(tmp_path / "clip.mp4", 1, sound=False)
    assert command(clip, "--weights", tmp_path / "model.keras", "--out", tmp_path / "out") == 0
    told = json.loads((tmp_path / "out" / "clip.json").read_text())
    assert told["model"]["model"] == name and "has no sound" in told["notes"][0]
    assert sum(told["segments"][0]["probabilities"]) == pytest.approx(1, abs=1e-4)


def test_timeline_lays_attention_over_the_frames(tmp_path):
    """What is red in the second row is where the map is large."""
    frames = np.full((2, 40, 40, 3), 128, np.uint8)
    attention = np.zeros((2, 4, 4))
    attention[0, :, :2] = attention[1, :, 2:] = 0.125
    probabilities = np.array([[0.9, 0.1, 0.0], [0.1, 0.9, 0.0]])
    plots.timeline(tmp_path / "t.png", probabilities, CLASSES, frames=frames, attention=attention)
    picture = np.asarray(Image.open(tmp_path / "t.png").convert("RGB")).astype(int)
    red = (picture[..., 0] > picture[..., 2] + 60) & (picture[..., 0] > 90)
    blue = (picture[..., 2] > picture[..., 0] + 25) & (picture[..., 2] > 60)
    assert red.any() and blue.any()


@pytest.mark.parametrize(
    ("files", "sentence"),
    [([], "no file to predict"), (["missing.mp4"], "there is no such file or folder")],
)
def test_bad_input_is_one_sentence(tmp_path, extractors, capsys, files, sentence):
    write_weights(tmp_path / "jca.keras", extractors)
    words = [tmp_path / name for name in files]
    words += ["--weights", tmp_path / "jca.keras", "--out", tmp_path / "out"]
    refused(predict, words, sentence, capsys, tmp_path / "out")
