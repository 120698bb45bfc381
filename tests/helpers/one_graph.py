"""Several seeds of one model in one TensorFlow graph, which is traced once: tracing costs more than short training."""

from collections.abc import Callable

import keras


class OneGraph:
    """Stands for `build` of an experiment: each call gives the same model, in the state of a freshly built one.

    Args:
      build: makes a compiled model.
    """

    def __init__(self, build: Callable[[], keras.Model]):
        self.build = build
        self.model: keras.Model | None = None

    def __call__(self) -> keras.Model:
        fresh = self.build()
        fresh.optimizer.build(fresh.trainable_variables)
        if self.model is None:
            self.model = fresh
        for mine, new in zip(_state(self.model), _state(fresh), strict=True):
            mine.assign(new)
        return self.model


def _state(model: keras.Model) -> list:
    return [*model.variables, *model.optimizer.variables]
