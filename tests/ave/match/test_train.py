"""Cross-modality localization end to end: data, training command, evaluation and rows of Table 3."""

import csv
import dataclasses
import json
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pytest

from ave import convert, evaluate, predict, tables
from ave.match import config, pairs
from ave.match import evaluate as match_evaluate
from ave.match import predict as match_predict
from ave.match import train as match
from ave.match.config import MODELS, MatchModelConfig, match_model_config, match_train_config
from ave.match.search import DIRECTIONS, exact_match, without_looking
from ave.match.weights import load_matcher
from avpipeline import media
from avpipeline.datasets.base import ArraySource, Split, mean_over_regions
from avpipeline.datasets.rendered import rendered_clips
from avpipeline.errors import InputError
from avpipeline.features.info import FeatureInfo
from avpipeline.features.registry import build_extractor
from avpipeline.results import papers
from avpipeline.training import saved
from tests.helpers.ave_files import LINES, write_ave_folder, write_h5
from tests.helpers.commands import run_command, told_before_pictures

FEATURES = {
    "audio": FeatureInfo("vggish", "embedding_relu", "none", "a" * 64, (128,)),
    "visual": FeatureInfo("vgg19", "pool5", "none", "b" * 64, (7, 7, 512)),
}


def command(module, *words):
    return run_command(module, *words)


def videos(name, count=12):
    """Videos in whose event, and nowhere else, audio and visual features point in the same direction."""
    rng = np.random.default_rng([3, *name.encode()])
    fixed = np.random.default_rng(4)
    directions = {"audio": fixed.standard_normal(128), "visual": fixed.standard_normal(512)}
    labels = np.zeros((count, 10), "float32")
    for row in labels:
        length = rng.integers(2, 8)
        start = rng.integers(0, 11 - length)
        row[start : start + length] = 1
    labels[0] = 1
    inputs = {
        name: ArraySource((labels[..., None] * mean + rng.standard_normal((count, 10, len(mean)))).astype("float32"))
        for name, mean in directions.items()
    }
    ids = tuple(f"{name}{index}" for index in range(count))
    return Split("rendered", name, ids, pairs.CLASS_NAMES, inputs, labels, FEATURES)


def write_videos(folder, **splits):
    """Files of AVE with these videos, in the authors' layout."""
    folder.mkdir(exist_ok=True)
    labels = np.concatenate([split.labels for split in splits.values()])
    lines = []
    for clip, row in zip((clip for split in splits.values() for clip in split.ids), labels, strict=True):
        start = int(row.argmax())
        lines.append(f"Bark&{clip}&good&{start}&{start + int(row.sum())}\n")
    (folder / "Annotations.txt").write_text("".join(lines))
    for modality, name in (("audio", "audio_feature"), ("visual", "visual_feature_vec")):
        write_h5(folder / f"{name}.h5", np.concatenate([split.inputs[modality].array for split in splits.values()]))
    rows = iter(range(len(labels)))
    for name, split in splits.items():
        write_h5(folder / f"{name}_order_match.h5", np.array([next(rows) for _ in split.ids]), "order")
    return folder


@pytest.fixture(scope="module")
def small_data(tmp_path_factory):
    splits = {name: videos(name) for name in ("train", "val", "test")}
    return write_videos(tmp_path_factory.mktemp("ave"), **splits)


# Data


def test_segment_pairs_are_the_same_seconds():
    split = videos("train", 3)
    flat = pairs.segment_pairs(split)
    assert len(flat) == 30 and flat.ids[13] == "train1:3"
    audio, visual = (flat.inputs[name].read(np.array([13]))[0, 0] for name in ("audio", "visual"))
    np.testing.assert_array_equal(audio, split.inputs["audio"].array[1, 3])
    np.testing.assert_array_equal(visual, split.inputs["visual"].array[1, 3])
    assert flat.labels[13, 0] == split.labels[1, 3]
    matching = pairs.segment_pairs(split, matching_only=True)
    assert len(matching) == split.labels.sum() and matching.labels.all()
    assert set(matching.ids) <= set(flat.ids)


def test_averaged_maps():
    maps = np.random.default_rng(5).random((20, 2, 7, 7, 3), "float32")
    np.testing.assert_allclose(mean_over_regions(ArraySource(maps)), maps.mean((2, 3)), rtol=1e-6)


@pytest.fixture
def ave_folder(tmp_path):
    folder = write_ave_folder(tmp_path / "ave")
    for split, rows in {"train": (0, 1, 4), "val": (3,), "test": (5, 2)}.items():
        write_h5(folder / f"{split}_order_match.h5", np.array(rows), "order")
    return folder


def test_ave_is_read_in_the_matched_order(ave_folder):
    split = pairs.load_videos("ave", "test", ave_folder)
    assert split.ids == ("v4", "v2")
    assert [source.shape for source in split.inputs.values()] == [(10, 128), (10, 512)]
    assert split.inputs["audio"].array[:, 0, 0].tolist() == [5, 2]
    # Row r's first map begins with r, the rest is zero: the average is r / 49.
    np.testing.assert_allclose(split.inputs["visual"].array[:, 0, 0], [5 / 49, 2 / 49], rtol=1e-6)
    assert split.labels.tolist() == [[0] * 9 + [1], [1] * 4 + [0] * 6]


def test_the_authors_vectors_and_labels_are_used_where_they_are(ave_folder):
    vectors = np.random.default_rng(6).random((len(LINES), 10, 512)).astype("float32")
    write_h5(ave_folder / "visual_feature_vec.h5", vectors)
    labels = np.zeros((len(LINES), 10), "float32")
    labels[5, 2:4] = 1
    write_h5(ave_folder / "labels_closs.h5", labels)
    (ave_folder / "visual_feature.h5").unlink()
    split = pairs.load_videos("ave", "test", ave_folder)
    np.testing.assert_array_equal(split.inputs["visual"].array, vectors[[5, 2]])
    np.testing.assert_array_equal(split.labels, labels[[5, 2]])


@pytest.mark.parametrize("missing", ["test_order_match.h5", "audio_feature.h5", "visual_feature.h5"])
def test_missing_files_are_named(ave_folder, missing):
    (ave_folder / missing).unlink()
    with pytest.raises(InputError, match=missing):
        pairs.load_videos("ave", "test", ave_folder)


def test_official_labels_are_those_of_the_annotations(reference_dir, tmp_path):
    """AVE's own files: 402 test videos, all short; labels_closs.h5 is what Annotations.txt says."""
    from avpipeline.datasets.ave import event_segments, read_annotations, read_order

    folder = reference_dir / "data" / "ave"
    annotations = read_annotations(folder / "Annotations.txt")
    with h5py.File(folder / "labels_closs.h5") as file:
        labels = file["avadataset"][()]
    np.testing.assert_array_equal(labels, event_segments(annotations))
    test = labels[read_order(folder, "test", annotations, matched=True)]
    assert len(test) == 402 and (test.sum(1) < 10).all()
    # 142 events begin with the video and 188 end with it: naming the last window is right as often as the paper is.
    expected = {"chance": 0.2077, "first": 142 / 402, "last": 188 / 402}
    assert without_looking(test) == pytest.approx(expected, abs=1e-4)


# Training


@pytest.mark.parametrize("model", ["avdln", pytest.param("dcca", marks=pytest.mark.slow)])
def test_training_command(small_data, tmp_path, capsys, model):
    words = ("--model", model, "--epochs", 3, "--batch-size", 30, "--learning-rate", 1e-2, "--data", small_data)
    assert command(match, *words, "--seeds", 2, "--out", tmp_path) == 0
    said = capsys.readouterr().out
    assert f"{model.upper()} A2V" not in said and "44.8" not in said and "34.8" not in said
    assert "\nA2V: " in said and "\nV2A: " in said
    assert "no row of the paper: learning_rate 0.01 instead of" in said or "; learning_rate 0.01 instead of" in said
    for part in ("on your own clips, 11 short events (smoke: 3 of 20 epochs)", "(chance)"):
        assert part in said

    result = json.loads((tmp_path / "result.json").read_text())
    directions = json.loads((tmp_path / "directions.json").read_text())
    assert directions["chance"] == without_looking(videos("test").labels)["chance"]
    for index, seed in enumerate(result["seeds"]):
        with np.load(tmp_path / f"seed-{seed['seed']}" / "predictions.npz") as file:
            scores = [exact_match(file["labels"], file["predictions"], direction) for direction in DIRECTIONS]
        assert [directions[direction][index] for direction in DIRECTIONS] == scores
        assert seed["test"] == np.mean(scores)
        # Pairs have nothing to localize: only validation measures it.
        with open(tmp_path / f"seed-{seed['seed']}" / "log.csv") as file:
            epochs = list(csv.DictReader(file))
        assert epochs[0].keys() == {"epoch", "loss", "val_loss", "val_exact_match"}
        assert seed["val"] == max(float(epoch["val_exact_match"]) for epoch in epochs)
    # Ready after three epochs on data this plain: the stored model is far above chance on other videos.
    assert result["test_mean"] > 2 * directions["chance"]


def test_a_network_of_a_users_own_file(small_data, tmp_path, capsys):
    """Trained like AVDLN, in no row of Table 3, known to the other commands."""
    (tmp_path / "mine_match.py").write_text(
        "import keras\n\nimport ave\nfrom ave.match.networks import PairDistances\n\n\n"
        "@ave.register_matcher('mine_linear', embedding_units=8)\ndef linear(config):\n"
        "    audio, visual = keras.Input((None, 128), name='audio'), keras.Input((None, 512), name='visual')\n"
        "    seen, heard = (keras.layers.Dense(config.embedding_units)(x) for x in (visual, audio))\n"
        "    return keras.Model({'audio': audio, 'visual': visual}, PairDistances()(seen, heard))\n"
    )
    own, out = ("--import", tmp_path / "mine_match.py"), tmp_path / "run"
    words = ("--model", "mine_linear", "--epochs", 1, "--batch-size", 30, "--data", small_data, "--out", out)
    try:
        assert command(match, *words, *own) == 0
        assert "'mine_linear' is a model of your own" in capsys.readouterr().out
        assert command(match, *words[:-1], tmp_path / "narrow", "--margin", 1, *own) == 0
        assert command(match, *words, "--regularisation", 1, *own) == 2
        assert "--regularisation: is a setting of dcca, not of mine_linear" in capsys.readouterr().err
    finally:
        del MODELS["mine_linear"], config.OWN.differences["mine_linear"], config.OWN._functions["mine_linear"]
    weights = out / "seed-0" / "best.keras"
    # 128 and 512 channels to 8 units with biases; the name need not be known to read them.
    assert load_matcher(weights)[0].count_params() == (128 + 1) * 8 + (512 + 1) * 8
    assert command(match_evaluate, "--weights", weights, "--data", small_data, "--out", tmp_path / "evaluated") == 0
    assert command(evaluate, "--weights", weights) == 2
    assert "holds 'mine_linear', which matches sounds with frames" in capsys.readouterr().err


def test_example_is_drawn_of_a_short_event(few_clips, weights, tmp_path, capsys):
    boards = rendered_clips().boards["test"]
    event = next(board.events[0] for board in boards if board.events[0].end - board.events[0].start < 10)
    labels = np.stack([1 - board.labels()[:, -1] for board in boards])
    splits = SimpleNamespace(test=dataclasses.replace(videos("test"), labels=labels))
    run = SimpleNamespace(folder=tmp_path)
    match_predict.draw_example(
        SimpleNamespace(experiment=SimpleNamespace(splits=splits), settings=run, weights=weights)
    )
    names = {path.name for path in (tmp_path / "example").glob("*.png")}
    assert len(names) == 2 and all(name.endswith(f"_{event.start}-{event.end}.png") for name in names)
    rule = f"the first test video with an event shorter than itself, {event.start}-{event.end} s; found in its frames "
    assert rule in capsys.readouterr().out


@pytest.mark.slow
def test_rows_of_table_3_are_all_there_and_one_training_gives_two(small_data, tmp_path):
    printed = {published.row: published for published in papers.rows("ave", "Table 3")}
    assert sorted(("Table 3", row) for row in printed) == sorted(match.ROWS)
    settings = match.PAPER.settings_for("avdln", dataset="ave", data=small_data, seeds=2, out=tmp_path)
    settings = dataclasses.replace(settings, training=match_train_config("avdln", epochs=1, batch_size=40))
    trained = match.PAPER.train(settings, watch_test=True)
    assert trained.experiment.schedule.is_smoke and "short events (smoke: 1 of 20 epochs)" in trained.data
    for direction in DIRECTIONS:
        row = match.PAPER.line(printed[f"AVDLN {direction.upper()}"], trained, direction)
        assert row.record(tmp_path)["parameters"] == 98_688 and len(row.best_on_test) == 2
        for path, value in zip(trained.predictions, row.values, strict=True):
            with np.load(path) as file:
                assert value == 100 * exact_match(file["labels"], file["predictions"], direction)


@pytest.mark.trained
def test_table_3_is_printed_with_what_its_rows_are_made_of(small_data, tmp_path, capsys):
    words = ("--table", "Table 3", "--epochs", 2, "--seeds", 2, "--data", small_data, "--out", tmp_path)
    assert command(tables, *words) == 0
    printed = pd.read_csv(tmp_path / "table_3.csv")
    assert sorted(printed["row"]) == sorted(row for _, row in match.ROWS)
    assert printed["configuration"].nunique() == 2 and printed["smoke"].all()
    text = (tmp_path / "table_3.md").read_text()
    for line in printed.itertuples():
        _, direction = match.ROWS["Table 3", line.row]
        for name, mean in (("predictions.npz", line.ours_mean), ("best_on_test.npz", line.best_on_test_mean)):
            scores = []
            for path in line.predictions.replace("predictions.npz", name).split():
                with np.load(tmp_path / path) as file:
                    scores.append(100 * exact_match(file["labels"], file["predictions"], direction))
            assert len(scores) == 2 and mean == pytest.approx(np.mean(scores))
        # Fewer epochs than the paper's: no figure of the paper stands beside the result, the reason does.
        assert np.isnan(line.value) and line.unlike in text and line.configuration in text
    capsys.readouterr()
    assert command(tables, *words) == 0
    assert capsys.readouterr().out.count("already finished") == 8


def test_models_are_different_configurations(small_data):
    settings = (match.PAPER.settings_for(model, dataset="ave", data=small_data) for model in MODELS)
    assert len({match.PAPER.experiment(own).hash for own in settings}) == len(MODELS)


@pytest.mark.parametrize("model", MODELS)
def test_defaults_follow_model_and_dataset(model):
    on_ave = match.PAPER.defaults(["--model", model, "--data", "somewhere"])
    assert (on_ave.dataset, on_ave.model) == ("ave", model)
    assert on_ave.training == match_train_config(model) and on_ave.network == match_model_config(model)
    here = match.PAPER.defaults(["--model", model])
    assert here.dataset == "rendered" and here.training == match_train_config(model, "rendered")


# Evaluation, conversion


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A narrow network with random weights for the small seeded backbones, saved as training saves it."""
    import keras

    from ave.match.networks import build_avdln

    keras.utils.set_random_seed(2)
    path = tmp_path_factory.mktemp("weights") / "avdln.keras"
    features = {"audio": build_extractor("small_audio").info, "visual": build_extractor("small_visual").info}
    info = saved.ModelInfo("ave", "avdln", "code", pairs.CLASS_NAMES, features, "rendered")
    saved.save_model(build_avdln(MatchModelConfig(hidden_units=6, embedding_units=4)), path, info)
    return path


def test_evaluation_command(few_clips, weights, tmp_path, capsys):
    model, _ = load_matcher(weights)
    split = pairs.load_videos("rendered", "test")
    short = int((split.labels.min(1) == 0).sum())
    assert command(match_evaluate, "--weights", weights, "--out", tmp_path) == 0
    said = capsys.readouterr().out
    written = json.loads((tmp_path / "evaluation.json").read_text())
    table = pd.read_csv(tmp_path / "videos.csv")
    distances = model.predict({name: source.array for name, source in split.inputs.items()}, verbose=0)
    assert 0 < len(table) == written["videos"] == short < len(split)
    for direction in DIRECTIONS:
        assert written[direction] == exact_match(split.labels, distances, direction)
        assert table[f"{direction}_right"].mean() == written[direction]
        assert (table[f"{direction}_right"] == (table[f"{direction}_found"] == table["start"])).all()
        assert f"{100 * written[direction]:.1f} % exact matches" in said
    assert f"{100 * written['chance']:.1f} % by a window drawn at random" in said


def test_evaluation_refuses_other_features_and_splits_without_short_events(small_data, weights, tmp_path, capsys):
    assert command(match_evaluate, "--weights", weights, "--data", small_data, "--out", tmp_path / "out") == 2
    assert "do not fit the model" in capsys.readouterr().err
    full = videos("test")
    full = write_videos(tmp_path / "full", test=dataclasses.replace(full, labels=np.ones_like(full.labels)))
    model, info = load_matcher(weights)
    info = dataclasses.replace(info, features=pairs.load_videos("ave", "test", full).features)
    saved.save_model(model, tmp_path / "released.keras", info)
    words = ("--weights", tmp_path / "released.keras", "--data", full, "--out", tmp_path / "out")
    assert command(match_evaluate, *words) == 2
    assert "no event is shorter than its video" in capsys.readouterr().err


def test_authors_weights_are_converted(reference_dir, tmp_path, capsys):
    path = reference_dir / "data" / "ave" / "cmm_model_weights.h5"
    assert command(convert, path, tmp_path / "avdln.keras") == 0
    assert "avdln, 98,688 parameters" in capsys.readouterr().out
    model, info = load_matcher(tmp_path / "avdln.keras")
    theirs, same_info = load_matcher(path)
    assert info.to_json() == same_info.to_json()
    for ours, original in zip(model.weights, theirs.weights, strict=True):
        np.testing.assert_array_equal(ours, original)


def test_each_command_refuses_the_others_models(weights, tmp_path, capsys):
    import ave

    assert command(predict, "some.mp4", "--weights", weights) == 2
    assert "use python -m ave.match.predict" in capsys.readouterr().err
    assert command(evaluate, "--weights", weights) == 2
    assert "use python -m ave.match.evaluate" in capsys.readouterr().err
    labeller = tmp_path / "a.keras"
    info = saved.ModelInfo("ave", "a", "code", ("x", "background"), {"audio": FEATURES["audio"]}, "rendered")
    saved.save_model(ave.build_model("a", num_classes=2, lstm_units=2, hidden_units=2), labeller, info)
    assert command(match_evaluate, "--weights", labeller) == 2
    assert "labels segments and does not match sounds with frames" in capsys.readouterr().err


# Prediction


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Six seconds, each with its own colours and its own pitch."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    rng = np.random.default_rng(7)
    frames = rng.integers(0, 255, (6, 6, 8, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2).repeat(8, 0)
    pitch = rng.integers(200, 3000, 6).repeat(16000)
    media.write_clip(path, frames, 0.3 * np.sin(2 * np.pi * pitch * np.arange(96000) / 16000), frame_rate=8)
    return path


@pytest.mark.parametrize(("query", "other"), [("audio", "visual"), ("visual", "audio")])
def test_prediction_finds_the_nearest_window(weights, clip, tmp_path, capsys, query, other):
    words = ("--weights", weights, "--start", 1, "--end", 3, "--query", query, "--out", tmp_path)
    assert command(match_predict, clip, *words) == 0
    stem = f"clip_{query}_1-3"
    document = json.loads((tmp_path / f"{stem}.json").read_text())
    assert {path.name for path in tmp_path.iterdir()} == {f"{stem}.json", f"{stem}.txt", f"{stem}.png"}
    assert (tmp_path / f"{stem}.txt").read_text() in capsys.readouterr().out

    # The same by hand: features of the whole clip, one distance after the other.
    predictor = match_predict.load_predictor(weights)
    rows = {name: match_predict._features(predictor, clip, name, 0, 6) for name in (query, other)}
    assert rows["visual"].shape == (6, 512)
    distances = np.asarray(load_matcher(weights)[0]({name: values[None] for name, values in rows.items()}))[0]
    if query == "visual":
        distances = distances.T
    costs = [(distances[start, 1] + distances[start + 1, 2]) / 2 for start in range(5)]
    np.testing.assert_allclose([window["distance"] for window in document["windows"]], costs, atol=1e-5)
    assert document["found"]["start"] == int(np.argmin(costs)) == document["found"]["end"] - 2
    assert document["searched"] == other and document["model"]["trained_on"] == "rendered"


def test_a_file_unlike_the_training_videos_is_said_to_be(weights, clip, tmp_path, capsys):
    """A model that says its training sound was around 1000 has heard nothing like this clip."""
    model, info = load_matcher(weights)
    far = {"mean": [1000.0] * 128, "deviation": [1.0] * 128, "largest": 2.0}
    saved.save_model(model, tmp_path / "far.keras", dataclasses.replace(info, statistics={"audio": far}))
    for name, path in (("near", weights), ("far", tmp_path / "far.keras")):
        assert command(match_predict, clip, "--weights", path, "--start", 1, "--end", 3, "--out", tmp_path / name) == 0
    near, far = (json.loads((tmp_path / name / "clip_audio_1-3.json").read_text()) for name in ("near", "far"))
    assert near["notes"] == [] and near["windows"] == far["windows"]
    (note,) = far["notes"]
    assert note.startswith("its audio features are far outside of those in training") and "guess" in note
    assert f"note: {note}\n" in capsys.readouterr().out


def test_query_from_another_file(weights, clip, tmp_path, capsys):
    query = tmp_path / "query.mp4"
    media.write_clip(query, np.zeros((24, 32, 32, 3), np.uint8), media.read_waveform(clip, seconds=3), frame_rate=8)
    words = ("--weights", weights, "--start", 0, "--end", 3, "--query-file", query, "--out", tmp_path / "out")
    assert command(match_predict, clip, *words) == 0
    assert "query: sound of query.mp4, 0-3 s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("start", "end", "says"),
    [
        (3, 3, "do not contain the query, 3 to 3 s"),
        (-1, 2, "--start -1: must be a whole number from 0"),
        (4, 9, "do not contain"),
        (0, 6, "at most one place"),
    ],
)
def test_impossible_queries_are_refused(weights, clip, tmp_path, capsys, start, end, says):
    out = tmp_path / "out"
    words = ("--weights", weights, f"--start={start}", f"--end={end}", "--out", out)
    assert command(match_predict, clip, *words) == 2
    assert says in capsys.readouterr().err and not out.exists()


def test_missing_streams_are_named(weights, clip, tmp_path, capsys):
    silent = tmp_path / "silent.mp4"
    media.write_clip(silent, np.zeros((32, 32, 32, 3), np.uint8), None, frame_rate=8)
    for words in ((silent,), (silent, "--query", "visual"), (clip, "--query-file", silent)):
        assert command(match_predict, *words, "--weights", weights, "--start", 0, "--end", 2) == 2
        assert "silent.mp4: has no sound" in capsys.readouterr().err


def test_a_search_is_printed_before_it_is_drawn(weights, clip, tmp_path, capsys):
    words, stem = (clip, "--weights", weights, "--start", 1, "--end", 3), "clip_audio_1-3"
    told_before_pictures(match_predict, words, tmp_path / "out", stem, f"{stem}.png", capsys)
