"""Whether another backend or device computes TensorFlow's numbers, and how fast.

    python -m avfusion_benchmarks.parity prepare FOLDER                      where TensorFlow is installed
    KERAS_BACKEND=jax python -m avfusion_benchmarks.parity check FOLDER      anywhere, with or without a GPU

`prepare` saves a model of each paper, a batch, the outputs and the losses of a few steps on that batch; with
--reference the outputs are those recorded from the authors' own code where there are any. `check` loads the files and
compares, with full and with TF32 matrix products, and times a training step of each network at its published size.
"""

import contextlib
import dataclasses
import functools
import importlib
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import avpipeline  # noqa: F401  first: it silences TensorFlow's startup messages

# isort: split
import keras
import numpy as np
import tyro

from avpipeline.cli import Count, run
from avpipeline.errors import InputError
from avpipeline.features.info import FeatureInfo
from avpipeline.files import make_folder, write_json
from avpipeline.training.saved import ModelInfo, load_model, save_model

# JAX's names for the precision of float32 matrix products: full, and the default on a GPU.
PRECISIONS = {"TF32 off": "float32", "TF32 on": "tensorfloat32"}
_STEPS = 3
# Paper -> a small version of its headline network without dropout, and the training settings that differ.
SMALL = {
    "ave": (
        "av_att",
        {"attention_units": 16, "lstm_units": 8, "hidden_units": 8, "visual_shape": (3, 3, 32), "audio_channels": 16},
        {},
    ),
    "mafnet": (
        "mafnet",
        {"units": 16, "filters": 8, "visual_shape": (24,), "audio_shape": (4, 3, 8), "num_segments": 4},
        {"prob_all": 0.4, "prob_image": 0.3},
    ),
    "jca": (
        "jca",
        {"video_size": 16, "audio_size": 8, "recursions": 2, "audio_channels": 16, "visual_shape": (3, 3, 32)}
        | {"dropout": 0.0, "recurrent_dropout": 0.0, "num_segments": 4},
        {},
    ),
    "attendfusion": (
        "attend_fusion",
        {"width": 32, "dropout": 0.0, "num_classes": 40, "audio_channels": 16, "visual_channels": 32},
        {},
    ),
    "eventlayers": (
        "event_layers",
        {"visual_channels": 32, "audio_channels": 32, "num_classes": 12, "num_moments": 20, "top_k": 3},
        {},
    ),
}
# Recorded outputs: name -> paper, the authors' checkpoint, files of the batch and of the outputs, name of the output.
GOLDEN = {
    "golden-ave": ("ave", "av_att.pt", "ave_batch.npz", "av_att.npz", "segment_probs"),
    "golden-ave-dmrn": ("ave", "dmrn.pt", "ave_batch.npz", "dmrn.npz", "segment_probs"),
    "golden-jca": ("jca", "jca.pt", "ave_batch.npz", "jca.npz", "segment_probs"),
    "golden-mafnet": ("mafnet", "mafnet_ckpt/MAFnet", "mafnet.npz", "mafnet.npz", "probs"),
}


@dataclasses.dataclass(frozen=True)
class Prepare:
    """Saves models, batches, outputs and losses of this backend."""

    folder: tyro.conf.Positional[Path]
    """Where to write them."""
    reference: Path | None = None
    """Folder with golden/, whose outputs are added."""


@dataclasses.dataclass(frozen=True)
class Check:
    """Compares this backend and device with them, and times training steps."""

    folder: tyro.conf.Positional[Path]
    """What `prepare` wrote."""
    batch: Count = 64
    """Videos in a timed step."""
    seconds: float = 5.0
    """Duration of each timing; 0 leaves them out."""
    out: Path = Path("runs") / "parity.json"
    """JSON file for the results."""


def main(settings: Prepare | Check) -> None:
    """Compares the papers' networks between backends and devices."""
    if isinstance(settings, Prepare):
        prepare(settings.folder, settings.reference)
        return
    # After every part, so that results are kept if a later one fails.
    result = {"machine": machine(), "outputs": {}, "losses": {}, "steps": {}}
    for part, name, found in check(settings):
        result[part][name] = found
        print(f"{part} {name}: {found}", flush=True)
        write_json(settings.out, result)


def prepare(folder, reference: Path | None = None) -> None:
    """Writes FOLDER/NAME.keras and FOLDER/NAME.npz for each of `SMALL`, and for each of `GOLDEN` if `reference`."""
    folder = make_folder(folder)
    for paper, (name, sizes, _) in SMALL.items():
        keras.utils.set_random_seed(0)
        model = importlib.import_module(paper).build_model(name, **sizes)
        batch, labels = random_batch(model, 6)
        _save(model, folder / paper, paper)
        outputs = keras.ops.convert_to_numpy(model(batch))
        _save_arrays(folder / paper, batch, outputs=outputs, labels=labels, losses=losses(paper, model, batch, labels))
    for name, (paper, checkpoint, inputs, recorded, output) in GOLDEN.items() if reference else ():
        golden = Path(reference) / "golden"
        model = importlib.import_module(paper).load_author_checkpoint(golden / checkpoint)
        with np.load(golden / inputs) as arrays, np.load(golden / recorded) as outputs:
            _save(model, folder / name, paper)
            _save_arrays(folder / name, {key: arrays[key] for key in model.input}, outputs=outputs[output])


def _save(model: keras.Model, stem: Path, paper: str) -> None:
    features = {
        name: FeatureInfo("random", "numbers", "none", "", tensor.shape[1:]) for name, tensor in model.input.items()
    }
    save_model(model, stem.with_suffix(".keras"), ModelInfo(paper, model.name, "code", (), features, "random numbers"))


def _save_arrays(stem: Path, batch: Mapping, **arrays) -> None:
    np.savez_compressed(stem.with_suffix(".npz"), **{f"input_{key}": value for key, value in batch.items()}, **arrays)


def random_batch(model: keras.Model, videos: int) -> tuple[dict, np.ndarray]:
    """Random inputs of a model and one-hot labels; as features come from a ReLU, half of the numbers are zero."""
    random = np.random.default_rng(0)
    batch = {
        name: np.float32(np.maximum(random.normal(size=(videos, *tensor.shape[1:])), 0))
        for name, tensor in model.input.items()
    }
    if "onsets" in batch:
        places = batch["onsets"].shape[1]
        batch["onsets"] = np.tile(np.arange(places, dtype="float32"), (videos, 1))
        batch["onset_mask"] = np.float32(random.random((videos, places)) < 0.3)
    shape = list(model.output.shape[1:])
    # The event layers have scores of five heads for one label.
    shape = shape[-1:] if "onsets" in batch else shape
    return batch, np.eye(shape[-1], dtype="float32")[random.integers(shape[-1], size=(videos, *shape[:-1]))]


def losses(paper: str, model: keras.Model, batch: Mapping, labels: np.ndarray) -> list[float]:
    """The losses of a few steps of the paper's own training on one batch."""
    package = importlib.import_module(paper)
    package.compile_model(model, package.train_config(**SMALL[paper][2]))
    schedule = {"batch_size": len(labels), "epochs": _STEPS, "shuffle": False, "verbose": 0}
    return model.fit(dict(batch), labels, **schedule).history["loss"]


def check(settings: Check) -> Iterator[tuple[str, str, dict]]:
    """Part, name and numbers of each comparison and timing.

    Raises:
      InputError: the folder lacks the files that `prepare` writes.
    """
    paths = sorted(Path(settings.folder).glob("*.keras"))
    if not paths:
        raise InputError(f"{settings.folder}: has no models; write them with avfusion_benchmarks.parity prepare.")
    for path in paths:
        with np.load(path.with_suffix(".npz")) as file:
            arrays = dict(file)
        batch = {key.removeprefix("input_"): value for key, value in arrays.items() if key.startswith("input_")}
        for precision in precisions():
            with matrix_products(precision):
                found = load_model(path)[0].predict(batch, batch_size=len(arrays["outputs"]), verbose=0)
            largest = max(1.0, float(np.abs(arrays["outputs"]).max()))
            yield "outputs", f"{path.stem}, {precision}", float(np.abs(found - arrays["outputs"]).max()) / largest
        if "losses" in arrays:
            with matrix_products("TF32 off"):
                found = losses(path.stem, load_model(path)[0], batch, arrays["labels"])
            yield "losses", path.stem, float(np.abs(np.array(found) / arrays["losses"] - 1).max())
    for paper, (name, _, _) in SMALL.items() if settings.seconds else ():
        for precision in precisions():
            with matrix_products(precision):
                yield "steps", f"{paper}, {precision}", step_time(paper, name, settings.batch, settings.seconds)


def step_time(paper: str, name: str, videos: int, seconds: float) -> dict[str, float]:
    """Milliseconds of a training step at the published size, the batch on the device, and seconds of the first."""
    package = importlib.import_module(paper)
    model = package.compile_model(package.build_model(name))
    batch, labels = random_batch(model, videos)
    on_device = keras.ops.convert_to_tensor
    step = functools.partial(
        model.train_on_batch, {key: on_device(x) for key, x in batch.items()}, on_device(labels)
    )
    first, times = _timed(step), []
    while sum(times) < seconds:
        times.append(_timed(step))
    return {"ms a step": 1e3 * statistics.median(times), "first step, s": first, "videos": videos}


def _timed(function: Callable) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def precisions() -> list[str]:
    """The precisions to compare; only "TF32 off" where there is no TF32."""
    return list(PRECISIONS) if keras.config.backend() == "jax" and _is_gpu() else ["TF32 off"]


def matrix_products(precision: str):
    """A context in which JAX's float32 matrix products have this precision."""
    if keras.config.backend() != "jax":
        return contextlib.nullcontext()
    import jax

    return jax.default_matmul_precision(PRECISIONS[precision])


def _is_gpu() -> bool:
    import jax

    return jax.default_backend() == "gpu"


def machine() -> dict[str, str]:
    """What the numbers were measured on."""
    facts = {"backend": keras.config.backend(), "keras": keras.__version__, "python": platform.python_version()}
    if keras.config.backend() == "jax":
        import jax

        facts |= {"jax": jax.__version__, "device": jax.devices()[0].device_kind}
    return facts


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m avfusion_benchmarks.parity"))
