"""The papers' networks on JAX, without TensorFlow: they build, load, give TensorFlow's outputs and train alike."""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from avfusion_benchmarks import parity
from tests.helpers.imports import PAPERS, ROOT

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="JAX is not installed: pip install -e '.[jax]'"
)
# No import of TensorFlow succeeds. Small networks compile several times faster without XLA's own optimisation.
WITHOUT_TENSORFLOW = "import sys; sys.modules['tensorflow'] = None; "
ENVIRONMENT = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_backend_optimization_level=0"}


def on_jax(program: str) -> subprocess.CompletedProcess:
    words = [sys.executable, "-c", WITHOUT_TENSORFLOW + program]
    return subprocess.run(words, cwd=ROOT, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What `python -m avfusion_benchmarks.parity` finds on JAX, of files that TensorFlow wrote in this process."""
    folder = tmp_path_factory.mktemp("parity")
    reference = os.environ.get("AV_REFERENCE_DIR")
    parity.prepare(folder, reference)
    settings = f"parity.Check({str(folder)!r}, seconds=0, out={str(folder / 'result.json')!r})"
    done = on_jax(f"from avfusion_benchmarks import parity; parity.main({settings})")
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "result.json").read_text())


@pytest.mark.slow
def test_outputs_of_models_saved_under_tensorflow(measured):
    """Relative to the largest; where the reference is there, they are those of the authors' own code."""
    assert measured["machine"]["backend"] == "jax"
    expected = {*PAPERS, *(parity.GOLDEN if "AV_REFERENCE_DIR" in os.environ else ())}
    assert set(measured["outputs"]) == {f"{name}, TF32 off" for name in expected}
    assert max(measured["outputs"].values()) <= 1e-5, measured["outputs"]


@pytest.mark.slow
def test_metrics_and_spectrograms():
    """What has another form than TensorFlow's, on the same numbers."""
    program = """
import json
from tests.product.test_jax import metrics_and_spectrograms
print(json.dumps(metrics_and_spectrograms()))
"""
    found, expected = json.loads(on_jax(program).stdout), metrics_and_spectrograms()
    assert found[0] == pytest.approx(expected[0], rel=1e-6)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-5)


def metrics_and_spectrograms() -> list:
    """Each metric of random probabilities with ties, and parts of both log-mel spectrograms of noise."""
    from avpipeline.features.logmel import LogMel
    from avpipeline.metrics import ranking
    from eventlayers.sound import EventLogMel
    from tests.helpers.whole_arrays import measure

    random = np.random.default_rng(0)
    labels, probabilities = random.random((300, 50)) < 0.1, np.round(random.random((300, 50)), 2).astype("float32")
    classes = [ranking.HitAtOne, ranking.PERR, ranking.F1, ranking.GAP, ranking.MeanAveragePrecision]
    metrics = [*(each() for each in classes), ranking.F1(average="macro"), ranking.MeanAveragePrecision(capped=False)]
    noise = 0.1 * random.standard_normal((1, 16_000)).astype("float32")
    spectrograms = [np.asarray(layer(noise))[0, ::20].ravel() for layer in (LogMel(), EventLogMel())]
    return [
        [measure(metric, labels.astype("float32"), probabilities, 64) for metric in metrics],
        np.concatenate(spectrograms).tolist(),
    ]


def test_commands_say_that_they_run_on_tensorflow():
    """Training, features, evaluation and export: a sentence, also where TensorFlow is installed."""
    program = """
import numpy as np
from avpipeline.errors import InputError
from avpipeline.features.registry import build_extractor
from avpipeline.nn.backends import require_tensorflow
for refused in (lambda: build_extractor("small_audio"), lambda: require_tensorflow("training commands run")):
    try:
        refused()
    except InputError as error:
        print(error)
"""
    said = on_jax(program).stdout.splitlines()
    ending = "on TensorFlow only; unset KERAS_BACKEND (docs/backends.md says what runs without it)."
    assert said == [
        f"KERAS_BACKEND=jax: features are extracted {ending}",
        f"KERAS_BACKEND=jax: training commands run {ending}",
    ]


def test_gradients_of_rounded_probabilities():
    """Keras clips probabilities at 1e-7 on JAX: a positive label at a score of -17 would have no gradient."""
    program = """
import json
from tests.product.test_jax import gradients_at_extremes
print(json.dumps(gradients_at_extremes()))
"""
    done = on_jax(program)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    scores = np.array(SCORES)
    probabilities = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
    np.testing.assert_allclose(found["softmax"], [probabilities - y for y in np.eye(len(scores))], atol=1e-6)
    sigmoid = 1 / (1 + np.exp(-scores))
    np.testing.assert_allclose(found["sigmoid"], [sigmoid, sigmoid - 1], atol=1e-6)
    # What is trained with cross-entropy is trained with these.
    assert found["losses"] == ["CrossEntropyOfProbabilities"] * 3 + ["MultiLabelCrossEntropy"]


SCORES = (-80.0, -50.0, -20.0, -17.0, 0.0, 5.0)


def gradients_at_extremes() -> dict:
    """Gradients of both cross-entropies for labels of 0 and 1 at each score, on JAX; which loss each paper takes."""
    import importlib

    import jax
    import keras

    from attendfusion.recipe import MultiLabelCrossEntropy
    from avpipeline.nn.losses import CategoricalCrossentropy

    scores = np.float32(SCORES)

    def gradient(loss, activation, labels):
        return jax.grad(lambda x: loss(labels[None], activation(x)[None]))(scores).tolist()

    softmax = [gradient(CategoricalCrossentropy(), keras.ops.softmax, y) for y in np.eye(len(scores), dtype="float32")]
    ends = [np.full(len(scores), label, "float32") for label in (0, 1)]
    sigmoid = [gradient(MultiLabelCrossEntropy(), keras.ops.sigmoid, labels) for labels in ends]
    first = keras.Input((2,))
    model, losses = keras.Model(first, keras.layers.Dense(2)(first)), []
    for paper, preset, name in (
        ("ave", "paper", "a"),
        ("jca", "code", "dam"),
        ("mafnet", "code", "visual"),
        ("attendfusion", "paper", "fc_audio"),
    ):
        package = importlib.import_module(paper)
        losses.append(type(package.compile_model(model, package.train_config(preset, name)).loss).__name__)
    return {"softmax": softmax, "sigmoid": sigmoid, "losses": losses}


@pytest.mark.slow
def test_losses_of_the_first_steps(measured):
    """MAFnet's with the same draws of what a step trains."""
    assert set(measured["losses"]) == {*PAPERS}
    assert max(measured["losses"].values()) <= 1e-5, measured["losses"]
