"""Labels of a media file equal those of its record; names, tables, pictures, refusals."""

import csv
import dataclasses
import functools
import json

import keras
import numpy as np
import pytest

import attendfusion
from attendfusion import predict, train
from attendfusion.data import Records
from attendfusion.evaluation import predictions
from attendfusion.labelling import Labeller, extractors_of, media_frames
from attendfusion.pictures import Example, examples
from avpipeline.datasets.rendered import RenderedSettings, rendered_clips
from avpipeline.datasets.youtube8m.rendered import rendered_youtube8m
from avpipeline.datasets.youtube8m.splits import write_vocabulary
from avpipeline.training.saved import ModelInfo, save_model
from tests.helpers.attendfusion_records import CLASS_NAMES, FEATURES, SCALE, write_folder
from tests.helpers.commands import run_command, told_before_pictures
from tests.helpers.media_files import tone, write_media
from tests.helpers.pictures import figures_of

FEW = RenderedSettings(train=10, val=4, test=4)


@pytest.fixture(scope="module")
def clips():
    return rendered_clips(FEW).paths("test")


def save_untrained(path, tokens="mean_std", name="fc_early"):
    """A network for the rendered records, as training would save it."""
    source = rendered_youtube8m(FEW, level="frame" if tokens == "frames" else "video")
    records = Records(source, tokens, ("audio", "visual"))
    settings = train.PAPER.settings_for(name)
    network = dataclasses.replace(settings.network, width=8, tokens=tokens)
    info = train.PAPER.experiment(dataclasses.replace(settings, network=network), records).info
    keras.utils.set_random_seed(2)
    shape = {key: info.config[key] for key in ("width", "tokens", "num_classes", "audio_channels", "visual_channels")}
    model = attendfusion.build_model(name, **shape)
    save_model(model, path, info)
    return model, records


command = functools.partial(run_command, predict)


@pytest.mark.parametrize(
    "tokens", ["mean_std", *(pytest.param(name, marks=pytest.mark.slow) for name in ("mean", "frames"))]
)
def test_a_media_file_gets_the_labels_of_its_record(clips, tmp_path, capsys, tokens):
    model, records = save_untrained(tmp_path / "model.keras", tokens)
    assert command(clips[1], "--weights", tmp_path / "model.keras", "--out", tmp_path / "out", "--top", 4) == 0
    ids, _, probabilities = next(predictions(model, records.stream("test"), 4))
    own = probabilities[list(ids).index(clips[1].stem)]
    document = json.loads((tmp_path / "out" / f"{clips[1].stem}.json").read_text())
    best = np.argsort(-own)[:4]
    assert [label["label"] for label in document["labels"]] == [records.source.class_names[index] for index in best]
    np.testing.assert_allclose([label["probability"] for label in document["labels"]], own[best], atol=2e-3)
    text = (tmp_path / "out" / f"{clips[1].stem}.txt").read_text()
    assert text in capsys.readouterr().out and document["labels"][0]["label"] in text
    assert (tmp_path / "out" / "examples.png").stat().st_size > 5_000


@pytest.mark.parametrize(("off", "is_told"), [(0.0, False), (1.0, True)])
@pytest.mark.parametrize("tokens", ["mean_std", "frames"])
def test_a_file_unlike_all_of_training_is_said_to_be(clips, tmp_path, tokens, off, is_told):
    """The clip's own tokens, and training whose largest distance is 0.5 around their mean or 1 beside it."""
    _, records = save_untrained(tmp_path / "model.keras", tokens, "fc_audio")
    inputs = next(iter(records.stream("test").read(4, details=True)))[0]
    row = [name.decode() for name in inputs["id"].numpy()].index(clips[1].stem)
    mean = inputs["audio"][row].numpy()[:10].mean(0) + off  # of both tokens, or of ten frames
    statistics = {"audio": {"mean": mean, "deviation": np.ones_like(mean), "largest": 0.5}}
    labeller = Labeller.load(tmp_path / "model.keras")
    known = dataclasses.replace(labeller, info=dataclasses.replace(labeller.info, statistics=statistics))
    notes = media_frames(clips[1], known, extractors_of(known)).notes
    told = "its audio features are far outside of those in training (distance 1.0, in training at most 0.5)"
    assert any(note.startswith(told) for note in notes) == is_told


def test_records_are_labelled_into_a_table_with_a_picture(clips, tmp_path, capsys):
    model, records = save_untrained(tmp_path / "model.keras")
    save_untrained(tmp_path / "baseline.keras", name="fc_late")
    names = [f"label {number}" for number in range(16)]
    write_vocabulary(tmp_path / "names.csv", names, [0] * 16)
    shards = f"{records.source.folder}/test*.tfrecord"
    words = ("--weights", tmp_path / "model.keras", "--baseline", tmp_path / "baseline.keras")
    words += ("--vocabulary", tmp_path / "names.csv", "--media", clips[0].parent, "--out", tmp_path / "out")
    assert command(shards, *words) == 0
    assert "4 videos in 2 files" in capsys.readouterr().out
    with open(tmp_path / "out" / "labels.csv", newline="") as file:
        table = list(csv.DictReader(file))
    ids, truths, probabilities = next(predictions(model, records.stream("test"), 4))
    assert [line["id"] for line in table] == list(ids)
    for line, truth, own in zip(table, truths, probabilities, strict=True):
        assert line["truth"] == "; ".join(names[index] for index in np.flatnonzero(truth))
        best = np.argsort(-own, kind="stable")[:3]
        assert [line[f"label_{rank}"] for rank in (1, 2, 3)] == [names[index] for index in best]
        np.testing.assert_allclose([float(line[f"probability_{rank}"]) for rank in (1, 2, 3)], own[best], atol=1e-5)
    assert (tmp_path / "out" / "examples.png").stat().st_size > 20_000


def test_a_missing_stream_is_said(tmp_path, capsys):
    save_untrained(tmp_path / "model.keras")
    write_media(tmp_path / "tone.wav", audio="pcm_s16le", samples=tone(3, 16_000))
    assert command(tmp_path / "tone.wav", "--weights", tmp_path / "model.keras", "--out", tmp_path / "out") == 0
    document = json.loads((tmp_path / "out" / "tone.json").read_text())
    assert any("has no frames" in note and "zeros" in note for note in document["notes"])


def test_features_that_nobody_here_can_make_are_said(tmp_path, capsys):
    """A network trained on YouTube-8M itself labels records, not media files."""
    config = {"width": 4, "num_classes": 5, "audio_channels": 4, "visual_channels": 6}
    features = {name: dataclasses.replace(info, extractor="youtube8m") for name, info in FEATURES.items()}
    network = {**dataclasses.asdict(attendfusion.model_config("fc_early", **config)), "scale": SCALE}
    info = ModelInfo("attendfusion", "fc_early", "paper", CLASS_NAMES, features, "youtube8m", network)
    save_model(attendfusion.build_model("fc_early", **config), tmp_path / "model.keras", info)
    assert command("clip.mp4", "--weights", tmp_path / "model.keras", "--out", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "no network here extracts them from a media file; give records" in said and said.count("\n") == 1
    folder = write_folder(tmp_path / "records")
    words = ("--weights", tmp_path / "model.keras", "--out", tmp_path / "out")
    assert command(folder / "test-00000-of-00002.tfrecord", *words) == 2
    assert "features do not fit the model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("nowhere.mp4", "--top", 0), "--top 0: must be a whole number from 1 to 1000000."),
        (("nowhere.mp4",), "nowhere.mp4"),
        (("nowhere.tfrecord",), "nowhere.tfrecord: no file matches"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, capsys, words, sentence):
    save_untrained(tmp_path / "model.keras")
    assert command(*words, "--weights", tmp_path / "model.keras", "--out", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1
    assert not (tmp_path / "out" / "labels.csv").exists()


def test_picture_of_examples_colours_what_is_right(tmp_path):
    from attendfusion import pictures

    shown = Example("v1", None, ("cat", "bell"), {"ours": [("cat", 0.9), ("dog", 0.4)]})
    (figure,) = figures_of(lambda: examples(tmp_path / "x.png", [shown]))
    texts = {
        text.get_text(): text.get_color()
        for cell in figure.subfigs
        for axis in cell.axes
        for text in axis.texts
    }
    assert texts["cat  0.90"] == pictures._RIGHT and texts["dog  0.40"] == pictures._WRONG
    assert {"ground truth", "ours", "cat", "bell"} < set(texts)


def test_where_a_picture_fails_the_text_is_printed_and_stored(tmp_path, capsys):
    save_untrained(tmp_path / "model.keras")
    capsys.readouterr()
    clip = write_media(tmp_path / "clip.wav", audio="pcm_s16le", samples=tone(3, 16_000))
    words = (clip, "--weights", tmp_path / "model.keras")
    told_before_pictures(predict, words, tmp_path / "out", "clip", "examples.png", capsys)
