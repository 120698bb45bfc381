"""Models that a user's own file adds to a paper: a name with its settings, or with a function that builds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from avpipeline.errors import InputError, require_free

if TYPE_CHECKING:
    import keras

DESCRIPTION = "a model of your own"
_Build = Callable[..., "keras.Model"]


class OwnModels:
    """The models that were added to a paper.

    Args:
      models: the paper's models, name -> what each is; gets the added ones too.
      systems: name -> what it is, and its differences from the headline model's configuration; gets them too.
      configuration: the class of these configurations.
    """

    def __init__(self, models: dict[str, str], systems: dict[str, tuple[str, dict]], configuration: type):
        self._models, self._systems, self._configuration = models, systems, configuration
        self._functions: dict[str, _Build] = {}

    def add(self, name: str, description: str, differences: dict[str, Any]) -> Callable[[_Build], _Build]:
        """Adds a model; what is returned decorates the function that builds it, if there is one.

        Raises:
          InputError: the name is taken or none for a model, or a difference is not a setting or out of its range.
        """
        require_free(name, self._models, "model")
        self._configuration().changed(**differences)
        self._models[name], self._systems[name] = description, (description, differences)

        def decorated(function: _Build) -> _Build:
            self._functions[name] = function
            return function

        return decorated

    def built(self, name: str, config, network: Callable[[Any, str], keras.Model]) -> keras.Model:
        """The model `name`: of its own function where it has one, else the paper's `network(config, name)`.

        Raises:
          InputError: the function returned no model, or one with other inputs or outputs than the paper's.
        """
        if name not in self._functions:
            return network(config, name)
        model = self._functions[name](config)
        if not hasattr(model, "count_params"):
            raise InputError(f"model '{name}': its function returned {type(model).__name__}; return a keras.Model.")
        expected = network(config, name)
        for what in ("input", "output"):
            found, needed = _shapes(getattr(model, what)), _shapes(getattr(expected, what))
            if found != needed:
                raise InputError(
                    f"model '{name}': has the {what} {_in_words(found)}, a model with its settings has "
                    f"{_in_words(needed)}; change its function or the settings it is registered with."
                )
        return model


def _shapes(tensors) -> dict[str, tuple]:
    """The shapes of a model's inputs or outputs, by name; a single one has none."""
    named = tensors if isinstance(tensors, dict) else {"": tensors}
    return {name: tuple(tensor.shape) for name, tensor in named.items()}


def _in_words(shapes: dict[str, tuple]) -> str:
    return ", ".join(f"{name} {shape}".strip() for name, shape in sorted(shapes.items()))
