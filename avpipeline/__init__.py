"""What the papers share: media, features, datasets, training, results and prediction.

Data flows one way: media -> features -> datasets -> a paper's model -> training -> results -> predict. This package
imports no paper.
"""

import importlib
import os

import lazy_loader

# TensorFlow logs facts about its build at every start; real errors reach Python as exceptions. The variable is read
# when TensorFlow is imported, so it is set first.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

__version__ = "0.8.0"
__all__ = ["__version__"]


def names_on_first_use(package: str, file: str):
    """`__getattr__`, `__dir__` and `__all__` of a package whose names are listed in its `__init__.pyi`.

    A name is imported when it is first used, and so is a module of the package: a command starts without TensorFlow.
    """
    name_of, directory, names = lazy_loader.attach_stub(package, file)

    def find(name: str):
        if name in names:
            return name_of(name)
        missing = AttributeError(f"module {package!r} has no attribute {name!r}")
        if name.startswith("_"):
            raise missing
        try:
            return importlib.import_module(f"{package}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{package}.{name}":
                raise
            raise missing from None

    return find, directory, names
