"""`python -m mafnet.predict`: from files to labels, scores and Figure 3 that agree with each other."""

import dataclasses
import functools
import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import mafnet
from avpipeline import media
from avpipeline.datasets.rendered import rendered_video_split
from avpipeline.features.registry import build_extractor, clip_features
from avpipeline.training.saved import ModelInfo, save_model
from mafnet import predict
from tests.ave.test_predict import write_media, write_sound
from tests.helpers.commands import refused, run_command, told_before_pictures
from tests.helpers.mafnet_data import NARROW
from tests.helpers.pictures import figures_of

CLASSES = ("Bark", "Church bell", "Frying (food)")
EXTRACTORS = {"visual": "small_visual:avg_pool", "audio": "small_audio_map"}


@functools.cache
def extractors():
    return {modality: build_extractor(name) for modality, name in EXTRACTORS.items()}


def write_weights(path, name="mafnet", **changes):
    """A narrow model with random weights, saved as training saves it; returns the model."""
    keras.utils.set_random_seed(3)
    shapes = {f"{modality}_shape": extractor.info.shape for modality, extractor in extractors().items()}
    model = mafnet.build_model(name, num_classes=3, **shapes, **NARROW)
    features = {modality: extractors()[modality].info for modality in model.input}
    info = ModelInfo("mafnet", name, "code", CLASSES, features, "rendered")
    save_model(model, path, dataclasses.replace(info, **changes))
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of 3, 10 and 12 s, one without sound, one without pictures, all predicted by one command."""
    folder = tmp_path_factory.mktemp("predict")
    write_media(folder / "in" / "short.mp4", 3)
    write_media(folder / "in" / "whole.mp4", 10)
    write_media(folder / "in" / "long.mp4", 12)
    write_media(folder / "in" / "silent.mp4", 2, sound=False)
    write_sound(folder / "in" / "heard.wav", 2)
    return folder


@pytest.fixture(scope="module")
def model(folder):
    model = write_weights(folder / "mafnet.keras")
    assert command(folder / "in", "--weights", folder / "mafnet.keras", "--out", folder / "out") == 0
    return mafnet.with_attention(model)


command = functools.partial(run_command, predict)


def document(folder, stem):
    return json.loads((folder / "out" / f"{stem}.json").read_text())


def expected(model, path, start=0, seconds=10):
    """Probabilities and scores of one window, its features zero padded to ten clips."""
    visual = extractors()["visual"]
    clip = media.read_clip(path, start=start, seconds=seconds, frame_rate=visual.frame_rate, size=visual.frame_size)
    inputs = {}
    for modality, rows in clip_features(extractors(), clip).items():
        inputs[modality] = np.zeros((1, 10, *rows.shape[1:]), np.float32)
        inputs[modality][0, :seconds] = rows
    output = model(inputs)
    return output["video"].numpy()[0], output["attention"].numpy()[0]


def scores_in(told):
    return np.array([[clip["visual"], clip["audio"]] for clip in told["scores"]])


def test_every_file_has_text_json_and_its_figure_3(folder, model):
    stems = ("short", "whole", "long", "silent", "heard")
    names = {f"{stem}{ending}" for stem in stems for ending in (".txt", ".json", "_scores.png")}
    assert {path.name for path in (folder / "out").iterdir()} == {*names, "long_scores_2.png"}


def test_json_holds_what_the_model_says_of_the_clip(folder, model):
    told = document(folder, "whole")
    probabilities, scores = expected(model, folder / "in" / "whole.mp4")
    np.testing.assert_allclose(told["probabilities"], probabilities, atol=2e-6)
    np.testing.assert_allclose(scores_in(told), scores, atol=2e-6)
    assert scores_in(told).sum() == pytest.approx(1, abs=1e-4) and np.ptp(scores) > 1e-4
    assert told["label"] == CLASSES[probabilities.argmax()] and told["notes"] == []
    assert told["probability"] == round(float(probabilities.max()), 4)
    assert (told["model"]["paper"], told["model"]["model"], told["model"]["trained_on"]) == (
        "mafnet", "mafnet", "rendered"
    )  # fmt: skip
    assert told["features"] == {modality: extractor.info.to_json() for modality, extractor in extractors().items()}


def test_example_is_the_first_test_video_with_its_true_class(few_clips, folder, model, capsys):
    test = rendered_video_split("test", modalities=("audio_map", "visual"))
    run = SimpleNamespace(experiment=SimpleNamespace(splits=SimpleNamespace(test=test)))
    run.settings, run.weights = SimpleNamespace(folder=folder / "run"), folder / "mafnet.keras"
    (figure,) = figures_of(lambda: predict.draw_example(run))
    told = json.loads((folder / "run" / "example" / f"{test.ids[0]}.json").read_text())
    truth = test.class_names[test.labels[0].argmax()]
    about = f"{test.ids[0]}.mp4: {told['label']} ({told['probability']:.2f}), truth: {truth} - mafnet"
    assert figure._suptitle.get_text().startswith(about)
    assert f"{test.ids[0]}, the first test video; it is '{truth}'" in capsys.readouterr().out


def test_a_short_file_is_zero_padded_and_shows_its_own_seconds(folder, model):
    told = document(folder, "short")
    probabilities, scores = expected(model, folder / "in" / "short.mp4", seconds=3)
    np.testing.assert_allclose(told["probabilities"], probabilities, atol=2e-6)
    np.testing.assert_allclose(scores_in(told), scores[:3], atol=2e-6)
    share = 100 * scores[3:].sum()
    (note,) = told["notes"]
    assert note.startswith("shorter than the model's 10 s: its features are zero padded")
    assert note.endswith(f", and {share:.0f} % of the attention is on the padding")


def test_a_long_file_is_named_by_all_its_windows(folder, model):
    told = document(folder, "long")
    first, first_scores = expected(model, folder / "in" / "long.mp4")
    second, second_scores = expected(model, folder / "in" / "long.mp4", start=10, seconds=2)
    np.testing.assert_allclose(told["probabilities"], (10 * first + 2 * second) / 12, atol=2e-6)
    np.testing.assert_allclose(scores_in(told), np.concatenate([first_scores, second_scores[:2]]), atol=2e-6)
    assert [clip["start"] for clip in told["scores"]] == list(range(12))
    assert told["notes"][0].startswith("longer than the model's 10 s: predicted in 2 consecutive windows")


def test_a_missing_stream_is_said(folder, model):
    for stem, stream in (("silent", "sound"), ("heard", "frames")):
        told = document(folder, stem)
        assert f"has no {stream}" in told["notes"][0]
        assert told["notes"][0] in (folder / "out" / f"{stem}.txt").read_text()


def test_text_says_what_the_json_says(folder, model):
    told, text = document(folder, "whole"), (folder / "out" / "whole.txt").read_text()
    assert text == predict.as_text(told)
    classes, scores = text.split("probability  class\n")[1].split("\n\nseconds  visual   audio\n")
    listed = [line.split(maxsplit=1) for line in classes.splitlines()]
    assert listed[0] == [f"{told['probability']:.4f}", told["label"]] and len(listed) == 3
    for line, clip in zip(scores.splitlines(), told["scores"], strict=True):
        assert line.split() == [f"{clip['start']}-{clip['end']}", f"{clip['visual']:.4f}", f"{clip['audio']:.4f}"]


def test_a_model_without_attention_says_so(folder, capsys):
    write_weights(folder / "plain.keras", "no_attention")
    words = (folder / "in" / "silent.mp4", "--weights", folder / "plain.keras", "--out", folder / "plain")
    assert command(*words) == 0
    assert "no_attention has no attention" in capsys.readouterr().out
    assert {path.name for path in (folder / "plain").iterdir()} == {"silent.txt", "silent.json"}
    assert "scores" not in json.loads((folder / "plain" / "silent.json").read_text())


def test_bad_input_is_one_sentence(folder, capsys):
    write_weights(folder / "audio.keras", "audio")
    write_weights(folder / "other.keras", "audio", paper="ave")
    (folder / "broken.mp4").write_bytes(b"no clip at all")
    for name, weights, sentence in (
        ("in/silent.mp4", "audio.keras", "has no sound, which is all that the model 'audio' uses"),
        ("in/silent.mp4", "other.keras", "a model of mafnet is needed"),
        ("in/silent.mp4", "none.keras", "none.keras"),
        ("broken.mp4", "audio.keras", "broken.mp4: "),
    ):
        words = [folder / name, "--weights", folder / weights, "--out", folder / "bad"]
        refused(predict, words, sentence, capsys, folder / "bad")


def test_where_a_picture_fails_the_text_is_printed_and_stored(tmp_path, capsys):
    write_weights(tmp_path / "mafnet.keras")
    words = (write_media(tmp_path / "clip.mp4", 1), "--weights", tmp_path / "mafnet.keras")
    told_before_pictures(predict, words, tmp_path / "out", "clip", "clip_scores.png", capsys)
