"""Saved models that describe themselves: a `.keras` file that includes its features, classes and preset.

The file is an ordinary Keras 3 archive with one more member, `avpipeline.json`. `keras.models.load_model` reads
it like any other once the paper's layers are imported; `load_model` here imports them, also returns the description,
and refuses whatever does not fit.
"""

from __future__ import annotations

import dataclasses
import importlib
import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from avpipeline import __version__
from avpipeline.checkpoints.hdf5 import require_all_plain
from avpipeline.cli.avfusion import known_papers
from avpipeline.errors import InputError
from avpipeline.features.info import FeatureInfo
from avpipeline.files import Unusable, atomic_path, bounded, first_line, parse_json, reading, require_regular
from avpipeline.training import hub

if TYPE_CHECKING:
    import keras

MEMBER = "avpipeline.json"
FORMAT = 1
_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
# The largest description of a model, in bytes; ours take less than a hundredth of that.
_MOST_TEXT = 1 << 24
# The largest size of a layer that a description may ask for, before Keras makes its weights.
_MOST_UNITS = 1 << 24
# Weights hardly compress: an archive that unpacks to more than this many times its size was not written by Keras.
_MOST_UNPACKING = 20
# Plain values that Keras serialises like objects.
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
      dataset: the name under which the data was read that it was trained on, e.g. `"rendered"`, `"ave"`.
      config: the model's configuration, JSON values only.
      statistics: modality -> what its features were like in training, see `familiarity`; empty where not known.
      version: the version of this package that saved it; informative only.
      data: what it was trained on in words, where that is not what `dataset` promises, e.g. `"your own clips"`.
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
    data: str = ""

    def __post_init__(self):
        object.__setattr__(self, "class_names", tuple(self.class_names))
        # Via JSON, so that a loaded description equals the saved one (tuples become lists).
        object.__setattr__(self, "config", json.loads(json.dumps(dict(self.config))))

    @property
    def domain(self) -> str:
        """ "synthetic" for a model that has seen nothing but the project's own clips, else "real"."""
        # "rendered_pairs" are synthetic clips with two events.
        return "synthetic" if self.dataset in ("rendered", "rendered_pairs") else "real"

    @property
    def trained_on(self) -> str:
        """What it was trained on, shown beside every result."""
        return self.data or self.dataset

    @property
    def title(self) -> str:
        """How the model is named in the titles of pictures."""
        return f"{self.paper} {self.model}, trained on {self.trained_on}"

    def to_json(self) -> dict:
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        fields["class_names"] = list(self.class_names)
        fields["features"] = {modality: info.to_json() for modality, info in self.features.items()}
        return fields

    @classmethod
    def from_json(cls, fields: Mapping) -> ModelInfo:
        """The inverse of `to_json`; KeyError or TypeError else. Earlier versions have no statistics or data."""
        later = ("statistics", "data")
        values = {field.name: fields[field.name] for field in dataclasses.fields(cls) if field.name not in later}
        values["data"] = str(fields.get("data", ""))
        values["statistics"] = {
            name: {
                "mean": [float(value) for value in found["mean"]],
                "deviation": [float(value) for value in found["deviation"]],
                "largest": float(found["largest"]),
            }
            for name, found in fields.get("statistics", {}).items()
        }
        if not all(isinstance(values[name], str) for name in ("paper", "model", "preset", "dataset", "version")):
            raise TypeError("a model, its paper, preset and dataset have names")
        if not all(isinstance(name, str) for name in values["class_names"]):
            raise TypeError("classes have names")
        values["features"] = {name: FeatureInfo.from_json(info) for name, info in fields["features"].items()}
        return cls(**values)


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
      path: a .keras file; a published folder or a run's, whose first seed is taken; or `"hf://user/name"`, a model on
        the Hugging Face Hub.
      paper: the package that must have built it; None accepts any paper.

    Raises:
      InputError: no such file, not a complete .keras file, a plain Keras file without `avpipeline.json`, a model of
        another paper, a newer format, unknown layers or layers that would run code.
    """
    import keras

    path = model_file(path)
    info, config, keras_version = _read_members(path)
    if paper is not None and info.paper != paper:
        raise InputError(
            f"{path}: holds the model '{info.model}' of {info.paper}, a model of {paper} is needed; "
            f"use python -m {info.paper} commands for it or give another file."
        )
    _import_paper(path, info.paper)
    # The model is not compiled, so its own compile_config is never built; that of a nested model would be.
    for asked in _objects(path, config):
        _require_known(path, asked)
    try:
        if keras.config.backend() == "tensorflow":
            model = keras.models.load_model(path, compile=False, safe_mode=True)
        else:
            model = keras.saving.deserialize_keras_object(_of_one_replica(path, config), safe_mode=True)
            model.load_weights(path)
    except Exception as error:  # Keras raises many kinds of exception for a file it cannot use.
        raise InputError(
            f"{path}: Keras {keras.__version__} cannot rebuild this model, saved with Keras {keras_version[:20]} and "
            f"version {info.version} of this package ({first_line(error)}); load it with those versions."
        ) from error
    return model, info


def _of_one_replica(path: Path, config: dict) -> dict:
    """The configuration with no synchronized batch normalization, which all backends but TensorFlow refuse."""
    for asked in _objects(path, config):
        if asked["class_name"] == "BatchNormalization":
            asked["config"]["synchronized"] = False
    return config


def model_file(path) -> Path:
    """The .keras file that a path, a folder or a name on the Hub stands for; see `load_model`."""
    if wanted := hub.repository(path):
        return hub.download(wanted)
    path = Path(path)
    if not path.is_dir():
        return path
    seeds = sorted(path.glob("seed-*/best.keras"), key=lambda file: (len(file.parent.name), file.parent.name))
    for file in (path / hub.MODEL_FILE, path / "best.keras", *seeds):
        if file.is_file():
            return file
    raise InputError(f"{path}: is a folder that holds no model; name a run's folder, a published one or a .keras file.")


def _read_members(path: Path) -> tuple[ModelInfo, dict, str]:
    """The description, Keras's model configuration, and the Keras version that wrote the file."""
    if not path.exists():
        raise InputError(f"{path}: no such file; give the .keras file that training wrote.")
    with reading(path, "is damaged", "copy or train it again"):
        if not zipfile.is_zipfile(require_regular(path)):
            raise Unusable("is not a .keras model, or is cut off; give the whole file that training wrote.")
        with zipfile.ZipFile(path) as archive:
            return _described(path, archive)


def _described(path: Path, archive: zipfile.ZipFile) -> tuple[ModelInfo, dict, str]:
    """`_read_members` of an open archive, after checking its unpacked size and the declared sizes of its weights."""
    sizes = {member.filename: member.file_size for member in archive.infolist()}
    if _CONFIG not in sizes or _METADATA not in sizes:
        raise Unusable("is a zip file but not a .keras model; give the file that training wrote.")
    if MEMBER not in sizes:
        raise Unusable(
            "was saved by plain Keras, so the features and classes it was trained on are not known; "
            "save it with avpipeline.training.saved.save_model."
        )
    if sum(sizes.values()) > _MOST_TEXT + _MOST_UNPACKING * path.stat().st_size:
        raise Unusable("unpacks to far more than its size; give the file that training wrote.")
    texts = {}
    for name in (_CONFIG, _METADATA, MEMBER):
        with archive.open(name) as member:
            texts[name] = bounded(member, _MOST_TEXT)
    broken = archive.testzip()
    if broken is not None:
        raise Unusable(f"is damaged (its part {broken} does not read back); copy or train it again.")
    if _WEIGHTS in sizes:
        require_all_plain(io.BytesIO(archive.read(_WEIGHTS)))
    with reading(path, "its description cannot be read", "train it again"):
        fields = parse_json(texts[MEMBER])
        newest = int(fields["format"])
        if newest > FORMAT:
            raise Unusable(
                f"was saved by version {fields.get('version')} of this package in format {newest}, "
                f"and this is version {__version__}, which reads format {FORMAT}; update this package."
            )
        if not fields["features"]:
            raise Unusable("names no features that the model takes; save it with the features it was trained on.")
        keras_version = str(parse_json(texts[_METADATA])["keras_version"])
        config = parse_json(texts[_CONFIG])
        return ModelInfo.from_json(fields), {**config, "compile_config": None}, keras_version


def _import_paper(path: Path, paper: str) -> None:
    """Imports every public name of the paper's package, which registers its layers with Keras."""
    if paper not in known_papers():
        raise InputError(f"{path}: says it is a model of '{paper}'; known are {', '.join(known_papers())}.")
    try:
        package = importlib.import_module(paper)
        for name in getattr(package, "__all__", ()):
            getattr(package, name)
    except ModuleNotFoundError as error:
        if error.name != paper:
            raise
        raise InputError(
            f"{path}: is a model of {paper}, which version {__version__} of this package does not have; update it."
        ) from error


def _objects(path: Path, config) -> Iterator[dict]:
    """Every object that Keras would build from a model configuration; without recursion, since a file nests at will."""
    waiting: list[tuple[str, object]] = [("", config)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, list):
            waiting += [(key, each) for each in value]
        elif isinstance(value, dict):
            if "class_name" in value and value["class_name"] not in _PLAIN:
                yield value
            waiting += value.items()
        elif isinstance(value, int) and value > _MOST_UNITS and not re.search("seed|_id$", key):
            raise InputError(f"{path}: asks for {value} as {key}, more than any layer has; give the file of training.")


def _require_known(path: Path, asked: Mapping) -> None:
    """Raises InputError unless `asked` is part of Keras and runs no stored code, or is registered by this package."""
    import keras

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
            "package; load it with the version that saved it, or give the file of your own that has it (--import)."
        )
