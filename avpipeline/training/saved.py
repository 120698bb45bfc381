"""Saved models that describe themselves: a `.keras` file that includes its features, classes and preset.

The file is an ordinary Keras 3 archive with one more member, `avpipeline.json`. `keras.models.load_model` reads
it like any other; `load_model` here also returns the description, and refuses whatever does not fit.
"""

import csv
import dataclasses
import functools
import importlib
import importlib.resources
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import keras

from avpipeline import __version__
from avpipeline.errors import InputError
from avpipeline.features.info import FeatureInfo
from avpipeline.files import atomic_path

MEMBER = "avpipeline.json"
FORMAT = 1
# Plain values that Keras writes in the form of an object.
_PLAIN = ("__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__", "__tuple__")
# Keras layers that run code or open files named in the model file; newer versions of Keras refuse them too.
_RUNS_CODE = ("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """What a saved model is, and which inputs it takes.

    Attributes:
      paper: package that built it, e.g. `"ave"`.
      model: its name in that package's `build_model`, e.g. `"av_att"`.
      preset: `"code"` or `"paper"`.
      class_names: in the order of the model's outputs.
      features: modality -> the features it was trained on.
      dataset: what it was trained on, e.g. `"rendered"`, `"ave"`; shown beside every result.
      config: the model's configuration, JSON values only.
      statistics: modality -> what its features were like in training, see `familiarity`; empty where not known.
      version: the version of this package that saved it; informative only.
    """

    paper: str
    model: str
    preset: str
    class_names: tuple[str, ...]
    features: Mapping[str, FeatureInfo]
    dataset: str
    config: Mapping = dataclasses.field(default_factory=dict)
    version: str = __version__
    statistics: Mapping = dataclasses.field(default_factory=dict, compare=False)

    def __post_init__(self):
        object.__setattr__(self, "class_names", tuple(self.class_names))
        # Via JSON, so that a loaded description equals the saved one (tuples become lists).
        object.__setattr__(self, "config", json.loads(json.dumps(dict(self.config))))

    @property
    def domain(self) -> str:
        """ "synthetic" for a model that has seen nothing but the project's own clips, else "real"."""
        return "synthetic" if self.dataset == "rendered" else "real"

    @property
    def title(self) -> str:
        """How the model is named in the titles of pictures."""
        return f"{self.paper} {self.model}, trained on {self.dataset}"

    def to_json(self) -> dict:
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        fields["class_names"] = list(self.class_names)
        fields["features"] = {modality: info.to_json() for modality, info in self.features.items()}
        return fields

    @classmethod
    def from_json(cls, fields: Mapping) -> "ModelInfo":
        """The inverse of `to_json`; KeyError if a field is missing (files of version 0.2 have no statistics)."""
        values = {field.name: fields[field.name] for field in dataclasses.fields(cls) if field.name != "statistics"}
        values["statistics"] = dict(fields.get("statistics", {}))
        values["features"] = {name: FeatureInfo.from_json(info) for name, info in fields["features"].items()}
        return cls(**values)


@functools.cache
def known_papers() -> dict[str, str]:
    """Name of each paper's package -> the paper's title; the only packages that loading a model file may import."""
    text = importlib.resources.files("avpipeline.training").joinpath("papers.csv").read_text(encoding="utf-8")
    return {line["name"]: line["title"] for line in csv.DictReader(text.splitlines())}


def save_model(model: keras.Model, path, info: ModelInfo) -> Path:
    """Writes `model` and `info` to the `.keras` file `path`, atomically.

    Raises:
      InputError: the name does not end in .keras, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".keras":
        name = path.with_suffix(".keras").name
        raise InputError(f"{path}: a model's file name must end in .keras; name it {name}.")
    with atomic_path(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(MEMBER, json.dumps({"format": FORMAT, **info.to_json()}, indent=2))
    return path


def load_model(path, *, paper: str | None = None) -> tuple[keras.Model, ModelInfo]:
    """Loads a model that `save_model` wrote, uncompiled; code stored in the file is never executed.

    Args:
      paper: the package that must have built it; None accepts any paper.

    Raises:
      InputError: no such file, not a complete .keras file, a plain Keras file without `avpipeline.json`, a model of
        another paper, a newer format, unknown layers or layers that would run code.
    """
    path = Path(path)
    info, config, keras_version = _read_members(path)
    if paper is not None and info.paper != paper:
        raise InputError(
            f"{path}: holds the model '{info.model}' of {info.paper}, a model of {paper} is needed; "
            f"use python -m {info.paper} commands for it or give another file."
        )
    _import_paper(path, info.paper)
    # The model is not compiled, so its own compile_config is never built; that of a nested model would be.
    for asked in _objects({**config, "compile_config": None}):
        _require_known(path, asked)
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many kinds of exception for a file it cannot use.
        raise InputError(
            f"{path}: Keras {keras.__version__} cannot rebuild this model, saved with Keras {keras_version} and "
            f"version {info.version} of this package ({_first_line(error)}); load it with those versions."
        ) from error
    return model, info


def _read_members(path: Path) -> tuple[ModelInfo, dict, str]:
    """The description, Keras's model configuration, and the Keras version that wrote the file."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise InputError(f"{path}: {what}; give the .keras file that training wrote.")
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path}: is not a .keras model, or is cut off; give the whole file that training wrote.")
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
            names = archive.namelist()
            members = {
                name: archive.read(name) for name in ("config.json", "metadata.json", MEMBER) if name in names
            }
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check the file.") from error
    except Exception as error:  # zipfile raises anything from BadZipFile to zlib.error on damaged archives.
        raise InputError(f"{path}: is damaged ({_first_line(error)}); copy or train it again.") from error
    if broken is not None:
        raise InputError(f"{path}: is damaged (its part {broken} does not read back); copy or train it again.")
    if "config.json" not in members or "metadata.json" not in members:
        raise InputError(f"{path}: is a zip file but not a .keras model; give the file that training wrote.")
    if MEMBER not in members:
        raise InputError(
            f"{path}: was saved by plain Keras, so the features and classes it was trained on are not known; "
            "save it with avpipeline.training.saved.save_model."
        )
    return _parse(path, members)


def _parse(path: Path, members: Mapping[str, bytes]) -> tuple[ModelInfo, dict, str]:
    try:
        fields = json.loads(members[MEMBER])
        newest = int(fields["format"])
        if newest > FORMAT:
            raise InputError(
                f"{path}: was saved by version {fields.get('version')} of this package in format {newest}, "
                f"and this is version {__version__}, which reads format {FORMAT}; update this package."
            )
        keras_version = str(json.loads(members["metadata.json"])["keras_version"])
        return ModelInfo.from_json(fields), json.loads(members["config.json"]), keras_version
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"{type(error).__name__}: {_first_line(error)}"
        raise InputError(f"{path}: its description cannot be read ({what}); train it again.") from error


def _import_paper(path: Path, paper: str) -> None:
    """Imports the paper's package, which registers its layers with Keras."""
    if paper not in known_papers():
        raise InputError(f"{path}: says it is a model of '{paper}'; known are {', '.join(known_papers())}.")
    try:
        importlib.import_module(paper)
    except ModuleNotFoundError as error:
        if error.name != paper:
            raise
        raise InputError(
            f"{path}: is a model of {paper}, which version {__version__} of this package does not have; update it."
        ) from error


def _objects(config) -> Iterator[dict]:
    """Every object that Keras would build from a model configuration."""
    if isinstance(config, list):
        for value in config:
            yield from _objects(value)
    elif isinstance(config, dict):
        if "class_name" in config and config["class_name"] not in _PLAIN:
            yield config
        for value in config.values():
            yield from _objects(value)


def _require_known(path: Path, asked: Mapping) -> None:
    """Raises InputError unless `asked` is part of Keras and runs no stored code, or is registered by this package."""
    name, module = asked["class_name"], asked.get("module")
    if name in _RUNS_CODE or name == "__lambda__":
        raise InputError(
            f"{path}: holds a {name.strip('_')} layer, which runs code stored in the file, and is not loaded; "
            "rebuild the model without it."
        )
    # Keras finds a function by its name and a class by its registered name.
    wanted = asked.get("config") if name == "function" else asked.get("registered_name")
    if isinstance(wanted, str) and keras.saving.get_registered_object(wanted) is not None:
        return
    of_keras = isinstance(module, str) and (module == "keras" or module.startswith("keras."))
    if name == "function" or not of_keras:
        raise InputError(
            f"{path}: needs '{wanted or name}', which is not a part of Keras or of version {__version__} of this "
            "package; load it with the version that saved it."
        )


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200].rstrip(".")
