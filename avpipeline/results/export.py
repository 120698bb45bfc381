"""A trained model in forms that run without Keras: SavedModel, TFLite and ONNX, each compared with the network."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import tyro

from avpipeline.cli.progress import link
from avpipeline.errors import InputError
from avpipeline.files import atomic_folder, atomic_path, first_line, write_json
from avpipeline.training.paper import Paper
from avpipeline.training.saved import load_model

if TYPE_CHECKING:
    import keras

_SIGNATURE = "serving_default"
# Largest allowed difference between an output of the network and of an export; relative where the output is above 1.
TOLERANCE = 1e-5
# Number of videos for that comparison.
_VIDEOS = 4

Format = Literal["savedmodel", "tflite", "onnx"]
# Inputs by name -> outputs by name.
Predict = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]


class Form(NamedTuple):
    """A format: the name of its file or folder, what runs it, and `(inputs, SavedModel, path)`, which converts it."""

    name: str
    opened: Callable[[Path], Predict]
    convert: Callable[[Mapping, Path, Path], None] | None = None


@dataclasses.dataclass(frozen=True)
class ExportSettings:
    """Settings of an export command."""

    model: tyro.conf.Positional[Path | None] = None
    """The model: a .keras file, the folder of a run (its first seed is taken), or hf://user/name."""
    weights: Path | None = None
    """The same, as an option."""
    format: tuple[Format, ...] = ("savedmodel", "tflite")
    """One or several: savedmodel for TensorFlow, tflite for phones, onnx for other programs."""
    out: Path | None = None
    """Folder for saved_model/, model.tflite, model.onnx and export.json; it must not exist yet.
    [default: runs/PAPER/export]"""

    @property
    def source(self) -> Path:
        if (self.model is None) == (self.weights is None):
            raise InputError("model: name one model, a .keras file or the folder of a run.")
        return self.model or self.weights


def export(paper: Paper, settings: ExportSettings) -> None:
    """Exports a network for use without Keras, and checks that each export computes what the network computes.

    Examples:
      python -m PAPER.export RUN --out OUT
      python -m PAPER.export --weights W.keras --format onnx --out OUT
    """
    source, out = settings.source, settings.out or Path("runs") / paper.name / "export"
    if out.exists():
        raise InputError(f"{out}: exists already; choose another --out or remove it.")
    if "onnx" in settings.format:
        _require_onnx()
    model, info = load_model(source, paper=paper.name)
    inputs = paper.example_inputs(model, _VIDEOS)
    with atomic_folder(out) as folder, tempfile.TemporaryDirectory() as scratch:
        saved = (folder if "savedmodel" in settings.format else Path(scratch)) / FORMS["savedmodel"].name
        write_saved_model(model, saved, paper.output_name)
        files = {}
        for name in dict.fromkeys(settings.format):
            path = folder / FORMS[name].name
            difference = _converted(model, name, saved, path, inputs)
            files[path.name] = {"bytes": size_of(path), "largest_difference": difference}
        about = {"weights": str(source), "model": info.to_json(), "parameters": model.count_params()}
        write_json(folder / "export.json", {**about, "files": files})
    print(f"{info.model}, {model.count_params():,} parameters, float32:")
    for name, found in files.items():
        print(
            f"  {name:<12} {found['bytes'] / 1e6:10.2f} MB, differs from the Keras model by at most "
            f"{found['largest_difference']:.1e}"
        )
    print(f"They are in {link(out)}")


def _converted(model: keras.Model, name: str, saved: Path, path: Path, inputs: Mapping[str, np.ndarray]) -> float:
    """Converts the SavedModel and compares it; InputError where a format cannot express one of its operations."""
    form = FORMS[name]
    try:
        if form.convert:
            with _quiet():
                form.convert(model.input, saved, path)
        return largest_difference(model, form.opened(path), inputs)
    except (OSError, MemoryError, InputError):
        raise
    except Exception as error:  # The converters and runtimes raise many kinds of exception for what they lack.
        raise InputError(
            f"{model.name}: cannot be written as {name} ({_reason(error)}); choose another --format."
        ) from error


def _reason(error: Exception) -> str:
    """Why a conversion failed, in a few words."""
    lacking = re.search(r"^(?:TF Select|Custom) ops: (.+)", str(error), re.MULTILINE)
    return f"it lacks the operations {lacking[1]}" if lacking else first_line(error)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hides the pages that converters print about operations they lack, including what compiled code prints."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def write_saved_model(model: keras.Model, path: Path, output_name: str) -> None:
    """Writes a SavedModel of the forward pass only: inputs by name -> outputs by name.

    `keras.Model.export` would store every weight twice.

    Args:
      output_name: of the output of a model with a single one.
    """
    from avpipeline.nn.backends import require_tensorflow
    from avpipeline.nn.recurrent import unroll

    require_tensorflow("models are exported")
    # Other machines need not have the kernels of a GPU.
    unroll(model)
    import tensorflow as tf

    inputs = {name: tf.TensorSpec(tensor.shape, tensor.dtype, name) for name, tensor in model.input.items()}

    def predict(**given):
        found = model(given, training=False)
        return found if isinstance(found, dict) else {output_name: found}

    module = tf.Module()
    module.weights = [weight.value for weight in model.weights]
    module.predict = tf.function(predict, jit_compile=False)
    tf.saved_model.save(module, str(path), {_SIGNATURE: module.predict.get_concrete_function(**inputs)})


def write_tflite(inputs: Mapping, saved: Path, path: Path) -> None:
    """Converts a SavedModel to a TFLite file: float32, any batch size."""
    import tensorflow as tf

    with atomic_path(path) as temporary:
        temporary.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(saved)).convert())


def write_onnx(inputs: Mapping, saved: Path, path: Path) -> None:
    """Converts a SavedModel to an ONNX file: float32, any batch size, inputs and outputs by the same names."""
    import logging

    import tensorflow as tf
    import tf2onnx
    from onnx import defs

    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    # The variables live as long as `loaded`.
    loaded = tf.saved_model.load(str(saved))
    signature = loaded.signatures[_SIGNATURE]
    names = list(inputs)
    outputs = sorted(signature.structured_outputs)

    def predict(*given):
        found = signature(**dict(zip(names, given, strict=True)))
        return [tf.identity(found[name], name=name) for name in outputs]

    specs = [tf.TensorSpec(tensor.shape, tensor.dtype, name) for name, tensor in inputs.items()]
    proto, _ = tf2onnx.convert.from_function(tf.function(predict), specs)
    # tf2onnx leaves operations that it cannot convert as they are.
    if lacking := sorted({node.op_type for node in proto.graph.node if not defs.has(node.op_type)}):
        # In the words of TFLite's converter, so that one sentence tells of both.
        raise ValueError(f"Custom ops: {', '.join(lacking)}")
    _rename(proto.graph, names, outputs)
    with atomic_path(path) as temporary:
        temporary.write_bytes(proto.SerializeToString())


def _rename(graph, inputs: list[str], outputs: list[str]) -> None:
    """Gives an ONNX graph's inputs and outputs, in order, the network's names instead of tensors' ("audio:0")."""
    found = {given.name: name for given, name in zip(graph.input, inputs, strict=True)}
    found |= {given.name: name for given, name in zip(graph.output, outputs, strict=True)}
    for given in (*graph.input, *graph.output):
        given.name = found[given.name]
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                names[index] = found.get(name, name)


def saved_model(path: Path) -> Predict:
    """A SavedModel as a function."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))

    def call(inputs):
        # The variables live as long as `loaded`.
        found = loaded.signatures[_SIGNATURE](**{name: tf.constant(x) for name, x in inputs.items()})
        return {name: output.numpy() for name, output in found.items()}

    return call


def tflite(path: Path) -> Predict:
    """A TFLite file as a function."""
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_path=str(path))
    return lambda inputs: interpreter.get_signature_runner(_SIGNATURE)(**inputs)


def onnx(path: Path) -> Predict:
    """An ONNX file as a function, by onnxruntime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, dict(inputs)), strict=True))


FORMS = {
    "savedmodel": Form("saved_model", saved_model),
    "tflite": Form("model.tflite", tflite, write_tflite),
    "onnx": Form("model.onnx", onnx, write_onnx),
}


def _require_onnx() -> None:
    """InputError where the converter or its runtime is not installed."""
    try:
        import onnxruntime  # noqa: F401
        import tf2onnx  # noqa: F401
    except ImportError as error:
        if sys.version_info >= (3, 13):
            advice = ", which is not supported on Python 3.13; choose another --format, or Python 3.12"
        else:
            advice = '; run pip install "audio-visual-fusion[onnx]"'
        raise InputError(f"--format onnx: needs {error.name}{advice}.") from error


def largest_difference(model: keras.Model, call: Predict, inputs: Mapping[str, np.ndarray]) -> float:
    """Largest difference between the outputs of the network and of an export, relative where an output is above 1.

    Raises:
      InputError: it is larger than rounding errors.
    """
    wanted, found = model(inputs, training=False), call(inputs)
    if not isinstance(wanted, dict):
        wanted = {next(iter(found)): wanted}
    pairs = [(np.asarray(wanted[name]), found[name]) for name in wanted]
    difference = max(float((np.abs(b - a) / np.maximum(1, np.abs(a))).max()) for a, b in pairs)
    if not difference <= TOLERANCE:
        raise InputError(
            f"{model.name}: the exported network's outputs differ by {difference:.1e}, so it is discarded; "
            "export with the versions of TensorFlow and Keras that setup.cfg names."
        )
    return difference


def size_of(path: Path) -> int:
    """Size in bytes of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())
