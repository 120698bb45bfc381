"""Loads the authors' TensorFlow 1 checkpoint as a Keras model."""

import re
from collections.abc import Mapping

import keras
import numpy as np

from avpipeline.checkpoints import read_tf1
from avpipeline.checkpoints.assign import assign
from avpipeline.errors import InputError
from mafnet.config import ModelConfig, model_config
from mafnet.models import classifier

# Layer of the authors' graph, without the number that TensorFlow may append -> layers here, in the order in which the
# authors create them. Where a name stands for two layers, their shapes tell which is which.
_LAYERS = {
    "FILM_for_sound_fc": ("audio_block/film/generator",),
    "FILMed_block_sound_conv1": ("audio_block/conv1",),
    "FILMed_block_sound_conv2": ("audio_block/conv2",),
    "FILMed_block_sound_BN": ("audio_block/norm",),
    "time_distributed": ("visual_dense", "audio_dense"),
    "image_BN": ("visual_norm",),
    "sound_BN": ("audio_norm",),
    "dense": ("attention/hidden", "attention/score"),
    "multimodal_fc": ("classifier",),
    "multimodal_BN": ("classifier_norm",),
}
_WEIGHTS = {
    "kernel": "kernel",
    "bias": "bias",
    "scale": "gamma",
    "beta": "beta",
    "pop_mean": "moving_mean",
    "pop_var": "moving_variance",
}
_NAME = re.compile(rf"(?P<layer>{'|'.join(_LAYERS)})(_(?P<number>\d+))?/(.+/)?(?P<weight>{'|'.join(_WEIGHTS)})")


def load_author_checkpoint(path) -> keras.Model:
    """The authors' `MAFnet.index` and `MAFnet.data-00000-of-00001` as a Keras model.

    Sizes are read off the file. Layers are identified by the beginning of their names and by their shapes, since
    TensorFlow versions number them differently. Optimizer variables in the same file are ignored.

    Args:
      path: the checkpoint's prefix or one of its files.

    Raises:
      InputError: a file is missing or damaged, holds another network, or has tensors that do not fit together.
    """
    return load_with_config(path)[0]


def load_with_config(path) -> tuple[keras.Model, ModelConfig]:
    """Like `load_author_checkpoint`, with the configuration read off the tensors."""
    state = read_tf1(path)
    names = author_names(state)
    config = _sizes(path, {target: state[name] for name, target in names.items()})
    model = classifier(config, "mafnet")
    known = {weight.path for weight in model.weights}
    missing = sorted(known - set(names.values()))
    if missing:
        raise _not_mafnet(path, f"nothing for {missing[0]}")
    # Unknown variables in the file have no path here, so `assign` refuses them by name.
    assign(model, state, names, path, transpose=False)
    return model, config


def author_names(state: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Names of the authors' variables -> paths of the weights here, for all known variables.

    Args:
      state: name -> tensor.
    """
    numbered: dict[str, dict[int, dict[str, str]]] = {}
    for name in state:
        match = _NAME.fullmatch(name)
        if match:
            layers = numbered.setdefault(match["layer"], {})
            layers.setdefault(int(match["number"] or 0), {})[_WEIGHTS[match["weight"]]] = name
    # FiLM takes the visual features too, so its kernel tells how many there are.
    visual = [_kernel_shape(state, weights)[:1] for weights in numbered.get("FILM_for_sound_fc", {}).values()]
    order = {
        "time_distributed": lambda weights: _kernel_shape(state, weights)[:1] not in visual,
        # The attention score has a single output.
        "dense": lambda weights: _kernel_shape(state, weights)[-1:] == (1,),
    }
    names = {}
    for layer, found in numbered.items():
        # If shapes do not decide, the layer created first has the lower number.
        ordered = sorted((found[number] for number in sorted(found)), key=order.get(layer, lambda weights: 0))
        for target, weights in zip(_LAYERS[layer], ordered, strict=False):
            names |= {name: f"{target}/{weight}" for weight, name in weights.items()}
    return names


def _kernel_shape(state, weights: Mapping[str, str]) -> tuple[int, ...]:
    return np.shape(state[weights["kernel"]]) if "kernel" in weights else ()


def _sizes(path, tensors: Mapping[str, np.ndarray]) -> ModelConfig:
    """The configuration, read off the shapes of the tensors; they do not determine the size of the audio map."""
    try:
        visual_channels, units = tensors["visual_dense/kernel"].shape
        audio_channels, filters = tensors["audio_block/conv1/kernel"].shape[2:]
        return model_config(
            "mafnet",
            visual_shape=(visual_channels,),
            audio_shape=(*model_config("mafnet").audio_shape[:2], audio_channels),
            units=units,
            filters=filters,
            num_classes=tensors["classifier/kernel"].shape[1],
        )
    except (KeyError, ValueError, IndexError) as error:
        raise _not_mafnet(path, f"no usable {error}") from error


def _not_mafnet(path, reason: str) -> InputError:
    return InputError(f"{path}: is not a checkpoint of MAFnet ({reason}); give the authors' MAFnet.index.")
