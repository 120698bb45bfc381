"""The authors' checkpoints as Keras models, on files that the test writes itself."""

import numpy as np
import pytest

from ave import convert
from ave.author_checkpoints import load_with_config
from ave.config import CLASS_NAMES
from avpipeline.datasets.ave import class_names, read_annotations
from avpipeline.errors import InputError
from avpipeline.training.saved import load_model
from tests.helpers import ave, torch_writing
from tests.helpers.commands import run_command

SIZES = {"attention_units": 8, "lstm_units": 5, "hidden_units": 6, "audio_channels": 7, "visual_shape": (2, 2, 9)}


LSTM_NAMES = {"kernel": "weight_ih", "recurrent_kernel": "weight_hh", "bias": "bias_ih", "recurrent_bias": "bias_hh"}


def torch_state(model) -> dict[str, np.ndarray]:
    """The model's weights under torch's names and in torch's layout, written out by hand."""
    weights = {weight.path: np.asarray(weight) for weight in model.weights}
    state = {}
    for path, array in weights.items():
        *_, layer, kind = path.split("/")
        if path.startswith("lstm"):
            key = f"{path.split('/')[0]}.{LSTM_NAMES[kind]}_l0" + ("_reverse" if layer == "backward" else "")
        else:
            # A DMRN block's U_v_0 is torch's U_v.0.
            key = f"{layer.replace('_0', '.0').replace('_2', '.2')}.{'weight' if kind == 'kernel' else 'bias'}"
        state[key] = np.ascontiguousarray(array.T)
    return state


def write_checkpoint(path, state: dict[str, np.ndarray], container=torch_writing.write_legacy):
    entries = {}
    for index, (key, array) in enumerate(state.items()):
        entries[key] = torch_writing.tensor(torch_writing.storage(str(index), array), array.shape)
    container(path, torch_writing.state_dict(entries), {str(i): array for i, array in enumerate(state.values())})
    return path


@pytest.fixture(scope="module")
def model():
    return ave.build_model("av_att", **SIZES)


@pytest.mark.parametrize("container", [torch_writing.write_legacy, torch_writing.write_zip])
def test_checkpoint_gives_the_model_it_was_written_from(model, tmp_path, container):
    loaded = ave.load_author_checkpoint(write_checkpoint(tmp_path / "AV_att.pt", torch_state(model), container))
    rng = np.random.default_rng(0)
    batch = {
        "audio": rng.standard_normal((2, 10, 7)).astype("float32"),
        "visual": rng.random((2, 10, 2, 2, 9), "float32"),
    }
    np.testing.assert_allclose(loaded(batch), model(batch), atol=1e-6)


def test_convert_command_writes_a_model_that_knows_its_classes_and_features(model, tmp_path, capsys):
    checkpoint = write_checkpoint(tmp_path / "AV_att.pt", torch_state(model))
    out = tmp_path / "out" / "av_att.keras"
    assert run_command(convert, str(checkpoint), str(out)) == 0
    assert "av_att" in capsys.readouterr().out
    loaded, info = load_model(out, paper="ave")
    assert info.class_names == CLASS_NAMES and len(CLASS_NAMES) == 29
    assert {feature.label for feature in info.features.values()} == {"vggish:embedding_relu", "vgg19:pool5"}
    for first, second in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def drop(state):
    del state["affine_h.weight"]


def add(state):
    state["U_v.0.weight"] = np.zeros((3, 3), "float32")


def misshape(state):
    state["lstm_video.weight_ih_l0"] = np.zeros((20, 8), "float32")


def not_square(state):
    state["affine_v.weight"] = np.zeros((5, 8), "float32")


def other_network(state):
    state.clear()
    state["conv1.weight"] = np.zeros((3, 3), "float32")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (drop, "lacks affine_h.weight"),
        (add, "also has U_v.0.weight"),
        (misshape, r"lstm_video.weight_ih_l0 of shape \(20, 8\) does not fit av_att, which needs \(20, 9\)"),
        (not_square, "attends over 5 regions"),
        (other_network, "is not a checkpoint of the AVE networks"),
    ],
)
def test_checkpoint_of_another_model_is_refused(model, tmp_path, change, sentence):
    state = torch_state(model)
    change(state)
    path = write_checkpoint(tmp_path / "other.pt", state)
    with pytest.raises(InputError, match=f"other.pt: .*{sentence}"):
        ave.load_author_checkpoint(path)


def test_command_leaves_nothing_behind_after_a_refusal(tmp_path, capsys):
    (tmp_path / "empty.pt").write_bytes(b"")
    out = tmp_path / "out.keras"
    assert run_command(convert, str(tmp_path / "empty.pt"), str(out)) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not out.exists()


def test_classes_of_another_dataset_are_not_guessed(tmp_path, capsys):
    small = ave.build_model("av_att", **SIZES, num_classes=4)
    checkpoint = write_checkpoint(tmp_path / "AV_att.pt", torch_state(small))
    assert run_command(convert, str(checkpoint), str(tmp_path / "out.keras")) == 2
    assert "has 4 classes and AVE has 29" in capsys.readouterr().err


def test_class_names_are_those_of_the_annotations(reference_dir):
    annotations = read_annotations(reference_dir / "data" / "ave" / "Annotations.txt")
    assert (*class_names(annotations)[:28], "background") == CLASS_NAMES


def test_sizes_are_read_off_the_tensors(model, tmp_path):
    _, config = load_with_config(write_checkpoint(tmp_path / "AV_att.pt", torch_state(model)))
    assert config == ave.model_config("av_att", **SIZES)


def test_state_dict_of_dmrn_is_known_by_its_block(tmp_path):
    dmrn = ave.build_model("dmrn", **SIZES)
    loaded = ave.load_author_checkpoint(write_checkpoint(tmp_path / "DMRN.pt", torch_state(dmrn)))
    assert loaded.name == "dmrn"
    for first, second in zip(loaded.get_weights(), dmrn.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
