"""Each paper on two devices and on two machines; workers that are killed; `fit` of every paper in a notebook's way.

Every process starts TensorFlow and builds the graph of each device: minutes in all.
"""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from avpipeline.training.saved import load_model
from tests.helpers import small_papers
from tests.helpers.attendfusion_records import write_folder
from tests.helpers.imports import PAPERS, ROOT

pytestmark = pytest.mark.distributed

# Weights that no output depends on: biases that batch normalization or a softmax takes away again. Their gradients are
# rounding errors, of which Adam makes steps of the size of the learning rate, and moving means follow them.
WITHOUT_GRADIENT = {
    "mafnet": ("dense/bias", "conv2/bias", "classifier/bias", "score/bias", "moving_mean"),
    "attendfusion": ("key/bias",),
}
# With it, Adam makes no steps of rounding errors.
LARGE_EPSILON = 1e-2


def finish(*processes) -> list[str]:
    """What they printed, once they have ended well."""
    said = [process.communicate(timeout=900)[0] for process in processes]
    for process, text in zip(processes, said, strict=True):
        assert process.returncode == 0, text[-3000:]
    return said


def start_two_workers(out, papers, **settings):
    ports = small_papers.free_ports(2)
    devices = {"strategy": "multiworker", **settings}
    return [
        small_papers.start(out, devices, papers, TF_CONFIG=small_papers.cluster(ports, each)) for each in range(2)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("runs")
    write_folder(made / "records", sizes=tuple(small_papers.VIDEOS.values()))
    return made


@pytest.fixture(scope="module")
def alone(folder):
    finish(small_papers.start(folder / "alone", {"strategy": "one"}))
    return folder / "alone"


def log(out, paper):
    return pd.read_csv(out / paper / "seed-0" / "log.csv")


def weight_differences(one, other, paper) -> dict[str, float]:
    first, second = (load_model(out / paper / "seed-0" / "best.keras")[0] for out in (one, other))
    pairs = zip(first.variables, second.variables, strict=True)
    return {ours.path: np.abs(np.asarray(ours) - np.asarray(theirs)).max() for ours, theirs in pairs}


def require_equal(one, other, paper) -> None:
    """Five losses within 1e-5; weights within 1e-6 but for those without a gradient."""
    pd.testing.assert_series_equal(log(one, paper)["loss"], log(other, paper)["loss"], rtol=1e-5)
    assert len(log(one, paper)) == 5
    found = weight_differences(one, other, paper)
    with_gradient = {path: found[path] for path in found if not path.endswith(WITHOUT_GRADIENT.get(paper, "-"))}
    assert len(with_gradient) >= 8 and max(with_gradient.values()) < 1e-6, with_gradient


def test_two_devices_train_to_what_one_does(alone, folder):
    finish(small_papers.start(folder / "devices", {"strategy": "mirrored", "virtual": 2}))
    for paper in PAPERS:
        require_equal(alone, folder / "devices", paper)
        result = json.loads((folder / "devices" / paper / "result.json").read_text())
        assert result["devices"]["strategy"] == "mirrored" and result["devices"]["replicas"] == 2


def test_two_machines_train_to_what_one_does(alone, folder):
    finish(*start_two_workers(folder / "machines", PAPERS))
    for paper in PAPERS:
        require_equal(alone, folder / "machines", paper)
        result = json.loads((folder / "machines" / paper / "result.json").read_text())
        assert result["devices"]["strategy"] == "multiworker" and result["devices"]["workers"] == 2


def test_only_weights_without_a_gradient_differed(folder):
    """Where Adam's epsilon is far above rounding errors, all weights of the two papers agree."""
    papers = tuple(WITHOUT_GRADIENT)
    outs = folder / "large-one", folder / "large-two"
    for out, devices in zip(outs, ({"strategy": "one"}, {"strategy": "mirrored", "virtual": 2}), strict=True):
        finish(small_papers.start(out, {**devices, "epsilon": LARGE_EPSILON}, papers))
    for paper in papers:
        assert max(weight_differences(*outs, paper).values()) < 1e-6, paper


def test_a_job_whose_worker_died_goes_on_to_equal_numbers(folder):
    whole, cut = folder / "whole", folder / "cut"
    length = {"epochs": 60}
    finish(*start_two_workers(whole, ["ave"], **length))
    chief, other = start_two_workers(cut, ["ave"], **length)
    kept = cut / "ave" / "seed-0" / "log.csv"
    while not kept.is_file() or len(pd.read_csv(kept)) < 2:
        assert chief.poll() is None and other.poll() is None
        time.sleep(0.05)
    other.kill()
    other.communicate()
    said, _ = chief.communicate(timeout=300)
    assert chief.returncode != 0 and "another worker does not answer any more" in said
    assert 2 <= len(pd.read_csv(kept)) < 60 and not (cut / "ave" / "result.json").exists()
    finish(*start_two_workers(cut, ["ave"], **length))
    results = [json.loads((out / "ave" / "result.json").read_text()) for out in (whole, cut)]
    for result in results:
        # The commit may be another one where somebody works on the code in these minutes.
        for name in ("date", "command", "commit"):
            result.pop(name)
    assert results[0] == results[1]
    assert (whole / "ave" / "seed-0" / "log.csv").read_text() == kept.read_text()
    assert max(weight_differences(whole, cut, "ave").values()) == 0


NOTEBOOK = """
import sys
from pathlib import Path

import avpipeline
import keras
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from avpipeline.datasets.batches import batches
from tests.helpers.imports import PAPERS
from tests.helpers.small_papers import experiment

# One for all models: TensorFlow numbers the sums of each strategy from 100 on, so those of a second one in a process
# meet what it keeps of the first one's, of other shapes.
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for paper in PAPERS:
    for policy in ("mixed_bfloat16", "mixed_float16"):
        own = experiment(paper, Path(sys.argv[1]))
        keras.config.set_dtype_policy(policy)
        with strategy.scope():
            model = own.build()
        keras.config.set_dtype_policy("float32")
        data = batches(own.splits.train, 4, modalities=list(model.input), drop_remainder=True)
        losses = model.fit(data, epochs=2, verbose=0).history["loss"]
        assert all(0 < loss < 20 for loss in losses), (paper, losses)
        print(paper, policy, losses, flush=True)
"""


def test_fit_in_a_notebook_under_a_strategy(folder):
    own = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    words = [sys.executable, "-c", NOTEBOOK, str(folder / "records")]
    done = subprocess.run(words, env=own, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(done.stdout.splitlines()) == 2 * len(PAPERS)
