"""What every command that converts authors' checkpoints refuses: in one sentence, and nothing is written."""

import functools

import numpy as np
import pytest

from tests.helpers.author_files import AUTHOR_FILES
from tests.helpers.commands import refused


@functools.cache
def state_of(paper: str) -> dict[str, np.ndarray]:
    files = AUTHOR_FILES[paper]
    return files.state(files.build())


ALL = "*"


def changed(state: dict[str, np.ndarray], change: dict[str, tuple[int, ...] | None]) -> dict[str, np.ndarray]:
    """A state without the arrays that `change` gives no shape (ALL is every one), the others of it being zeros."""
    kept = {} if ALL in change else {name: array for name, array in state.items() if name not in change}
    return kept | {name: np.zeros(shape, "float32") for name, shape in change.items() if shape}


LSTM, VALUE = "lstm_video.weight_ih_l0", "coattn.dcn_layers.1.dense_coattn.value2_linear.weight"
# Sentence -> what is changed in the state.
CHANGES = {
    "ave": {
        "lacks affine_h.weight": {"affine_h.weight": None},
        "also has U_v.0.weight": {"U_v.0.weight": (3, 3)},
        f"{LSTM} of shape (20, 8) does not fit av_att, which needs (20, 9)": {LSTM: (20, 8)},
        "attends over 5 regions": {"affine_v.weight": (5, 8)},
        "is no checkpoint of the AVE networks": {ALL: None, "conv1.weight": (3, 3)},
    },
    "jca": {
        "lacks predict.Joint.linear.bias": {"predict.Joint.linear.bias": None},
        "also has extra.weight": {"extra.weight": (3, 3)},
        f"{VALUE} of shape (5, 5) does not fit jca, which needs (4, 4)": {VALUE: (5, 5)},
        "attends over 5 regions": {"video_attn.attn.affine_v.weight": (5, 6)},
        "is no checkpoint of JCA": {ALL: None, "conv1.weight": (3, 3)},
    },
    "mafnet": {
        "nothing for audio_norm/moving_variance": {"sound_BN_1/pop_var": None},
        "also has visual_lstm/kernel": {"visual_lstm/kernel": (3, 3)},
        "image_BN_1/beta of shape (7,) does not fit mafnet, which needs (6,)": {"image_BN_1/beta": (7,)},
        "nothing for attention/score/bias": {"dense_2/kernel": (3, 3)},
        "is no checkpoint of MAFnet": {ALL: None, "conv1/kernel": (3, 3)},
    },
}


@pytest.mark.parametrize(("paper", "sentence"), [(paper, sentence) for paper in CHANGES for sentence in CHANGES[paper]])
def test_checkpoint_of_another_model(paper, sentence, tmp_path, capsys):
    files = AUTHOR_FILES[paper]
    path = files.write(tmp_path / "other.pt", changed(state_of(paper), CHANGES[paper][sentence]))
    said = refused(files.command, [path, tmp_path / "out.keras"], sentence, capsys, tmp_path / "out.keras")
    assert f"{path}: " in said


@pytest.mark.parametrize(("paper", "classes"), [("ave", 29), ("jca", 29), ("mafnet", 28)])
def test_classes_of_another_dataset_are_not_guessed(paper, classes, tmp_path, capsys):
    files = AUTHOR_FILES[paper]
    path = files.write(tmp_path / "small.pt", files.state(files.build(num_classes=4)))
    sentence = f"has 4 classes and AVE has {classes}"
    refused(files.command, [path, tmp_path / "out.keras"], sentence, capsys, tmp_path / "out.keras")


@pytest.mark.parametrize(("paper", "name"), [("ave", "a.pt"), ("jca", "a.pt"), ("mafnet", "a.index")])
def test_an_empty_file(paper, name, tmp_path, capsys):
    (tmp_path / name).write_bytes(b"")
    words = [tmp_path / name, tmp_path / "out.keras"]
    refused(AUTHOR_FILES[paper].command, words, str(tmp_path), capsys, tmp_path / "out.keras")
