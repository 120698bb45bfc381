"""Checkpoints of torchvision's video networks, written from Keras models; neither torch nor torchvision is needed."""

import numpy as np

from tests.helpers import torch_writing

# Keras's names of a layer's weights -> torch's.
KINDS = {"kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}
KINDS |= {"moving_mean": "running_mean", "moving_variance": "running_var"}


def randomized(model, seed=0):
    """Batch norms that do something: scales and variances around 1, shifts and means around 0."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.name in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.7, 1.3, weight.shape))
        elif weight.name in ("beta", "moving_mean", "bias"):
            weight.assign(rng.normal(0, 0.1, weight.shape))
    return model


def torch_state(model) -> dict[str, np.ndarray]:
    """The model's weights under torch's names and in torch's layout, with what torch adds to a batch norm."""
    state = {}
    for weight in model.weights:
        layer, kind = weight.path.split("/")
        name, values = layer.replace("_", "."), np.asarray(weight)
        if values.ndim == 5:
            values = values.transpose(4, 3, 0, 1, 2)
        if values.ndim == 2:
            values = values.T
        state[f"{name}.{KINDS[kind]}"] = np.ascontiguousarray(values)
        if kind == "moving_variance":
            state[f"{name}.num_batches_tracked"] = np.array([7], "int64")
    return state


def write(path, state, container=torch_writing.write_zip):
    entries, storages = {}, {}
    for index, (key, array) in enumerate(state.items()):
        shape = () if key.endswith("num_batches_tracked") else array.shape
        entries[key] = torch_writing.tensor(torch_writing.storage(str(index), array), shape)
        storages[str(index)] = array
    return container(path, torch_writing.state_dict(entries), storages)
