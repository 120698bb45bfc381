"""`python -m attendfusion.export`: exports a trained network as SavedModel and TFLite, and checks the exports."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avpipeline.cli import run
from avpipeline.cli.progress import link
from avpipeline.errors import InputError
from avpipeline.files import atomic_folder, atomic_path, write_json
from avpipeline.training.saved import load_model

if TYPE_CHECKING:
    import keras

SAVED_MODEL, TFLITE = "saved_model", "model.tflite"
_SIGNATURE = "serving_default"
# Largest allowed difference in probability between the network and an export.
TOLERANCE = 1e-5
# Size of the inputs for that comparison.
_VIDEOS, _FRAMES = 4, 7

# Inputs by name -> probabilities `(batch, classes)`.
Predict = Callable[[Mapping[str, np.ndarray]], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of an export command."""

    weights: Path
    """The model: a .keras file written by python -m attendfusion.train."""
    out: Path = Path("runs") / "attendfusion" / "export"
    """Folder for saved_model/, model.tflite and export.json; it must not exist yet."""


def main(settings: Settings) -> None:
    """Exports a network as SavedModel and TFLite, for use without Keras, and checks their outputs against it.

    Examples:
      python -m attendfusion.export --weights W.keras --out OUT
    """
    model, info = load_model(settings.weights, paper="attendfusion")
    if settings.out.exists():
        raise InputError(f"{settings.out}: exists already; choose another --out or remove it.")
    with atomic_folder(settings.out) as out:
        write_saved_model(model, out / SAVED_MODEL)
        write_tflite(out / SAVED_MODEL, out / TFLITE)
        calls = {SAVED_MODEL: saved_model(out / SAVED_MODEL), TFLITE: tflite(out / TFLITE)}
        files = {
            name: {"bytes": size_of(out / name), "largest_difference": largest_difference(model, call)}
            for name, call in calls.items()
        }
        about = {"weights": str(settings.weights), "model": info.to_json(), "parameters": model.count_params()}
        write_json(out / "export.json", {**about, "files": files})
    print(f"{info.model}, {model.count_params():,} parameters, float32:")
    for name, found in files.items():
        print(
            f"  {name:<12} {found['bytes'] / 1e6:10.2f} MB, differs from the Keras model by at most "
            f"{found['largest_difference']:.1e}"
        )
    print(f"They are in {link(settings.out)}")


def write_saved_model(model: keras.Model, path: Path) -> None:
    """Writes a SavedModel of the forward pass only: inputs by name -> "probabilities".

    `keras.Model.export` would store every weight twice.
    """
    from avpipeline.nn.backends import require_tensorflow

    require_tensorflow("models are exported")
    import tensorflow as tf

    inputs = {name: tf.TensorSpec(tensor.shape, tensor.dtype, name) for name, tensor in model.input.items()}
    module = tf.Module()
    module.weights = [weight.value for weight in model.weights]
    module.predict = tf.function(
        lambda **given: {"probabilities": model(given, training=False)}, jit_compile=False
    )
    tf.saved_model.save(module, str(path), {_SIGNATURE: module.predict.get_concrete_function(**inputs)})


def write_tflite(exported: Path, path: Path) -> None:
    """Converts a SavedModel to a TFLite file: float32, any batch size."""
    import tensorflow as tf

    with atomic_path(path) as temporary:
        temporary.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(exported)).convert())


def saved_model(path: Path) -> Predict:
    """A SavedModel as a function."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))

    def call(inputs):
        # The variables live as long as `loaded`.
        (output,) = loaded.signatures[_SIGNATURE](**{name: tf.constant(x) for name, x in inputs.items()}).values()
        return output.numpy()

    return call


def tflite(path: Path) -> Predict:
    """A TFLite file as a function."""
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_path=str(path))

    def call(inputs):
        (output,) = interpreter.get_signature_runner(_SIGNATURE)(**inputs).values()
        return output

    return call


def largest_difference(model: keras.Model, call: Predict) -> float:
    """Largest difference between the probabilities of the network and of an export, for random videos.

    Raises:
      InputError: it is larger than rounding errors.
    """
    inputs = example_inputs(model)
    difference = float(np.abs(call(inputs) - np.asarray(model(inputs, training=False))).max())
    if not difference <= TOLERANCE:
        raise InputError(
            f"{model.name}: the exported network's probabilities differ by {difference:.1e}, so it is discarded; "
            "export with the versions of TensorFlow and Keras that setup.cfg names."
        )
    return difference


def example_inputs(model: keras.Model, videos: int = _VIDEOS) -> dict[str, np.ndarray]:
    """Random videos in the form that a network takes."""
    from attendfusion.models import NUM_FRAMES

    random = np.random.default_rng(0)
    inputs = {}
    for name, tensor in model.input.items():
        if name == NUM_FRAMES:
            inputs[name] = random.integers(1, _FRAMES + 1, videos).astype(np.int32)
        else:
            shape = (videos, tensor.shape[1] or _FRAMES, tensor.shape[2])
            inputs[name] = random.standard_normal(shape).astype(np.float32)
    return inputs


def size_of(path: Path) -> int:
    """Size in bytes of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m attendfusion.export"))
