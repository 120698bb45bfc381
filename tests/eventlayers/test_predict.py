"""`python -m eventlayers.predict`: from files to texts, JSON, pictures and videos that agree with each other."""

import dataclasses
import functools
import json
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image

import eventlayers
from avpipeline import media
from avpipeline.plots.style import words
from avpipeline.training.saved import ModelInfo, save_model
from eventlayers import predict
from eventlayers.clips import read_clips
from eventlayers.data import videos_of
from eventlayers.layers import sound_localization
from eventlayers.time_steps import time_step_backbones
from tests.helpers.commands import run_command, told_before_pictures
from tests.helpers.pictures import figures_of
from tests.reference import eventlayers as reference

CLASSES = ("Female speech, woman speaking", "Bark", "Flute")
RATE = 10


@pytest.fixture(scope="module")
def backbones():
    return time_step_backbones("small")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("predict")


def write_weights(path, name, features, **changes):
    """A model with random weights, saved as training saves it."""
    keras.utils.set_random_seed(4)
    config = eventlayers.model_config(name, num_classes=3, backbones="small", **changes)
    model = eventlayers.models.video_classifier(config, name)
    used = {modality: features[modality] for modality in config.modalities}
    save_model(
        model, path, ModelInfo("eventlayers", name, "paper", CLASSES, used, "rendered", dataclasses.asdict(config))
    )
    return path


@pytest.fixture(scope="module")
def weights(folder, backbones):
    return write_weights(folder / "event_layers.keras", "event_layers", backbones.features)


def write_media(path, seconds, *, sound=True):
    """A clip whose picture changes every second, and which clicks at 0.35 s of each of the first seconds."""
    rng = np.random.default_rng(5)
    tiles = rng.integers(0, 255, (seconds, 6, 8, 3), dtype=np.uint8)
    frames = tiles.repeat(8, 1).repeat(8, 2).repeat(RATE, 0)
    waveform = np.zeros(seconds * 16000, np.float32)
    for second in range(min(seconds, 5)):
        start = second * 16000 + 5600
        waveform[start : start + 1600] = 0.5 * np.sin(2 * np.pi * 900 * np.arange(1600) / 16000)
    media.write_clip(path, frames, waveform if sound else None, frame_rate=RATE)
    return path


command = functools.partial(run_command, predict)


def time_steps_of(path, backbones, starts=(0,)):
    """For each of `starts` what ten seconds of a file are to a model on features."""
    clips = read_clips(path, backbones.frames, "librosa", starts)
    return [{**backbones.of_clip(clip), **onsets} for clip, onsets in clips]


def document(out, stem):
    return json.loads((out / f"{stem}.json").read_text())


@pytest.fixture(scope="module")
def done(folder, weights):
    """The command on a clip of 12 s with sound: two windows."""
    clip = write_media(folder / "clip.mp4", 12)
    assert command(clip, "--weights", weights, "--out", folder / "out") == 0
    return clip, folder / "out"


def test_every_file_is_there(done):
    kinds = {path.name.removeprefix("clip") for path in done[1].iterdir()}
    numbered = {f"_{kind}{number}.png" for kind in ("labels", "moments", "localization") for number in ("", "_2")}
    assert kinds == {".txt", ".json", "_localization.mp4"} | numbered


def test_json_holds_what_the_model_says_of_the_clip(done, weights, backbones):
    clip, out = done
    (seen,) = time_steps_of(clip, backbones)
    model = keras.models.load_model(weights, compile=False)
    scores = np.asarray(model({name: seen[name][np.newaxis] for name in model.input}))[0]
    window = document(out, "clip")["windows"][0]
    found = np.array([head["probabilities"] for head in window["heads"]])
    np.testing.assert_allclose(found, reference.softmax(scores), atol=2e-6)
    assert [head["head"] for head in window["heads"]] == list(eventlayers.LAYERS)
    assert [head["label"] for head in window["heads"]] == [CLASSES[index] for index in scores.argmax(-1)]
    assert window["label"] == CLASSES[reference.vote(scores)]
    assert set(window["labels"]) == {CLASSES[index] for index in scores.argmax(-1)}
    instants = reference.time_steps("instant", seen["visual"], seen["audio"], [], 10)
    assert window["instants"] == [moment / 10 for moment in instants]
    onsets = seen["onsets"][seen["onset_mask"] > 0].astype(int)
    assert window["onsets"] == [moment / 10 for moment in onsets]
    # The clicks of the first five seconds are among them.
    assert all({second + 0.3, second + 0.4} & set(window["onsets"]) for second in range(5))


@pytest.mark.parametrize(("off", "is_told"), [(0.0, False), (1.0, True)])
def test_a_file_unlike_all_of_training_is_said_to_be(done, weights, backbones, off, is_told):
    """The clip's own 12 seconds, and training whose largest distance is 0.5 around them or 1 beside them."""
    first, second = (found["visual"] for found in time_steps_of(done[0], backbones, (0, 10)))
    mean = np.concatenate([first, second[:20]]).mean(0, dtype=float) + off
    statistics = {"visual": {"mean": mean, "deviation": np.ones_like(mean), "largest": 0.5}}
    predictor = predict.Predictor.of(weights)
    known = dataclasses.replace(predictor, info=dataclasses.replace(predictor.info, statistics=statistics))
    notes = predict.predict_file(done[0], known).notes
    told = "its visual features are far outside of those in training (distance 1.0, in training at most 0.5)"
    assert any(note.startswith(told) for note in notes) == is_told


def test_example_is_the_first_test_video_with_its_true_labels(few_clips, weights, tmp_path, capsys):
    settings = SimpleNamespace(dataset="rendered", data=None, clips=None, from_backbones=None, folder=tmp_path)
    figures = figures_of(lambda: predict.draw_example(SimpleNamespace(settings=settings, weights=weights)))
    test = videos_of("rendered", "test")
    truth = test.class_names[int(np.flatnonzero(test.labels[0])[0])]
    axes = [axis for figure in figures for axis in figure.axes if axis.get_title(loc="left") == test.ids[0]]
    assert [axis.get_xlabel().splitlines()[0] for axis in axes] == [f"annotated: {words(truth)}"]
    assert f"Example: {test.ids[0]}, the first test video, which is {truth}:" in capsys.readouterr().out


def test_second_window_is_the_rest_of_the_file(done):
    told = document(done[1], "clip")
    assert [(window["start"], window["end"]) for window in told["windows"]] == [(0, 10), (10, 12)]
    assert all(10 <= second < 12 for name in ("instants", "onsets") for second in told["windows"][1][name])
    assert told["notes"] == ["longer than the model's 10 s: every 10 s are predicted separately"]
    assert told["model"]["trained_on"] == "rendered" and len(told["model"]["sha256"]) == 64


def test_text_says_what_the_json_says(done):
    _, out = done
    text, told = (out / "clip.txt").read_text(), document(out, "clip")
    assert text == predict.as_text(told)
    for window in told["windows"]:
        assert f"{window['start']}-{window['end']} s: {window['label']}\n" in text
        for head in window["heads"]:
            assert f"{head['head']:<10}  {head['probability']:.4f}  {head['label']}" in text
            assert head["probability"] == round(max(head["probabilities"]), 4)


def test_pictures_are_pictures_and_the_overlay_is_the_clip(done):
    clip, out = done
    for path in out.glob("*.png"):
        with Image.open(path) as image:
            assert min(image.size) > 200, path
    overlay = media.probe(out / "clip_localization.mp4")
    assert overlay.has_audio and (overlay.width, overlay.height, overlay.frame_rate) == (64, 48, RATE)
    assert overlay.seconds == pytest.approx(12, abs=0.1)
    reading = {"frame_rate": RATE, "size": None, "seconds": 2}
    changed = media.read_frames(overlay.path, **reading).astype(int) - media.read_frames(clip, **reading)
    assert np.abs(changed).mean() > 5


def test_localization_by_hand():
    maps = np.zeros((2, 1, 2, 3))
    maps[0, 0, 1] = [1, 2, 0]
    maps[1, 0, 0] = [0, 1, 1]
    audio = np.array([[3, 1, 9], [2, 2, 5]])
    np.testing.assert_array_equal(sound_localization(maps, audio), [[[0, 5]], [[7, 0]]])
    # Its mean over the picture is the correspondence S of Eq. 2.
    np.testing.assert_allclose(
        sound_localization(maps, audio).mean((1, 2)), reference.correlation(maps.mean((1, 2)), audio)
    )


def test_moments_that_are_drawn_are_those_of_the_layers(folder, weights):
    clip = write_media(folder / "short.mp4", 3)
    figures = figures_of(lambda: command(clip, "--weights", weights, "--out", folder / "short"))
    told = document(folder / "short", "short")
    assert told["notes"] == ["shorter than the model's 10 s: padded with silence and black frames"]
    # Sound, correspondence and frames for each of three layers, and the scale of colours.
    (axes,) = (figure.axes for figure in figures if len(figure.axes) == 10)
    shaded, dots = {}, []
    for sound, strip, film in zip(axes[0:9:3], axes[1:9:3], axes[2:9:3], strict=True):
        layer = sound.get_title(loc="left").split()[0]
        shaded[layer], again = ([round(patch.get_x(), 3) for patch in axis.patches] for axis in (sound, film))
        assert again == shaded[layer] and sound.get_xlim() == (0, 3) and len(film.images) == 3
        assert strip.images[0].get_array().shape == (1, 30)
        dots.append(np.round(sound.lines[0].get_xdata() - 0.05, 3).tolist())
    window = told["windows"][0]
    assert shaded["continuous"] == [moment / 10 for moment in range(30)]
    assert shaded["instant"] == window["instants"]
    assert shaded["onset"] == window["onsets"] and dots == [window["onsets"]] * 3


def test_a_missing_stream_is_said(folder, weights):
    clip = write_media(folder / "silent.mp4", 1, sound=False)
    assert command(clip, "--weights", weights, "--out", folder / "silent") == 0
    told = document(folder / "silent", "silent")
    assert told["notes"][0].startswith("the file has no sound: the audio features given to 'event_layers' are zeros")
    assert told["windows"][0]["onsets"] == [] and not told["has_audio"]


def test_models_of_one_stream_and_of_one_head_show_what_they_have(folder, backbones, capsys):
    clip = folder / "short.mp4"
    expected = {"audio_only": {"_labels.png"}, "naive_av": {"_labels.png", "_localization.png", "_localization.mp4"}}
    for name, kinds in expected.items():
        path = write_weights(folder / f"{name}.keras", name, backbones.features)
        assert command(clip, "--weights", path, "--out", folder / name) == 0
        written = {path.name.removeprefix("short") for path in (folder / name).iterdir()}
        assert written == kinds | {".txt", ".json"}
        (head,) = document(folder / name, "short")["windows"][0]["heads"]
        assert head["label"] == document(folder / name, "short")["windows"][0]["label"]
    assert "audio_only has one stream" in capsys.readouterr().out


def test_a_model_on_clips_runs_its_own_backbones(folder, backbones):
    features = backbones.frames.info()
    path = write_weights(folder / "clips.keras", "event_layers", features, inputs="clips", frame_size=32)
    predictor = predict.Predictor.of(path)
    seen = predictor.look(next(predictor.read(folder / "short.mp4", starts=[0])))
    (expected,) = time_steps_of(folder / "short.mp4", backbones)
    for name in ("visual", "audio", "maps", "onsets", "onset_mask"):
        # Its networks begin as the frozen ones are.
        np.testing.assert_allclose(seen[name], expected[name], rtol=1e-4, atol=1e-4)
    assert command(folder / "short.mp4", "--weights", path, "--out", folder / "clips") == 0
    assert document(folder / "clips", "short")["features"]["visual"]["extractor"] == "frames"


def test_without_a_trained_model_the_command_that_makes_it_is_named(folder, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert command(folder / "short.mp4") == 2
    said = capsys.readouterr().err
    assert "there is no trained model yet; run python -m eventlayers.train" in said and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_not_media_are_named(folder, weights, capsys):
    (folder / "bad.mp4").write_bytes(b"no clip at all")
    assert command(folder / "bad.mp4", "--weights", weights, "--out", folder / "bad") == 2
    assert "bad.mp4: is not a media file" in capsys.readouterr().err
    assert not Path(folder / "bad").exists()


def test_the_train_commands_default_is_the_predict_commands_default():
    from eventlayers import train

    assert train.Settings().folder / "seed-0" / "best.keras" == predict.DEFAULT_WEIGHTS


def test_where_a_picture_fails_the_text_is_printed_and_stored(weights, tmp_path, capsys):
    words = (write_media(tmp_path / "clip.mp4", 1), "--weights", weights)
    told_before_pictures(predict, words, tmp_path / "out", "clip", "clip_labels.png", capsys)
