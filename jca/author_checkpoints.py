"""Loads the authors' PyTorch checkpoints as Keras models."""

import math

import keras

from avpipeline.checkpoints import read_torch
from avpipeline.checkpoints.assign import assign, bidirectional_lstm_names, linear_names
from avpipeline.errors import InputError
from jca.config import ModelConfig, model_config
from jca.models import segment_classifier

# Network class of the authors' code, and the classes of its layers.
AUTHOR_CLASS = "models.DCNWithRCNN"
AUTHOR_LAYERS = (
    "layer.audio_extract_layer.LSTM",
    "layer.normalize_layer.Normalization",
    "layer.video_extract_layer.BottomUpExtract",
    "layer.video_extract_layer.PositionAttn",
    "layer.ave_coattn_layer.DCNLayer",
    "layer.ave_coattn_layer.NormalSubLayer",
    "layer.dense_coattn.DenseCoAttn",
    "layer.predict_layer.PredictLayer",
)
_FILES = "a checkpoint that the authors' JCA code wrote"

# Blocks of the authors' network -> layers here; attention and pooling of regions are one module there.
_BLOCKS = {"audio_extract": "audio_extract", "video_extract": "video_extract", "predict.Joint": "joint"}
_ATTENTION = ("affine_audio", "affine_video", "affine_v", "affine_g", "affine_h")
_CO_ATTENTION = "coattn.dcn_layers"
# Video comes first everywhere in the authors' code, including every concatenation.
_MODALITIES = ("video", "audio")


def load_author_checkpoint(path, **overrides) -> keras.Model:
    """A checkpoint of the authors' code as a Keras model.

    Sizes and the number of recursions are read off the tensors, dropout rates off the modules in a whole-module file;
    a state dict does not have them, so the published rates are used. Needs neither torch nor the authors' source, and
    code stored in the file is never executed.

    Args:
      **overrides: fields of `jca.ModelConfig` that do not change the tensors, e.g. `dropout=0.0`.

    Raises:
      InputError: not a torch file, a file of another network, or tensors that do not fit together.
    """
    return load_with_config(path, **overrides)[0]


def load_with_config(path, **overrides) -> tuple[keras.Model, ModelConfig]:
    """Like `load_author_checkpoint`, with the configuration read off the tensors."""
    file = read_torch(path, classes=(AUTHOR_CLASS, *AUTHOR_LAYERS))
    if file.root_class not in (None, AUTHOR_CLASS):
        raise InputError(f"{path}: holds the network {file.root_class}, not {AUTHOR_CLASS}; give {_FILES}.")
    config = _config(path, file, overrides)
    model = segment_classifier(config, "jca")
    # `assign` transposes every matrix as if it were a kernel, and initial states are none.
    state = {name: tensor.T if name.endswith("init_hidden") else tensor for name, tensor in file.state.items()}
    assign(model, state, _names(config), path)
    return model, config


def _config(path, file, overrides) -> ModelConfig:
    """The configuration, read off the shapes of the tensors and the attributes of the modules."""
    state = file.state
    try:
        attention_units, visual_channels = state["video_attn.attn.affine_video.weight"].shape
        audio_size, audio_sum = state["audio_extract.linear.weight"].shape
        # The map is square; for another number of regions `assign` says that the tensors do not fit.
        side = math.isqrt(state["video_attn.attn.affine_v.weight"].shape[0])
        told = {
            "num_layers": state["audio_extract.init_hidden"].shape[0] // 4,
            "recursions": len({name.split(".")[2] for name in state if name.startswith(f"{_CO_ATTENTION}.")}),
            "video_size": attention_units,
            "audio_size": audio_size,
            "num_segments": state[f"{_CO_ATTENTION}.0.dense_coattn.key1_linear.weight"].shape[0],
            "audio_channels": audio_sum - audio_size,
            "visual_shape": (side, side, visual_channels),
            "num_classes": state["predict.predict.3.weight"].shape[0],
            "recurrent_dropout": file.extras.get("audio_extract.dropout.p", ModelConfig.recurrent_dropout),
            "dropout": file.extras.get(f"{_CO_ATTENTION}.0.linears.0.2.p", ModelConfig.dropout),
        }
        return model_config("jca", **{**told, **overrides})
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(f"{path}: is not a checkpoint of JCA (no usable {error}); give {_FILES}.") from error


def _names(config: ModelConfig) -> dict[str, str]:
    """Torch names -> paths of the Keras weights."""
    names = {}
    for block, layer in _BLOCKS.items():
        names[f"{block}.init_hidden"] = f"{layer}/initial_states"
        names |= bidirectional_lstm_names(f"{block}.rnn", f"{layer}/rnn", config.num_layers)
        names |= linear_names(f"{block}.linear", f"{layer}/linear")
    for layer in _ATTENTION:
        names |= linear_names(f"video_attn.attn.{layer}", f"attention/{layer}")
    names |= linear_names("video_attn.attn.affine_feat", "affine_feat")
    for index in range(config.recursions):
        theirs, ours = f"{_CO_ATTENTION}.{index}", f"coattn_{index}"
        names |= linear_names(f"{theirs}.dense_coattn.query_linear", f"{ours}/query")
        for number, modality in enumerate(_MODALITIES):
            names |= linear_names(f"{theirs}.dense_coattn.key{number + 1}_linear", f"{ours}/{modality}/key")
            names |= linear_names(f"{theirs}.dense_coattn.value{number + 1}_linear", f"{ours}/{modality}/value")
            names |= linear_names(f"{theirs}.linears.{number}.0", f"{ours}/{modality}/out")
    names |= linear_names("predict.predict.0", "hidden") | linear_names("predict.predict.3", "classifier")
    return names
