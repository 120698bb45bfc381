"""The training command: defaults, both kinds of inputs and both stages, resuming, few synthetic clips."""

import contextlib
import dataclasses
import functools
import io
import json
from pathlib import Path

import numpy as np
import pytest

import eventlayers
from avpipeline.datasets import official
from avpipeline.datasets.base import SelectedRows
from avpipeline.datasets.rendered import RenderedSettings, rendered_clips
from avpipeline.errors import InputError
from avpipeline.files import write_json
from avpipeline.training import runs
from avpipeline.training.experiment import configuration_hash
from avpipeline.training.saved import ModelInfo, load_model
from avpipeline.training.strategy import Team, steps_of
from eventlayers import analysis, data, evaluate, train
from eventlayers.data import videos_of
from eventlayers.stages import datasets_of_backbones
from tests.helpers.commands import run_command
from tests.helpers.few_clips import rendered_defaults
from tests.helpers.graphs import without_graphs
from tests.helpers.synthetic_time_steps import CHANNELS, TIME_STEPS, time_step_splits

command = functools.partial(run_command, train)


@pytest.fixture(scope="module")
def said():
    return io.StringIO()


@pytest.fixture(scope="module")
def trained(few_clips, said, tmp_path_factory):
    """The command on features; what it said is in `said`."""
    out = tmp_path_factory.mktemp("train")
    with contextlib.redirect_stdout(said):
        assert command("--epochs", 1, "--batch-size", 5, "--out", out) == 0
    return out


def test_command_writes_result_weights_logs_and_pictures(trained, said):
    said = said.getvalue()
    assert "backbones small" in said and "59.1" not in said and "67.0" not in said
    assert "no row of the paper: batch_size 5 instead of" in said and "epochs 1 instead of 40" in said
    assert "synthetic clips, 4 in the test split (smoke: 1 of 40 epochs)" in said
    result = json.loads((trained / "result.json").read_text())
    assert result["smoke"] and result["reproduces"] == []
    assert f"video accuracy {100 * result['test_mean']:.1f} % (1 seed)" in said
    for name in ("best.keras", "log.csv", "curves.png", "predictions.npz"):
        assert (trained / "seed-0" / name).exists()
    kinds = {path.name.partition("test_000000")[2] for path in (trained / "example").iterdir()}
    assert kinds == {".txt", ".json", "_labels.png", "_moments.png", "_localization.png", "_localization.mp4"}


def test_reported_score_is_that_of_the_stored_scores(trained):
    result = json.loads((trained / "result.json").read_text())
    with np.load(trained / "seed-0" / "predictions.npz") as file:
        assert file["predictions"].shape == (4, 5, 8) and file["labels"].shape == (4, 8)
        assert result["seeds"][0]["test"] == eventlayers.video_accuracy(file["labels"], file["predictions"])


def test_saved_model_says_what_it_is(trained):
    model, info = load_model(trained / "seed-0" / "best.keras", paper="eventlayers")
    assert info.class_names[0] == "striped disc with hum" and len(info.class_names) == 8
    assert {feature.extractor for feature in info.features.values()} == {"small_event_visual", "small_event_audio"}
    assert eventlayers.config.saved_config(info.config).heads == eventlayers.LAYERS
    assert model.output.shape[1:] == (5, 8)


def test_evaluation_agrees_with_the_training_and_writes_its_tables(trained, few_clips, capsys):
    words = ["--weights", str(trained / "seed-0" / "best.keras"), "--out", str(trained / "evaluate"), "--figure", "1"]
    assert run_command(evaluate, *words) == 0
    told = json.loads((trained / "evaluate" / "evaluation.json").read_text())
    result = json.loads((trained / "result.json").read_text())
    assert told["video accuracy of the vote"] == result["test_mean"] and 1 <= told["labels a video"] <= 5
    matched = told["matched labels"] * told["labels a video"] / 100
    assert matched == pytest.approx(told["matched labels a video"]) and 0 <= told["matched labels"] <= 100
    layers = json.loads((trained / "evaluate" / "layers.json").read_text())
    groups = {name: group for name, group in layers["complementary"].items() if name != "all"}
    assert set(groups) <= {"continuous", "rhythmic", "instant"}
    for row, count in layers["complementary"]["all"].items():
        assert count == sum(group[row] for group in groups.values())
    with np.load(trained / "evaluate" / "predictions.npz") as file:
        assert layers["categories"] == eventlayers.category_counts(file["labels"], file["predictions"])
        share = analysis.audio_visual_share(file["labels"], file["predictions"])
        assert layers["audio-visual share of the categories"] == share
    for name in ("per_class.csv", "confusion.csv", "confusion.png", "categories.csv", "layers.png"):
        assert (trained / "evaluate" / name).exists()
    assert (trained / "evaluate" / "most_activating.png").exists()
    assert "Categories by dominant layer" in capsys.readouterr().out


def test_a_model_is_measured_on_its_own_classes_and_features_only():
    split = time_step_splits()["test"]
    info = ModelInfo("eventlayers", "naive_av", "paper", split.class_names, split.features, "synthetic")
    evaluate.require_fit(Path("w.keras"), info, split)
    for other, sentence in (
        ({"class_names": ("dog", "cat")}, r"w.keras: was trained on the classes of synthetic \(dog, cat\)"),
        ({"features": {**split.features, "audio": split.features["visual"]}}, "its audio features do not fit"),
    ):
        with pytest.raises(InputError, match=sentence):
            evaluate.require_fit(Path("w.keras"), dataclasses.replace(info, **other), split)


def first_rows(split, count):
    rows = np.arange(count)
    inputs = {name: SelectedRows(source, rows) for name, source in split.inputs.items()}
    return dataclasses.replace(split, ids=split.ids[:count], inputs=inputs, labels=split.labels[:count])


@pytest.mark.slow
def test_two_stages_on_clips(few_clips, tmp_path, capsys):
    """The joint model begins with the backbones that were trained alone; they can be used frozen as well."""
    settings = train.PAPER.settings_for("naive_av", inputs="clips", out=tmp_path)
    training = dataclasses.replace(settings.training, epochs=1, batch_size=4, clips_at_once=2)
    settings = dataclasses.replace(settings, training=training)
    whole = train.splits_of(settings)
    splits = {name: first_rows(whole[name], count) for name, count in (("train", 4), ("val", 2), ("test", 2))}
    train.PAPER.train(settings, splits)
    said = capsys.readouterr().out
    stored = json.loads((tmp_path / "settings.json").read_text())
    for modality, model in (("visual", "vision_only"), ("audio", "audio_only")):
        path = tmp_path / "backbones" / model / "seed-0" / "best.keras"
        assert f"first stage: {model}" in said and f"the {modality} backbone is loaded from {path}" in said
        first = json.loads((tmp_path / "backbones" / model / "settings.json").read_text())
        assert stored["backbones"][model] == configuration_hash(first)
    joint, _ = load_model(tmp_path / "seed-0" / "best.keras")
    alone, _ = load_model(tmp_path / "backbones" / "audio_only" / "seed-0" / "best.keras")
    fresh = eventlayers.build_model("audio_only", inputs="clips", backbones="small", frame_size=32)
    kernels = [model.get_layer("audio_backbone").get_weights()[0] for model in (fresh, alone, joint)]
    # Each stage moved them on; the second by as little as one update does.
    steps = [np.abs(after - before).max() for before, after in zip(kernels, kernels[1:], strict=False)]
    assert all(0 < step <= 1.01 * settings.training.learning_rate for step in steps)

    backbones = data.trained_backbones(tmp_path / "backbones")
    assert {feature.weights for feature in backbones.features.values()} == {"trained"}
    sound = splits["test"].inputs["audio"].read(np.arange(1))
    seen = eventlayers.time_step_features(alone)({"audio": sound})["audio"]
    np.testing.assert_allclose(backbones.networks["audio"](sound)["audio"], seen, atol=1e-4)


def narrow(model, **training):
    """Settings for splits in memory, of which two clips at once make up batches of four."""
    own = train.PAPER.settings_for(model)
    changes = {"batch_size": 4, "clips_at_once": 2, **training}
    return dataclasses.replace(own, training=dataclasses.replace(own.training, **changes))


def fitted_model(splits, epochs, **training):
    """The model of an experiment after so many epochs of its batches, from the same initial weights, without graphs."""
    experiment = train.PAPER.experiment(narrow("naive_av", **training), splits)
    runs.set_seed(0, deterministic=False)
    with without_graphs():
        model = experiment.build()
        data = Team("one").training(experiment, list(model.input), seed=0, first_epoch=0)
        model.fit(data, steps_per_epoch=steps_of(experiment), epochs=epochs, verbose=0)
    return model


@pytest.mark.parametrize(
    ("count", "at_once", "passes", "said"),
    [
        (4, 4, 1, "4 training clips do not fill a batch of 16: the batch is 4.\n"),
        (5, 4, 5, "5 training clips do not fill a batch of 16: the batch is 5, in 5 passes of 1.\n"),
        (6, 4, 2, "6 training clips do not fill a batch of 16: the batch is 6, in 2 passes of 3.\n"),
        (3, 4, 1, "3 training clips do not fill a batch of 16: the batch is 3.\n"),
        (8, None, 1, "8 training clips do not fill a batch of 16: the batch is 8.\n"),
    ],
)
def test_clips_that_do_not_fill_a_batch_are_one(count, at_once, passes, said, capsys):
    """Each epoch is one update, with all of them, and is named as one of a whole batch."""
    few, enough = time_step_splits(videos=count), time_step_splits(videos=16)
    settings = narrow("naive_av", batch_size=16, clips_at_once=at_once)
    experiment = train.PAPER.experiment(settings, few)
    assert capsys.readouterr().out == said
    assert experiment.hash == train.PAPER.experiment(settings, enough).hash
    assert capsys.readouterr().out == ""
    assert experiment.schedule.batch_size * passes == count and steps_of(experiment) == passes
    assert experiment.differences["batch_size"] == (count, 16)
    # The gradient of the whole batch, whatever its passes.
    model = fitted_model(few, 3, batch_size=16, clips_at_once=at_once, shuffle=False)
    whole = fitted_model(few, 3, batch_size=count, clips_at_once=None, shuffle=False)
    assert int(model.optimizer.iterations) == int(whole.optimizer.iterations) == 3
    for ours, expected in zip(model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_passes_that_do_not_fill_the_last_batch_begin_the_next_epochs_first():
    """Twenty clips are five passes of four, and a batch has four: fifteen passes are three updates of 16 clips."""
    splits = time_step_splits(videos=20)
    model = fitted_model(splits, 3, batch_size=16, clips_at_once=4, shuffle=False)
    assert int(model.optimizer.iterations) == 3
    rows = np.arange(60) % 20
    inputs = {name: SelectedRows(source, rows) for name, source in splits["train"].inputs.items()}
    thrice = dataclasses.replace(splits["train"], ids=tuple(map(str, range(60))), inputs=inputs)
    thrice = dataclasses.replace(thrice, labels=splits["train"].labels[rows])
    whole = fitted_model({**splits, "train": thrice}, 1, batch_size=16, clips_at_once=None, shuffle=False)
    assert int(whole.optimizer.iterations) == 3
    for ours, expected in zip(model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("videos", [8, 10])
def test_a_cut_off_run_goes_on_to_the_numbers_of_a_whole_one(videos, tmp_path):
    """Also where the gradients of several passes make an update, and where it is cut off within one."""
    splits = time_step_splits(videos=videos)
    for out, lengths in ((tmp_path / "whole", [2]), (tmp_path / "cut", [1, 2])):
        for epochs in lengths:
            experiment = train.PAPER.experiment(narrow("naive_av", epochs=2), splits)
            part = dataclasses.replace(experiment, schedule=dataclasses.replace(experiment.schedule, epochs=epochs))
            if epochs == lengths[-1]:
                runs.run(part, out, [0])
            else:
                runs._train(part, out / "seed-0", 0, False, Team("one"))
    whole, cut = (dict(np.load(tmp_path / name / "seed-0" / "predictions.npz")) for name in ("whole", "cut"))
    np.testing.assert_array_equal(whole["predictions"], cut["predictions"])


def test_configuration_follows_the_data():
    fitted = train.fitted(train.PAPER.settings_for("event_layers").network, time_step_splits()["val"])
    assert (fitted.num_classes, fitted.num_moments) == (3, TIME_STEPS)
    assert (fitted.visual_channels, fitted.audio_channels) == (CHANNELS, CHANNELS)


@pytest.mark.parametrize("inputs", ["features", "clips"])
@pytest.mark.parametrize("model", eventlayers.MODELS)
def test_defaults_follow_model_dataset_and_inputs(model, inputs):
    real = train.PAPER.defaults(["--model", model, "--dataset", "vggsound", "--data", "somewhere", "--inputs", inputs])
    assert (real.dataset, real.model, real.network.inputs) == ("vggsound", model, inputs)
    assert real.training == eventlayers.train_config("paper", model, inputs)
    assert real.network == eventlayers.model_config(model, inputs=inputs) and real.network.backbones == "published"
    if inputs == "clips":
        # What is trained on a real dataset where nothing else is asked for.
        assert train.PAPER.defaults(["--model", model, "--dataset", "vggsound", "--data", "somewhere"]) == real
    here = train.PAPER.defaults(["--model", model, "--inputs", inputs])
    assert here.network.backbones == "small" and here.training.epochs <= 60
    assert real.folder != here.folder


@pytest.mark.slow
def test_random_audio_features_of_a_real_dataset_are_no_row_of_the_paper(tmp_path, capsys, monkeypatch):
    """They are only made where they are asked for; the command says in one line what they are."""
    splits = {name: dataclasses.replace(split, dataset="ave") for name, split in time_step_splits().items()}
    sizes = {name: (len(split),) for name, split in splits.items()}
    monkeypatch.setitem(official.OFFICIAL, "ave", official.Official("AVE", sizes))
    monkeypatch.setitem(train.config._FEATURE_TRAINING, "epochs", 1)
    monkeypatch.setitem(train.config._FEATURE_TRAINING, "batch_size", 4)
    own = train.PAPER.settings_for("event_layers", dataset="ave", inputs="features", data=tmp_path, out=tmp_path / "a")
    for dataset in ("ave", "rendered"):
        for model in ("audio_only", "vision_only"):
            write_json(tmp_path / dataset / model / "settings.json", {"dataset": dataset})
    given = dataclasses.replace(own, from_backbones=tmp_path / "ave", out=tmp_path / "b")
    others = dataclasses.replace(own, from_backbones=tmp_path / "rendered", out=tmp_path / "c")
    for settings, rows in ((own, []), (others, []), (given, train.PAPER.rows_of("event_layers"))):
        train.PAPER.announce(settings)
        said = capsys.readouterr().out.splitlines()
        assert len(said) == (not rows)
        for line in said:
            assert "were not trained on ave" in line and "no row of the paper is reproduced" in line
            assert ("the audio network is random" in line) == (settings is own)
        trained = train.PAPER.train(settings, splits)
        assert json.loads((settings.folder / "result.json").read_text())["reproduces"] == [list(row) for row in rows]
        assert list(trained.unlike) == ([] if rows else ["its backbones were not trained on this data"])
        assert [one.dataset for one, _ in train.compared(train.PAPER, trained)] == ["AVE"]
        capsys.readouterr()
    # Synthetic clips have small networks of their own, and models on clips train theirs.
    for settings in (train.PAPER.settings_for("event_layers"), train.PAPER.settings_for("event_layers", dataset="ave")):
        assert not settings.is_untrained


def test_settings_of_layers_name_the_runs_of_models_that_have_them():
    def hash_of(model, **network):
        settings = train.PAPER.settings_for(model)
        settings = dataclasses.replace(settings, network=dataclasses.replace(settings.network, **network))
        experiment = train.PAPER.experiment(settings, time_step_splits())
        return experiment.hash, experiment.info.config

    plain, _ = hash_of("event_layers")
    changed, stored = hash_of("event_layers", instant="cosine", onsets="fine")
    assert plain != changed and (stored["instant"], stored["onsets"]) == ("cosine", "fine")
    plain, stored = hash_of("naive_av")
    assert plain == hash_of("naive_av", instant="cosine", onsets="fine")[0] and not {"instant", "onsets"} & {*stored}
    assert eventlayers.config.saved_config(stored) == train.fitted(
        train.PAPER.settings_for("naive_av").network, time_step_splits()["val"]
    )


def test_models_saved_before_there_was_a_choice_keep_their_onsets():
    before = eventlayers.config.stored_config(eventlayers.model_config("event_layers"))
    del before["onsets"], before["instant"]
    assert eventlayers.config.saved_config(before) == eventlayers.model_config("event_layers", onsets="fine")


def test_training_clips_with_two_events_have_one_label_and_the_others_both():
    """As the storyboards have them."""
    with rendered_defaults(train=12, val=4, test=4):
        videos = {name: videos_of("rendered_pairs", name) for name in ("train", "test")}
        boards = rendered_clips(RenderedSettings(events_per_clip=2)).boards["train"]
    assert (videos["train"].labels.sum(1) == 1).all() and (videos["test"].labels.sum(1) == 2).all()
    assert set(videos["train"].kinds) == {"continuous", "rhythmic", "instant"}
    for board, label in zip(boards, videos["train"].labels, strict=True):
        assert int(label.argmax()) in [event.category for event in board.events]


def test_clips_at_once_divide_the_batch(few_clips, capsys, tmp_path):
    words = ("--inputs", "clips", "--batch-size", 6, "--model", "audio_only")
    assert command(*words, "--out", tmp_path / "out") == 2
    # Rendering the clips counts them on standard error.
    said = capsys.readouterr().err.replace("\r", "\n")
    assert "does not divide --batch-size 6" in said
    assert len([line for line in said.splitlines() if "error" in line]) == 1


@pytest.mark.parametrize("text", ["", "[1]"])
def test_damaged_settings_of_backbones_are_refused(tmp_path, text):
    (tmp_path / "vision_only").mkdir()
    (tmp_path / "vision_only" / "settings.json").write_text(text)
    with pytest.raises(InputError, match="vision_only/settings.json: is damaged.*; train that backbone again"):
        datasets_of_backbones(tmp_path)
