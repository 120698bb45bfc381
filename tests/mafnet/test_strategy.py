"""Update dropping on two devices: what one device computes.

Virtual devices must be set up before TensorFlow starts, so this runs in a process of its own.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = """
import sys

import avpipeline
import keras
import numpy as np
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

import mafnet
from tests.helpers.mafnet_small import small_batch, small_model
from mafnet.config import UPDATES


def trained(strategy):
    with strategy.scope():
        keras.utils.set_random_seed(1)
        model = small_model("concatenation")
        mafnet.compile_model(model, mafnet.train_config(prob_image=0.3, prob_all=0.3, learning_rate=0.003), seed=2)
    inputs, labels = small_batch(model, 4 * 8)
    schedule = dict(batch_size=4, shuffle=False, verbose=0)
    loss = model.fit(inputs, labels, epochs=2, **schedule).history["loss"]
    return model, loss


result = {}
for name, strategy in (
    ("one", tf.distribute.get_strategy()),
    ("two", tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])),
):
    model, result[name + "/loss"] = trained(strategy)
    result[name + "/replicas"] = strategy.num_replicas_in_sync
    result[name + "/steps"] = np.asarray(model.optimizer.steps)
    for variable in model.variables:
        # Biases before a normalization or softmax have no gradient but round-off, and Adam makes steps of it; the
        # means that are normalized away move with them.
        if not variable.path.endswith(("dense/bias", "classifier/bias", "score/bias", "moving_mean")):
            result[name + "/weights/" + variable.path] = np.asarray(variable)
    if name == "two":
        copies = [np.stack([copy.numpy() for copy in variable.value.values]) for variable in model.variables]
        result["spread"] = max(float(np.ptp(copy, axis=0).max()) for copy in copies)
np.savez(sys.argv[1], **result)
"""


@pytest.mark.slow
def test_two_devices_compute_what_one_does(tmp_path):
    out = tmp_path / "result.npz"
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(out)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(out) as result:
        assert (result["one/replicas"], result["two/replicas"]) == (1, 2)
        assert result["one/steps"].tolist() == result["two/steps"].tolist()
        assert result["one/steps"].sum() == 16 and result["one/steps"].min() > 0
        np.testing.assert_allclose(result["one/loss"], result["two/loss"], rtol=1e-5)
        names = [name.removeprefix("one/") for name in result.files if name.startswith("one/weights/")]
        assert len(names) > 10
        for name in names:
            np.testing.assert_allclose(
                result[f"one/{name}"], result[f"two/{name}"], rtol=0, atol=1e-5, err_msg=name
            )
        # The two devices agree to the bit.
        assert result["spread"] == 0
