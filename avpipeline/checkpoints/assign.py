"""Assigns the tensors of a checkpoint, mostly torch's, to the weights of a Keras model: by name, with checks."""

from collections.abc import Mapping

import keras
import numpy as np

from avpipeline.errors import InputError


def linear_names(torch_name: str, layer: str) -> dict[str, str]:
    """Torch names of a linear layer -> paths of the Keras Dense layer's weights."""
    return {f"{torch_name}.weight": f"{layer}/kernel", f"{torch_name}.bias": f"{layer}/bias"}


def bidirectional_lstm_names(torch_name: str, layer: str, num_layers: int = 1) -> dict[str, str]:
    """Torch names of a bidirectional LSTM -> paths of `recurrent.BidirectionalLSTM`'s weights.

    Both order the gates input, forget, cell, output, so a kernel is the transpose and nothing is permuted.
    """
    kinds = {"weight_ih": "kernel", "weight_hh": "recurrent_kernel", "bias_ih": "bias", "bias_hh": "recurrent_bias"}
    return {
        f"{torch_name}.{kind}_l{index}{suffix}": f"{layer}/{direction}{f'_{index}' if index else ''}/{weight}"
        for index in range(num_layers)
        for direction, suffix in (("forward", ""), ("backward", "_reverse"))
        for kind, weight in kinds.items()
    }


def assign(
    model: keras.Model, state: Mapping[str, np.ndarray], names: Mapping[str, str], path, *, transpose: bool = True
) -> None:
    """Sets the model's weights from `state`, with the axes of matrices and convolution kernels in Keras's order.

    Torch puts the output axis first and the input axis second, before a kernel's spatial axes; Keras puts the
    spatial axes first, then input and output. Vectors are copied as they are.

    Args:
      state: the checkpoint's name -> tensor.
      names: the checkpoint's name -> path of the Keras weight; names whose path the model lacks are left out.
      path: the checkpoint, for error sentences.
      transpose: False if the tensors already have their axes in Keras's order.

    Raises:
      InputError: a tensor is missing, superfluous, of another shape or not numeric; nothing is assigned then.
    """
    weights = {weight.path: weight for weight in model.weights}
    wanted = {name: weights[target] for name, target in names.items() if target in weights}
    for kind, found in (("lacks", wanted.keys() - state.keys()), ("also has", state.keys() - wanted.keys())):
        if found:
            raise InputError(
                f"{path}: is no checkpoint of {model.name}, it {kind} {', '.join(sorted(found)[:3])}; "
                "give the checkpoint of that model."
            )
    values = {name: np.asarray(state[name]) for name in wanted}
    if transpose:
        values = {name: np.moveaxis(x, (0, 1), (-1, -2)) if x.ndim > 1 else x for name, x in values.items()}
    for name, weight in wanted.items():
        needed = tuple(weight.shape)
        if values[name].shape != needed:
            theirs = (*reversed(needed[-2:]), *needed[:-2]) if transpose else needed
            raise InputError(
                f"{path}: its {name} of shape {np.shape(state[name])} does not fit {model.name}, which needs {theirs}; "
                "give the checkpoint of that model."
            )
        if values[name].dtype.kind not in "fiub" or not np.isfinite(values[name]).all():
            raise InputError(f"{path}: its {name} holds NaN or infinite values, or no numbers; get the file again.")
    for name, weight in wanted.items():
        weight.assign(values[name])
