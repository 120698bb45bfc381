"""AVE with one label a video, and the noisy background videos that weak training adds."""

import dataclasses

import numpy as np
import pytest

from ave import train
from avpipeline.datasets import load_weak_training
from avpipeline.datasets.ave_videos import load_ave_weak
from avpipeline.datasets.base import ArraySource, JoinedRows
from avpipeline.errors import InputError
from avpipeline.training import runs
from tests.helpers.ave_files import LINES, ORDERS, write_ave_folder, write_h5
from tests.helpers.commands import run_command

# Video labels of LINES: 0 Violin, 1 Bark, 2 Cat; also of the row without any event.
CLASSES = np.array([0, 1, 0, 2, 1, 2])
ORDER = list(ORDERS["train"])
NOISY = 3


@pytest.fixture
def folder(tmp_path):
    folder = write_ave_folder(tmp_path / "ave", features=("audio",))
    write_h5(folder / "audio_feature_noisy.h5", np.arange(NOISY * 1280.0).reshape(NOISY, 10, 128))
    write_h5(folder / "labels_noisy.h5", np.eye(4)[[3] * NOISY])
    return folder


def test_noisy_videos_follow_the_training_videos(folder):
    split = load_ave_weak(folder, modalities=["audio"])
    assert len(split) == len(ORDER) + NOISY == len(split.inputs["audio"])
    np.testing.assert_array_equal(split.labels, np.eye(4)[[*CLASSES[ORDER], 3, 3, 3]])
    assert split.ids[-NOISY:] == ("noisy_0", "noisy_1", "noisy_2")
    rows = split.inputs["audio"].read(np.array([5, 0, 3]))
    assert rows[:, 0, 0].tolist() == [2 * 1280, ORDER[0], 0]


def test_without_the_noisy_videos(folder):
    split = load_ave_weak(folder, modalities=["audio"], noisy=False)
    np.testing.assert_array_equal(split.labels, np.eye(4)[CLASSES[ORDER]])


def test_the_authors_video_labels_are_taken_where_they_are(folder):
    write_h5(folder / "mil_labels.h5", np.eye(4)[(CLASSES + 1) % 4])
    split = load_ave_weak(folder, modalities=["audio"], noisy=False)
    np.testing.assert_array_equal(split.labels, np.eye(4)[(CLASSES[ORDER] + 1) % 4])


@pytest.mark.parametrize("name", ["audio_feature_noisy.h5", "labels_noisy.h5"])
def test_missing_noisy_files_are_one_sentence_that_offers_to_go_without(folder, name, tmp_path, capsys):
    (folder / name).unlink()
    words = ["--model", "w_a", "--data", str(folder), "--out", str(tmp_path / "out")]
    assert run_command(train, *words) == 2
    said = capsys.readouterr().err
    assert f"{folder}: has no {name}" in said and "--no-noisy" in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_noisy_features_that_are_others_are_refused(folder):
    write_h5(folder / "audio_feature_noisy.h5", np.zeros((NOISY, 10, 64)))
    with pytest.raises(InputError, match=r"audio_feature_noisy.h5: rows .* shape \(10, 64\)"):
        load_ave_weak(folder, modalities=["audio"])


def test_noisy_files_of_different_lengths_are_refused(folder):
    write_h5(folder / "labels_noisy.h5", np.eye(4)[[3] * 2])
    with pytest.raises(InputError, match="audio_feature_noisy.h5: has 3 rows and labels_noisy.h5 2"):
        load_ave_weak(folder, modalities=["audio"])


@pytest.mark.slow
def test_weak_model_trains_on_the_official_files(folder, tmp_path):
    """Trained by video labels, chosen and tested by segment labels."""
    settings = train.PAPER.settings_for("w_a", "code", "ave", data=folder)
    training = dataclasses.replace(settings.training, batch_size=3, epochs=2, validate_every=1)
    settings = dataclasses.replace(settings, training=training)
    experiment = train.PAPER.experiment(settings)
    assert experiment.splits.train.labels.shape == (6, 4) and experiment.splits.val.labels.shape == (1, 10, 4)
    result = runs.run(experiment, tmp_path / "run", [0])
    with np.load(tmp_path / "run" / "seed-0" / "predictions.npz") as file:
        assert file["predictions"].shape == file["labels"].shape == (2, 10, 4)
        assert result["test_mean"] == np.mean(file["predictions"].argmax(-1) == file["labels"].argmax(-1))
    assert result["settings"]["noisy"] is True
    without = train.PAPER.experiment(dataclasses.replace(settings, noisy=False))
    assert without.hash != experiment.hash and len(without.splits.train) == len(ORDER)


def test_dataset_without_a_folder_is_refused():
    with pytest.raises(InputError, match="needs the folder of its files"):
        load_weak_training("ave")


def test_released_noisy_files_are_all_background(reference_dir, tmp_path):
    names = ("Annotations.txt", "train_order.h5", "mil_labels.h5", "audio_feature_noisy.h5", "labels_noisy.h5")
    for name in names:
        (tmp_path / name).symlink_to(reference_dir / "data" / "ave" / name)
    write_h5(tmp_path / "audio_feature.h5", np.zeros((4143, 10, 128), "float32"))
    split = load_ave_weak(tmp_path, modalities=["audio"])
    assert len(split) == 3339 + 178
    assert (split.labels[-178:].argmax(-1) == 28).all() and (split.labels[:3339].argmax(-1) < 28).all()
    assert split.inputs["audio"].read(np.arange(3339, 3517)).max() == pytest.approx(4.5373, abs=1e-3)


def test_joined_rows_keep_the_order_that_is_asked_for():
    first, second = np.arange(6.0).reshape(3, 2), 100 + np.arange(4.0).reshape(2, 2)
    joined = JoinedRows(ArraySource(first), ArraySource(second))
    assert len(joined) == 5 and joined.shape == (2,)
    np.testing.assert_array_equal(joined.read(np.array([4, 0, 3, 0])), [[102, 103], [0, 1], [100, 101], [0, 1]])
    assert joined.read(np.array([], int)).shape == (0, 2)


def test_lines_are_those_that_the_labels_were_counted_by():
    assert [line.split("&")[0] for line in LINES] == [("Violin, fiddle", "Bark", "Cat")[index] for index in CLASSES]
