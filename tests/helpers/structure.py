"""Whether two models are the same network, whatever their names and weights."""

import json
from collections.abc import Callable, Mapping

import keras


def structure(build: Callable[[], keras.Model]) -> str:
    """The layers of a freshly built model, their settings and connections; equal for the same network."""
    # Numbers in the names that Keras gives start anew; collecting garbage takes most of a second.
    keras.utils.clear_session(free_memory=False)
    model = build()
    return json.dumps([type(model).__name__, {**model.get_config(), "name": ""}], sort_keys=True, default=str)


def same_networks(builders: Mapping[tuple, Callable[[], keras.Model]]) -> list[list[tuple]]:
    """Groups of keys whose builders build the same network."""
    groups: dict[str, list[tuple]] = {}
    for key, build in builders.items():
        groups.setdefault(structure(build), []).append(key)
    return [keys for keys in groups.values() if len(keys) > 1]
