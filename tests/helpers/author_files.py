"""The authors' checkpoints of AVE's, JCA's and MAFnet's networks, written by the tests themselves.

A state is a model's weights under the authors' names and in their layout; the names are written out by hand.
"""

import dataclasses
from collections.abc import Callable
from types import ModuleType

import keras
import numpy as np
import tensorflow as tf

import ave.convert
import jca.convert
import mafnet.convert
from tests.helpers import torch_writing
from tests.helpers.mafnet_small import small_model

AVE_SIZES = {"attention_units": 8, "lstm_units": 5, "hidden_units": 6, "audio_channels": 7, "visual_shape": (2, 2, 9)}
JCA_SIZES = {
    "video_size": 6,
    "audio_size": 4,
    "num_layers": 2,
    "recursions": 3,
    "num_segments": 5,
    "audio_channels": 7,
    "visual_shape": (2, 2, 9),
}
MAFNET_SIZES = {
    "units": 6,
    "filters": 5,
    "visual_shape": (7,),
    "audio_shape": (12, 8, 4),
    "num_segments": 10,
    "num_classes": 28,
}


def write_torch(path, state: dict[str, np.ndarray], container=torch_writing.write_legacy):
    """A state dict as torch writes it."""
    entries = {}
    for index, (key, array) in enumerate(state.items()):
        entries[key] = torch_writing.tensor(torch_writing.storage(str(index), array), array.shape)
    container(path, torch_writing.state_dict(entries), {str(i): array for i, array in enumerate(state.values())})
    return path


def write_saver(path, state: dict[str, np.ndarray]):
    """A file as TensorFlow 1's Saver writes it, with what MAFnet's Adams keep beside the variables."""
    slots = {f"{name}/Adam{number}": array for name, array in state.items() for number in ("", "_1", "_2", "_5")}
    every = {**state, **slots, "beta1_power": np.float32(0.5), "beta2_power_2": np.float32(0.5)}
    tf.raw_ops.SaveV2(
        prefix=str(path),
        tensor_names=list(every),
        shape_and_slices=[""] * len(every),
        tensors=[tf.constant(array) for array in every.values()],
    )
    return path


LSTM_NAMES = {"kernel": "weight_ih", "recurrent_kernel": "weight_hh", "bias": "bias_ih", "recurrent_bias": "bias_hh"}


def ave_state(model) -> dict[str, np.ndarray]:
    """The weights of one of AVE's networks under torch's names."""
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


JCA_BLOCKS = {"audio_extract": "audio_extract", "video_extract": "video_extract", "joint": "predict.Joint"}
JCA_HEADS = {
    "affine_feat": "video_attn.attn.affine_feat",
    "hidden": "predict.predict.0",
    "classifier": "predict.predict.3",
}
JCA_MODALITIES = {"video": 0, "audio": 1}


def jca_name(path: str) -> str:
    """The name of a weight in the authors' network."""
    layer, *rest = path.split("/")
    kind = "weight" if rest[-1] == "kernel" else rest[-1]
    if layer in JCA_BLOCKS:
        if rest == ["initial_states"]:
            return f"{JCA_BLOCKS[layer]}.init_hidden"
        if rest[0] == "linear":
            return f"{JCA_BLOCKS[layer]}.linear.{kind}"
        direction, _, number = rest[1].partition("_")
        suffix = "_reverse" if direction == "backward" else ""
        return f"{JCA_BLOCKS[layer]}.rnn.{LSTM_NAMES[rest[-1]]}_l{number or 0}{suffix}"
    if layer in JCA_HEADS:
        return f"{JCA_HEADS[layer]}.{kind}"
    if layer == "attention":
        return f"video_attn.attn.{rest[0]}.{kind}"
    prefix = f"coattn.dcn_layers.{layer.removeprefix('coattn_')}"
    if rest[0] == "query":
        return f"{prefix}.dense_coattn.query_linear.{kind}"
    number = JCA_MODALITIES[rest[0]]
    if rest[1] == "out":
        return f"{prefix}.linears.{number}.0.{kind}"
    return f"{prefix}.dense_coattn.{rest[1]}{number + 1}_linear.{kind}"


def jca_state(model) -> dict[str, np.ndarray]:
    """JCA's weights under the authors' names."""
    state = {}
    for weight in model.weights:
        if "seed" in weight.path:
            continue
        array = np.asarray(weight)
        is_state = weight.path.endswith("initial_states")
        state[jca_name(weight.path)] = array if is_state else np.ascontiguousarray(array.T)
    return state


MAFNET_LAYERS = {
    "audio_block/film/generator": "FILM_for_sound_fc",
    "audio_block/conv1": "FILMed_block_sound_conv1",
    "audio_block/conv2": "FILMed_block_sound_conv2",
    "audio_block/norm": "FILMed_block_sound_BN",
    "visual_dense": "time_distributed",
    "visual_norm": "image_BN_1",
    "audio_dense": "time_distributed_1",
    "audio_norm": "sound_BN_1",
    "attention/hidden": "dense",
    "attention/score": "dense_1",
    "classifier": "multimodal_fc_1",
    "classifier_norm": "multimodal_BN_1",
}
MAFNET_WEIGHTS = {"gamma": "scale", "moving_mean": "pop_mean", "moving_variance": "pop_var"}


def mafnet_state(model) -> dict[str, np.ndarray]:
    """MAFnet's weights, none of them as it began, under the authors' names."""
    rng = np.random.default_rng(4)
    state = {}
    for weight in model.weights:
        weight.assign(rng.random(weight.shape) + 0.1)
        layer, kind = weight.path.rsplit("/", 1)
        state[f"{MAFNET_LAYERS[layer]}/{MAFNET_WEIGHTS.get(kind, kind)}"] = np.asarray(weight)
    return state


@dataclasses.dataclass(frozen=True)
class AuthorFile:
    """How a paper's headline network becomes a file of its authors.

    Attributes:
      build: builds it narrow; takes other sizes.
      state: the model -> its state.
      write: `(path, state)`, returns the path.
      command: the module that converts such files.
    """

    build: Callable[..., keras.Model]
    state: Callable[[keras.Model], dict[str, np.ndarray]]
    write: Callable
    command: ModuleType


AUTHOR_FILES = {
    "ave": AuthorFile(
        lambda **sizes: ave.build_model("av_att", **{**AVE_SIZES, **sizes}), ave_state, write_torch, ave.convert
    ),
    "jca": AuthorFile(
        lambda **sizes: jca.build_model("jca", **{**JCA_SIZES, **sizes}), jca_state, write_torch, jca.convert
    ),
    "mafnet": AuthorFile(
        lambda **sizes: small_model("mafnet", **{**MAFNET_SIZES, **sizes}), mafnet_state, write_saver, mafnet.convert
    ),
}
