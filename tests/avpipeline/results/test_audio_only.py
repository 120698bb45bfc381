"""The papers' audio-only networks on the folds of ESC-10: what each is trained, selected and tested on, and how."""

import dataclasses

import numpy as np
import pytest

from avfusion_benchmarks.audio_only import AVE, NETWORKS, NOTES, _records, _splits, on_fold, rows_of
from avfusion_benchmarks.esc10 import NAMES, Clips
from avpipeline.datasets.youtube8m.records import HIGHEST
from avpipeline.features.info import FeatureInfo

FOLDS = np.tile(np.arange(1, 6), 20)


@pytest.fixture(scope="module")
def clips():
    """Twenty clips a fold, two of each class, which a channel of its own tells from the others; the last has 4 s."""
    labels = np.repeat(np.arange(10), 10)
    features = np.repeat(np.eye(10, dtype="f4")[labels][:, None], 5, axis=1)
    features += np.random.default_rng(0).uniform(0, 0.1, features.shape).astype("f4")
    lengths = np.array([5] * 99 + [4])
    info = FeatureInfo("yamnet", "embedding", "none", "", (10,))
    return Clips(tuple(f"c{row}" for row in range(100)), labels, FOLDS, lengths, {"x": features}, {"x": info})


@pytest.mark.parametrize(("test", "val"), [(1, 2), (4, 5), (5, 1)])
def test_three_folds_train_the_next_selects(test, val):
    rows = rows_of(FOLDS, test)
    assert {name: set(FOLDS[own]) for name, own in rows.items()} == {
        "train": {1, 2, 3, 4, 5} - {test, val},
        "val": {val},
        "test": {test},
    }
    assert sorted(np.concatenate([*rows.values()])) == [*range(100)]


def test_settings_are_the_published_ones_but_for_what_the_notes_say():
    settings = {name: network.chosen(0) for name, network in NETWORKS.items()}
    assert [own.training.epochs for own in settings.values()] == [40, 60, 20, 40]
    assert {own.training.batch_size for own in settings.values()} == {16}
    changed = {}
    for network, own in zip(NETWORKS.values(), settings.values(), strict=True):
        published = network.paper.config.model_config(network.model)
        differences = dataclasses.asdict(own.network).items() - dataclasses.asdict(published).items()
        changed |= {f"{network.paper.name} {name}": value for name, value in differences}
    assert changed == {"mafnet norm_decay": 0.9, "attendfusion width": 256}
    assert "batches of 16; 40 epochs for ave and eventlayers, 60 for mafnet, 20 for attendfusion" in NOTES[0]
    assert "normalization (0.9) and attendfusion's width (256," in NOTES[0]


def test_seconds_after_a_clips_end_are_background(clips):
    split = _splits(clips, "x", {"test": np.array([98, 99])}, AVE, None)["test"]
    assert split.class_names == (*NAMES, "background")
    assert split.labels.argmax(-1).tolist() == [[9] * 5, [9] * 4 + [10]]
    assert (split.labels.sum(-1) == 1).all()


def test_a_paper_without_shuffling_is_trained_on_clips_in_a_drawn_order(clips):
    rows = rows_of(FOLDS, 1)
    splits = _splits(clips, "x", rows, AVE, None)
    in_order = {split: tuple(f"c{row}" for row in own) for split, own in rows.items()}
    assert not AVE.settings_for("a").training.shuffle
    assert splits["train"].ids != in_order["train"] and sorted(splits["train"].ids) == sorted(in_order["train"])
    for split in ("val", "test"):
        assert splits[split].ids == in_order[split]


def test_records_hold_the_clips_own_seconds(clips, tmp_path):
    rows = {"train": np.arange(5), "val": np.array([7]), "test": np.array([99])}
    records = _records(clips, "x", rows, None, tmp_path)
    inputs, labels = next(iter(records.stream("test").read(4)))
    assert labels.numpy().argmax(1).tolist() == [9]
    scale = records.scale["audio"]
    assert scale * clips.features["x"][:5].max() == pytest.approx(HIGHEST)
    own = np.minimum(scale * clips.features["x"][99, :4], HIGHEST)
    # A byte is a step of 4/255.
    np.testing.assert_allclose(inputs["audio"][0], [own.mean(0), own.std(0)], atol=4 / 255)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow if "eventlayers" in n else pytest.mark.trained) for n in NETWORKS],
)
def test_easy_clips_are_told_apart(clips, name):
    predicted = on_fold(clips, "x", NETWORKS[name], (0, 1), fold=5)
    assert predicted.shape == (2, 20)
    assert (predicted == clips.labels[FOLDS == 5]).mean() >= 0.9
