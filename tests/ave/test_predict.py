"""`python -m ave.predict`: from files to texts, JSON, pictures and videos that agree with each other."""

import dataclasses
import functools
import json
import re
import wave
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import pytest
from PIL import Image

import ave
from ave import predict
from avpipeline import media, plots
from avpipeline.features.logmel import LogMel
from avpipeline.features.registry import build_extractor, clip_features
from avpipeline.predict import segments
from avpipeline.predict.segments import as_text
from avpipeline.training.saved import ModelInfo, load_model, save_model
from tests.helpers.commands import run_command, told_before_pictures
from tests.helpers.pictures import is_same_picture

CLASSES = ("Female speech, woman speaking", "Bark", "background")
NARROW = {"num_classes": 3, "attention_units": 8, "lstm_units": 4, "hidden_units": 4}
RATE = 8


@pytest.fixture(scope="module")
def extractors():
    return {"audio": build_extractor("small_audio"), "visual": build_extractor("small_visual")}


def write_weights(path, name, extractors, **changes):
    """A narrow model with random weights, saved as training saves it; returns the model."""
    keras.utils.set_random_seed(3)
    model = ave.build_model(name, **NARROW)
    features = {modality: extractors[modality].info for modality in model.input}
    info = ModelInfo("ave", name, "code", CLASSES, features, "rendered")
    save_model(model, path, dataclasses.replace(info, **changes))
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("predict")


@pytest.fixture(scope="module")
def weights(folder, extractors):
    write_weights(folder / "av_att.keras", "av_att", extractors)
    return folder / "av_att.keras"


def write_media(path, seconds, *, sound=True, size=(48, 64)):
    """A clip whose picture and sound change every second."""
    rng = np.random.default_rng(5)
    tiles = rng.integers(0, 255, (seconds, 6, 8, 3), dtype=np.uint8)
    frames = tiles.repeat(size[0] // 6, 1).repeat(size[1] // 8, 2).repeat(RATE, 0)
    pitch = rng.integers(200, 3000, seconds).repeat(16000)
    waveform = 0.3 * np.sin(2 * np.pi * pitch * np.arange(seconds * 16000) / 16000) if sound else None
    media.write_clip(path, frames, waveform, frame_rate=RATE)
    return path


def write_sound(path, seconds):
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        tone = 8000 * np.sin(2 * np.pi * 440 * np.arange(seconds * 16000) / 16000)
        file.writeframes(tone.astype("<i2").tobytes())
    return path


def document(out, stem):
    return json.loads((out / f"{stem}.json").read_text())


command = functools.partial(run_command, predict)


@dataclasses.dataclass
class Done:
    """A finished prediction: the clip, the folder written and the JSON in it."""

    clip: Path
    out: Path
    document: dict


@pytest.fixture(scope="module")
def done(folder, weights):
    """The command on a clip of 10 s with sound."""
    clip = write_media(folder / "clip.mp4", 10)
    assert command(clip, "--weights", weights, "--out", folder / "out") == 0
    return Done(clip, folder / "out", document(folder / "out", "clip"))


def test_every_file_is_there(done):
    assert {path.name for path in done.out.iterdir()} == {
        "clip.txt", "clip.json", "clip_timeline.png", "clip_attention.png", "clip_attention.mp4"
    }  # fmt: skip


def test_json_holds_what_the_model_says_of_the_clip(done, weights, extractors):
    visual = extractors["visual"]
    clip = media.read_clip(done.clip, frame_rate=visual.frame_rate, size=visual.frame_size)
    features = clip_features(extractors, clip)
    model = keras.models.load_model(weights)
    expected = model({name: value[np.newaxis] for name, value in features.items()}).numpy()[0]

    segments = done.document["segments"]
    probabilities = np.array([segment["probabilities"] for segment in segments])
    np.testing.assert_allclose(probabilities, expected, atol=2e-6)
    assert np.ptp(probabilities, axis=0).max() > 0.01  # the clip's seconds differ, so must its predictions
    assert [segment["label"] for segment in segments] == [CLASSES[i] for i in expected.argmax(1)]
    assert [(segment["start"], segment["end"]) for segment in segments] == [(i, i + 1) for i in range(10)]


def test_json_names_model_and_features(done, extractors):
    model = done.document["model"]
    assert (model["paper"], model["model"], model["preset"], model["trained_on"]) == (
        "ave", "av_att", "code", "rendered"
    )  # fmt: skip
    assert len(model["sha256"]) == 64
    for modality, extractor in extractors.items():
        assert done.document["features"][modality] == extractor.info.to_json()
    assert done.document["length"] == pytest.approx(10, abs=0.1)
    assert done.document["notes"] == []


def test_events_are_the_stretches_that_are_not_background(done):
    named = [None if s["label"] == "background" else s["label"] for s in done.document["segments"]]
    painted = [None] * len(named)
    for event in done.document["events"]:
        painted[event["start"] : event["end"]] = [event["label"]] * (event["end"] - event["start"])
    assert painted == named
    joined = list(zip(done.document["events"], done.document["events"][1:], strict=False))
    assert all(a["end"] < b["start"] or a["label"] != b["label"] for a, b in joined)


def test_text_says_what_the_json_says(done):
    text = (done.out / "clip.txt").read_text()
    assert text == as_text(done.document)
    table = text.split("seconds  probability  class\n")[1].split("\n\n")[0].splitlines()
    assert len(table) == 10
    for line, segment in zip(table, done.document["segments"], strict=True):
        seconds, probability, label = line.split(maxsplit=2)
        assert seconds == f"{segment['start']}-{segment['end']}"
        assert float(probability) == segment["probability"] == round(max(segment["probabilities"]), 4)
        assert label == segment["label"]
    listed = [line for line in text.split("events:")[1].splitlines() if line.startswith("  ")]
    assert listed == [
        f"  {event['start']}-{event['end']} s  {event['label']} ({event['probability']:.4f})"
        for event in done.document["events"]
    ]


def test_pictures_are_pictures(done):
    for name in ("clip_timeline.png", "clip_attention.png"):
        with Image.open(done.out / name) as image:
            assert min(image.size) > 500


def test_overlay_is_the_clip_with_its_sound_and_something_laid_over(done):
    overlay, clip = media.probe(done.out / "clip_attention.mp4"), media.probe(done.clip)
    assert overlay.has_audio and overlay.has_video
    assert overlay.seconds == pytest.approx(clip.seconds, abs=0.1)
    assert (overlay.width, overlay.height, overlay.frame_rate) == (64, 48, RATE)
    reading = {"frame_rate": RATE, "size": None, "seconds": 10}
    ours, theirs = media.read_frames(overlay.path, **reading), media.read_frames(clip.path, **reading)
    changed = np.abs(ours.astype(int) - theirs).mean((1, 2, 3))
    assert changed.shape == (80,) and changed.min() > 5
    sound, heard = media.read_waveform(clip.path, seconds=10), media.read_waveform(overlay.path, seconds=10)
    assert np.corrcoef(np.abs(np.fft.rfft(sound)), np.abs(np.fft.rfft(heard)))[0, 1] > 0.9


def test_a_model_of_synthetic_clips_warns_of_a_foreign_file_everywhere(folder, weights, capsys):
    """Text, JSON, the title of each picture and every frame of the video; the status is that of a success."""
    white, out = folder / "white.mp4", folder / "foreign"
    media.write_clip(white, np.full((2 * RATE, 120, 160, 3), 255, np.uint8), None, frame_rate=RATE)
    timeline, attention = mock.Mock(wraps=plots.timeline), mock.Mock(wraps=plots.attention_frames)
    with mock.patch.multiple(plots, timeline=timeline, attention_frames=attention):
        assert command(white, "--weights", weights, "--out", out) == 0
    told = document(out, "white")
    assert told["domain"] == "synthetic"
    assert told["warning"].startswith("trained on synthetic clips: its labels mean nothing for this file; use ")
    text = (out / "white.txt").read_text()
    assert text.splitlines()[:2] == [told["warning"], "white.mp4: 2.0 s"] and text in capsys.readouterr().out
    for picture in (timeline, attention):
        first, *rest = picture.call_args.kwargs["title"].splitlines()
        assert first == "white.mp4 - ave av_att, trained on rendered" and " ".join(rest) == told["warning"]
    frames = media.read_frames(out / "white_attention.mp4", frame_rate=RATE, size=None, seconds=2)
    assert (frames[:, 8:20, 8:60].min((1, 2, 3)) < 60).all()  # the dark ground of a line in the upper left corner


def test_a_short_clip_gives_only_its_own_seconds(folder, weights, capsys):
    write_media(folder / "short.mp4", 3)
    assert command(folder / "short.mp4", "--weights", weights, "--out", folder / "short") == 0
    told = document(folder / "short", "short")
    assert len(told["segments"]) == 3
    assert "shorter than the model's 10 s" in told["notes"][0]
    assert f"note: {told['notes'][0]}" in capsys.readouterr().out
    assert media.probe(folder / "short" / "short_attention.mp4").seconds == pytest.approx(3, abs=0.1)


def test_a_long_clip_is_predicted_window_by_window(folder, weights, done):
    write_media(folder / "long.mp4", 12)
    assert command(folder / "long.mp4", "--weights", weights, "--out", folder / "long") == 0
    told = document(folder / "long", "long")
    assert [segment["start"] for segment in told["segments"]] == list(range(12))
    assert "predicted in 2 consecutive windows" in told["notes"][0]
    assert media.probe(folder / "long" / "long_attention.mp4").seconds == pytest.approx(12, abs=0.1)
    assert (folder / "long" / "long_attention_2.png").exists()
    # Windows are on their own: the second one is what its last 2 s give as a file.
    waveform = media.read_waveform(folder / "long.mp4", start=10, seconds=2)
    frames = media.read_frames(folder / "long.mp4", frame_rate=RATE, size=None, start=10, seconds=2)
    media.write_clip(folder / "end.mp4", frames, waveform, frame_rate=RATE)
    assert command(folder / "end.mp4", "--weights", weights, "--out", folder / "end") == 0
    end = document(folder / "end", "end")["segments"]
    for segment, alone in zip(told["segments"][10:], end, strict=True):
        np.testing.assert_allclose(segment["probabilities"], alone["probabilities"], atol=0.02)


def test_a_missing_stream_is_said_and_gives_features_of_zeros(folder, weights, extractors, capsys):
    clip, sound = write_media(folder / "silent.mp4", 10, sound=False), write_sound(folder / "sound.wav", 10)
    assert command(clip, sound, "--weights", weights, "--out", folder / "missing") == 0
    printed = capsys.readouterr().out
    for stem, stream, modality in (("silent", "sound", "audio"), ("sound", "frames", "visual")):
        told = document(folder / "missing", stem)
        assert f"has no {stream}" in told["notes"][0] and f"the {modality} features given to" in told["notes"][0]
        assert told["notes"][0] in printed
    assert not document(folder / "missing", "silent")["has_audio"]
    assert {path.name for path in (folder / "missing").iterdir() if path.name.startswith("sound")} == {
        "sound.txt", "sound.json", "sound_timeline.png"
    }  # fmt: skip
    assert not media.probe(folder / "missing" / "silent_attention.mp4").has_audio

    features = {"audio": np.zeros((1, 10, 128), np.float32)}
    extractor = extractors["visual"]
    read = media.read_clip(clip, frame_rate=extractor.frame_rate, size=extractor.frame_size)
    features["visual"] = clip_features({"visual": extractor}, read)["visual"][np.newaxis]
    expected = keras.models.load_model(weights)(features).numpy()[0]
    found = [segment["probabilities"] for segment in document(folder / "missing", "silent")["segments"]]
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_a_file_without_the_only_stream_the_model_uses_is_refused(folder, extractors, capsys):
    write_weights(folder / "a.keras", "a", extractors)
    clip = write_media(folder / "mute.mp4", 2, sound=False)
    assert command(clip, "--weights", folder / "a.keras", "--out", folder / "mute") == 2
    assert f"{clip}: has no sound, which is all that the model 'a' uses" in capsys.readouterr().err
    assert not (folder / "mute").exists()


def test_a_model_without_attention_says_so(folder, extractors, capsys):
    write_weights(folder / "av.keras", "av", extractors)
    clip = write_media(folder / "plain.mp4", 2)
    assert command(clip, "--weights", folder / "av.keras", "--out", folder / "plain") == 0
    assert "av has no attention" in capsys.readouterr().out
    assert {path.name for path in (folder / "plain").iterdir()} == {
        "plain.txt", "plain.json", "plain_timeline.png"
    }  # fmt: skip


@pytest.mark.slow
def test_attention_over_sound_is_laid_over_the_log_mel_patches(folder, extractors, capsys):
    """Figure 1 of the supplement: A'-att has a picture, in which each patch is the clip's sound, time to the right."""
    more = {"audio_map": build_extractor("small_audio_map")}
    model = write_weights(folder / "amap_att.keras", "amap_att", {**extractors, **more})
    clip = write_media(folder / "heard.mp4", 2)
    drawn = {}
    with mock.patch.object(plots, "attention_frames", lambda path, *arrays, **_: drawn.update({path.name: arrays})):
        assert command(clip, "--weights", folder / "amap_att.keras", "--out", folder / "heard", "--scale", "clip") == 0
    assert "no attention" not in capsys.readouterr().out and list(drawn) == ["heard_audio_attention.png"]
    patches, maps, _ = drawn["heard_audio_attention.png"]
    log_mel = np.asarray(LogMel()(media.read_waveform(clip, seconds=2).reshape(2, 16000)))
    grey = 255 * (log_mel - log_mel.min()) / np.ptp(log_mel)
    np.testing.assert_allclose(patches[:, ::4, ::4, 0], grey.transpose(0, 2, 1)[:, ::-1], atol=1)

    read = media.read_clip(clip, seconds=10, frame_rate=4, size=extractors["visual"].frame_size)
    features = clip_features({"audio_map": more["audio_map"], "visual": extractors["visual"]}, read)
    output = ave.with_attention(model)({name: feature[np.newaxis] for name, feature in features.items()})
    expected = np.asarray(output["audio_attention"])[0, :2].transpose(0, 2, 1)[:, ::-1]
    np.testing.assert_allclose(maps, expected, atol=1e-6)
    np.testing.assert_allclose(maps.sum((1, 2)), 1, atol=1e-5)
    assert command(clip, "--weights", folder / "amap_att.keras", "--out", folder / "heard") == 0
    assert (folder / "heard" / "heard_audio_attention.png").stat().st_size > 10_000
    assert not (folder / "heard" / "heard_attention.png").exists()


@pytest.mark.parametrize(("words", "highest"), [((), "second"), (("--scale", "clip"), "clip")])
def test_colours_are_scaled_by_each_second_or_by_the_clip(words, highest, folder, weights):
    clip, drawn = write_media(folder / f"scale_{highest}.mp4", 3), {}

    def draw(path, frames, maps, labels, **more):
        drawn.update(maps=maps, **more)

    with mock.patch.object(plots, "attention_frames", draw):
        assert command(clip, "--weights", weights, "--out", folder / f"scale_{highest}", *words) == 0
    maps = drawn["maps"]
    if highest == "second":
        np.testing.assert_allclose(maps.min((1, 2)), 0, atol=1e-6)
        np.testing.assert_allclose(maps.max((1, 2)), 1, atol=1e-6)
    else:
        np.testing.assert_allclose(maps.sum((1, 2)), 1, atol=1e-5)
    assert (drawn["scale_label"] is None) == (highest == "clip")


@pytest.mark.parametrize(
    "name", ["w_av_att", *(pytest.param(name, marks=pytest.mark.slow) for name in ("amap_v_co_att", "av_s_c3d"))]
)
def test_every_kind_of_model_predicts(folder, extractors, name):
    """Weak models give probabilities too; several features are made of one stream."""
    more = {"audio_map": build_extractor("small_audio_map"), "motion": build_extractor("small_motion")}
    model = write_weights(folder / f"{name}.keras", name, {**extractors, **more})
    clip = write_media(folder / f"{name}.mp4", 2)
    assert command(clip, "--weights", folder / f"{name}.keras", "--out", folder / name) == 0
    found = [segment["probabilities"] for segment in document(folder / name, name)["segments"]]
    np.testing.assert_allclose(np.sum(found, -1), 1, atol=1e-4)

    read = media.read_clip(clip, seconds=10, frame_rate=4, size=extractors["visual"].frame_size)
    features = clip_features({modality: {**extractors, **more}[modality] for modality in model.input}, read)
    output = model({modality: feature[np.newaxis] for modality, feature in features.items()})
    segments = np.asarray(output["segments"] if name == "w_av_att" else output)[0, :2]
    if name == "w_av_att":
        segments = np.exp(segments) / np.exp(segments).sum(-1, keepdims=True)
    np.testing.assert_allclose(found, segments, atol=2e-6)


def test_a_cut_off_file_is_said(folder, weights, done, capsys, recwarn):
    content = done.clip.read_bytes()
    (folder / "cut.mp4").write_bytes(content[: int(len(content) * 0.6)])
    # Labelled as far as it goes; the status says that it is damaged.
    assert command(folder / "cut.mp4", "--weights", weights, "--out", folder / "cut") == 2
    (note,) = document(folder / "cut", "cut")["notes"]
    said = capsys.readouterr()
    # One sentence, though both streams end early.
    assert re.fullmatch(
        r"is damaged or cut off \(its audio ends at \S+ s of 10.00 s\); what can be decoded is used", note
    )
    assert f"note: {note}" in said.out
    assert said.err.strip().endswith(f"damaged, and used as far as they go: {folder / 'cut.mp4'}")
    assert not [warning for warning in recwarn if "cut.mp4" in str(warning.message)]


def test_without_a_file_there_is_nothing_to_do(folder, weights, capsys):
    assert command("--weights", weights) == 2
    assert "no file to predict" in capsys.readouterr().err


def test_one_bad_file_does_not_stop_the_others(folder, weights, capsys):
    several = folder / "several"
    several.mkdir()
    write_media(several / "good.mp4", 1)
    (several / "bad.mp4").write_bytes(b"no clip at all")
    assert command(several, "--weights", weights, "--out", folder / "some") == 2
    told = capsys.readouterr().err
    assert "1 of 2 files done; not done:" in told and f"{several / 'bad.mp4'}: " in told
    assert (folder / "some" / "good.txt").exists()
    assert not [path for path in (folder / "some").iterdir() if path.name.startswith("bad")]


@pytest.mark.slow
def test_figure_has_a_row_for_each_file_of_a_list(folder, weights, extractors):
    """The picture is the one of these rows: three seconds of one file, five of the other, with maps and labels."""
    clips = {"second": write_media(folder / "second.mp4", 3), "first": write_media(folder / "first.mp4", 10)}
    (folder / "list.txt").write_text("second.mp4\nfirst.mp4\n")
    assert command(folder / "list.txt", "--weights", weights, "--out", folder / "figure", "--figure") == 0
    model, info = load_model(weights)
    predictor = segments.Predictor(ave.models.forward_of(model), info, weights, extractors, window=10, scale="second")
    rows = []
    for (name, clip), shown in zip(clips.items(), ((0, 1, 2), (0, 2, 4, 7, 9)), strict=True):
        frames = media.read_frames(clip, frame_rate=1, size=media.probe(clip).size_at(240), seconds=10)
        told = document(folder / "figure", name)["segments"]
        maps = segments.predict_file(clip, predictor).attention
        labels = [told[second]["label"] for second in shown]
        rows.append(plots.AttentionRow(name, frames[list(shown)], maps[list(shown)], labels))
    plots.attention_figure(folder / "expected.png", rows, class_names=info.class_names, title=info.title)
    assert is_same_picture(folder / "figure" / "attention_figure.png", folder / "expected.png")


def test_files_of_one_name_do_not_overwrite_each_other(folder, weights, capsys):
    for name in ("one", "two"):
        (folder / name).mkdir()
        write_media(folder / name / "same.mp4", 1)
    status = command(folder / "one", folder / "two", "--weights", weights, "--out", folder / "same")
    assert status == 2
    assert "would overwrite the results of" in capsys.readouterr().err


def test_features_that_cannot_be_made_again_are_refused(folder, extractors, done, capsys):
    other = {modality: extractor.info for modality, extractor in extractors.items()}
    other["visual"] = dataclasses.replace(other["visual"], sha256="f" * 64)
    write_weights(folder / "other.keras", "av_att", extractors, features=other)
    assert command(done.clip, "--weights", folder / "other.keras", "--out", folder / "other") == 2
    assert "ffffffff" in capsys.readouterr().err


@pytest.mark.slow
def test_a_real_clip(folder, weights, reference_dir):
    clip = reference_dir / "media" / "0lFf-HP86Q0.mp4"
    assert command(clip, "--weights", weights, "--out", folder / "real") == 0
    told = document(folder / "real", clip.stem)
    assert len(told["segments"]) == 10 and told["has_audio"] and told["has_video"]
    assert (folder / "real" / f"{clip.stem}.txt").read_text() == as_text(told)
    about, overlay = media.probe(clip), media.probe(folder / "real" / f"{clip.stem}_attention.mp4")
    assert overlay.has_audio and overlay.seconds == pytest.approx(about.seconds, abs=0.1)
    assert (overlay.width, overlay.height) == (about.width, about.height)
    reading = {"frame_rate": 2, "size": None, "seconds": 9}
    ours, theirs = media.read_frames(overlay.path, **reading), media.read_frames(clip, **reading)
    assert np.abs(ours.astype(int) - theirs).mean((1, 2, 3)).min() > 2


def test_where_a_picture_fails_the_text_is_printed_and_stored(weights, tmp_path, capsys):
    words = (write_media(tmp_path / "clip.mp4", 1), "--weights", weights)
    told_before_pictures(predict, words, tmp_path / "out", "clip", "clip_timeline.png", capsys)
