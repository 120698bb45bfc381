"""The authors' checkpoints as Keras models, on files that the test writes itself."""

import json

import numpy as np
import pytest

from ave.config import CLASS_NAMES
from avpipeline.training.saved import load_model
from jca import convert
from tests.ave.test_convert import write_checkpoint
from tests.helpers import jca, torch_writing
from tests.helpers.commands import run_command

SIZES = {
    "video_size": 6,
    "audio_size": 4,
    "num_layers": 2,
    "recursions": 3,
    "num_segments": 5,
    "audio_channels": 7,
    "visual_shape": (2, 2, 9),
}
LSTM_NAMES = {"kernel": "weight_ih", "recurrent_kernel": "weight_hh", "bias": "bias_ih", "recurrent_bias": "bias_hh"}
BLOCKS = {"audio_extract": "audio_extract", "video_extract": "video_extract", "joint": "predict.Joint"}
HEADS = {
    "affine_feat": "video_attn.attn.affine_feat",
    "hidden": "predict.predict.0",
    "classifier": "predict.predict.3",
}
MODALITIES = {"video": 0, "audio": 1}


def torch_name(path: str) -> str:
    """The name of a weight in the authors' network, written out by hand."""
    layer, *rest = path.split("/")
    kind = "weight" if rest[-1] == "kernel" else rest[-1]
    if layer in BLOCKS:
        if rest == ["initial_states"]:
            return f"{BLOCKS[layer]}.init_hidden"
        if rest[0] == "linear":
            return f"{BLOCKS[layer]}.linear.{kind}"
        direction, _, number = rest[1].partition("_")
        suffix = "_reverse" if direction == "backward" else ""
        return f"{BLOCKS[layer]}.rnn.{LSTM_NAMES[rest[-1]]}_l{number or 0}{suffix}"
    if layer in HEADS:
        return f"{HEADS[layer]}.{kind}"
    if layer == "attention":
        return f"video_attn.attn.{rest[0]}.{kind}"
    prefix = f"coattn.dcn_layers.{layer.removeprefix('coattn_')}"
    if rest[0] == "query":
        return f"{prefix}.dense_coattn.query_linear.{kind}"
    number = MODALITIES[rest[0]]
    if rest[1] == "out":
        return f"{prefix}.linears.{number}.0.{kind}"
    return f"{prefix}.dense_coattn.{rest[1]}{number + 1}_linear.{kind}"


def torch_state(model) -> dict[str, np.ndarray]:
    """The model's weights under the authors' names and in torch's layout."""
    state = {}
    for weight in model.weights:
        if "seed" in weight.path:
            continue
        array = np.asarray(weight)
        is_state = weight.path.endswith("initial_states")
        state[torch_name(weight.path)] = array if is_state else np.ascontiguousarray(array.T)
    return state


@pytest.fixture(scope="module")
def model():
    """All weights random: biases that are zero would hide a mix-up."""
    model = jca.build_model("jca", **SIZES)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if "seed" not in weight.path:
            weight.assign(rng.standard_normal(weight.shape))
    return model


@pytest.fixture(scope="module")
def checkpoint(model, tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("torch") / "jca.pt", torch_state(model))


def command(checkpoint, out):
    return run_command(convert, str(checkpoint), str(out))


def test_command_writes_the_model_with_its_classes_and_features(model, checkpoint, tmp_path, capsys):
    out = tmp_path / "out" / "jca.keras"
    assert command(checkpoint, out) == 0
    assert f"jca, {model.count_params():,} parameters, written to {out}" in capsys.readouterr().out
    loaded, info = load_model(out, paper="jca")
    assert info.class_names == CLASS_NAMES and info.dataset == "ave" and info.preset == "code"
    assert {feature.label for feature in info.features.values()} == {"vggish:embedding_relu", "vgg19:pool5"}
    # What the tensors tell: also that there are three recursions, not four.
    assert {name: info.config[name] for name in SIZES} == json.loads(json.dumps(SIZES))
    rng = np.random.default_rng(1)
    batch = {
        "audio": rng.standard_normal((2, 5, 7)).astype("float32"),
        "visual": rng.random((2, 5, 2, 2, 9), "float32"),
    }
    np.testing.assert_array_equal(loaded(batch), model(batch))


def test_zip_container_of_newer_torch_is_read_too(model, tmp_path):
    path = write_checkpoint(tmp_path / "jca.pt", torch_state(model), torch_writing.write_zip)
    loaded = jca.load_author_checkpoint(path)
    weights = [[np.asarray(w) for w in m.weights if "seed" not in w.path] for m in (loaded, model)]
    for first, second in zip(*weights, strict=True):
        np.testing.assert_array_equal(first, second)


def drop(state):
    del state["predict.Joint.linear.bias"]


def add(state):
    state["extra.weight"] = np.zeros((3, 3), "float32")


def misshape(state):
    state["coattn.dcn_layers.1.dense_coattn.value2_linear.weight"] = np.zeros((5, 5), "float32")


def not_square(state):
    state["video_attn.attn.affine_v.weight"] = np.zeros((5, 6), "float32")


def other_network(state):
    state.clear()
    state["conv1.weight"] = np.zeros((3, 3), "float32")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (drop, "lacks predict.Joint.linear.bias"),
        (add, "also has extra.weight"),
        (misshape, "value2_linear.weight of shape (5, 5) does not fit jca, which needs (4, 4)"),
        (not_square, "attends over 5 regions"),
        (other_network, "is not a checkpoint of JCA"),
    ],
)
def test_other_files_are_one_sentence_and_leave_nothing_behind(model, tmp_path, capsys, change, sentence):
    state = torch_state(model)
    change(state)
    path = write_checkpoint(tmp_path / "other.pt", state)
    assert command(path, tmp_path / "out.keras") == 2
    said = capsys.readouterr().err
    assert f"{path}: " in said and sentence in said and said.count("\n") == 1
    assert not (tmp_path / "out.keras").exists()


def test_classes_of_another_dataset_are_not_guessed(tmp_path, capsys):
    small = jca.build_model("jca", **{**SIZES, "recursions": 1}, num_classes=4)
    path = write_checkpoint(tmp_path / "jca.pt", torch_state(small))
    assert command(path, tmp_path / "out.keras") == 2
    assert "has 4 classes and AVE has 29" in capsys.readouterr().err


def test_authors_form_of_file_converts(reference_dir, tmp_path):
    """A whole-module pickle; its 29 classes are AVE's."""
    assert command(reference_dir / "golden" / "jca.pt", tmp_path / "jca.keras") == 0
    with np.load(reference_dir / "golden" / "jca.npz") as file:
        sizes = json.loads(str(file["hparams"]))
    _, info = load_model(tmp_path / "jca.keras", paper="jca")
    assert info.config["video_size"] == sizes["video_size"] and info.config["audio_size"] == sizes["audio_size"]
