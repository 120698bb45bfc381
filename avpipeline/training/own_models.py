"""A paper's models by name, and those that a user's own file adds: settings, or a function that builds the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from avpipeline.errors import InputError, require_free

if TYPE_CHECKING:
    import keras

DESCRIPTION = "a model of your own"
_Build = Callable[..., "keras.Model"]


class OwnModels:
    """The models of a paper, to which a user's own file may add.

    Args:
      systems: name -> what it is, and its differences from the headline model's configuration.
      configuration: the class of these configurations.
      presets: their names.
      headline: the headline model's differences from the configuration's defaults.

    Attributes:
      names: name -> what it is.
      differences: name -> its differences.
    """

    def __init__(
        self,
        systems: Mapping[str, tuple[str, dict]],
        configuration: type,
        presets: Sequence[str],
        headline: Mapping[str, Any] = MappingProxyType({}),
    ):
        self.names = {name: text for name, (text, _) in systems.items()}
        self.differences = {name: changes for name, (_, changes) in systems.items()}
        self._configuration, self._presets, self._headline = configuration, presets, headline
        self._published = tuple(systems)
        self._functions: dict[str, _Build] = {}

    @property
    def registered(self) -> tuple[str, ...]:
        """The names that a user's own file has added."""
        return tuple(name for name in self.names if name not in self._published)

    def require(self, name: str, preset: str) -> None:
        """Raises ValueError for an unknown model or preset."""
        if name not in self.names:
            raise ValueError(f"unknown model {name!r}; the models are {', '.join(self.names)}")
        if preset not in self._presets:
            lacking = "" if "code" in self._presets else " (there is no public code)"
            raise ValueError(f"unknown preset {preset!r}; the presets are {', '.join(self._presets)}{lacking}")

    def register(self, name: str, description: str = DESCRIPTION, **differences) -> Callable[[_Build], _Build]:
        """Adds a model of your own: one with other settings than the headline model, or with a function of its own.

        As a decorator it takes a function `(config) -> keras.Model`; the model has the inputs and outputs of the
        paper's with the same settings. `python -m PAPER.train --model NAME --import FILE.py` trains it.

        Args:
          name: of the model.
          description: what it is, in words.
          **differences: fields of the paper's `ModelConfig`.

        Raises:
          InputError: the name is taken or invalid, or a difference is not a setting or is out of its range.
        """
        differences = {**self._headline, **differences}
        require_free(name, self.names, "model")
        self._configuration().changed(**differences)
        self.names[name], self.differences[name] = description, differences

        def decorated(function: _Build) -> _Build:
            self._functions[name] = function
            return function

        return decorated

    def built(self, name: str, config, network: Callable[[Any, str], keras.Model]) -> keras.Model:
        """The model `name`, built by its own function if it has one, else by the paper's `network(config, name)`.

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
