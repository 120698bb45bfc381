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
# Paper -> what is changed in the state -> the sentence; of a network of another kind ALL is taken away.
REMOVED = {
    "ave": ("affine_h.weight", "lacks affine_h.weight"),
    "jca": ("predict.Joint.linear.bias", "lacks predict.Joint.linear.bias"),
    "mafnet": ("sound_BN_1/pop_var", "nothing for audio_norm/moving_variance"),
}
ADDED = {
    "ave": {"U_v.0.weight": "also has U_v.0.weight"},
    "jca": {"extra.weight": "also has extra.weight"},
    "mafnet": {
        "visual_lstm/kernel": "also has visual_lstm/kernel",
        "dense_2/kernel": "nothing for attention/score/bias",
    },
}
MISSHAPEN = [
    ("ave", LSTM, (20, 8), f"{LSTM} of shape (20, 8) does not fit av_att, which needs (20, 9)"),
    ("ave", "affine_v.weight", (5, 8), "affine_v.weight of shape (5, 8) does not fit av_att, which needs (4, 8)"),
    ("jca", VALUE, (5, 5), f"{VALUE} of shape (5, 5) does not fit jca, which needs (4, 4)"),
    ("jca", "video_attn.attn.affine_v.weight", (5, 6), "affine_v.weight of shape (5, 6) does not fit jca, which needs"),
    ("mafnet", "image_BN_1/beta", (7,), "image_BN_1/beta of shape (7,) does not fit mafnet, which needs (6,)"),
]
OTHER_NETWORK = {"ave": "the AVE networks", "jca": "JCA", "mafnet": "MAFnet"}
CASES = [
    *((paper, {name: None}, sentence) for paper, (name, sentence) in REMOVED.items()),
    *((paper, {name: (3, 3)}, sentence) for paper, added in ADDED.items() for name, sentence in added.items()),
    *((paper, {name: shape}, sentence) for paper, name, shape, sentence in MISSHAPEN),
    *((paper, {ALL: None, "conv1": (3, 3)}, f"is not a checkpoint of {kind}") for paper, kind in OTHER_NETWORK.items()),
]


@pytest.mark.parametrize(("paper", "change", "sentence"), CASES)
def test_checkpoint_of_another_model(paper, change, sentence, tmp_path, capsys):
    files = AUTHOR_FILES[paper]
    path = files.write(tmp_path / "other.pt", changed(state_of(paper), change))
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
