"""Checkpoints of TensorFlow 1 and weight files of old Keras."""

import h5py
import numpy as np
import pytest
import tensorflow as tf

from avpipeline.checkpoints import read_keras_h5, read_tf1
from avpipeline.errors import InputError

VALUES = np.arange(6, dtype=np.float32)


@pytest.fixture
def tf1_checkpoint(tmp_path):
    """A checkpoint of one Dense layer under Adam, with the layer's values."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        kernel = tf.compat.v1.get_variable("dense/kernel", initializer=VALUES.reshape(2, 3), use_resource=False)
        bias = tf.compat.v1.get_variable("dense/bias", initializer=VALUES[:3], use_resource=False)
        loss = tf.reduce_sum(kernel * bias)
        tf.compat.v1.train.AdamOptimizer().minimize(loss)
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver()
        saver.save(session, str(tmp_path / "net"), write_meta_graph=False)
    return tmp_path / "net"


def test_tf1_checkpoint_without_the_optimisers_slots(tf1_checkpoint):
    values = read_tf1(tf1_checkpoint)
    assert list(values) == ["dense/bias", "dense/kernel"]
    np.testing.assert_array_equal(values["dense/kernel"], VALUES.reshape(2, 3))
    assert read_tf1(f"{tf1_checkpoint}.index").keys() == values.keys()


@pytest.mark.parametrize("ending", [".index", ".data-00000-of-00001"])
def test_tf1_checkpoint_with_a_file_missing_or_cut(tf1_checkpoint, ending):
    path = tf1_checkpoint.with_name(tf1_checkpoint.name + ending)
    whole = path.read_bytes()
    for length in (0, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="damaged or cut short"):
            read_tf1(tf1_checkpoint)
    path.unlink()
    with pytest.raises(InputError, match="is missing"):
        read_tf1(tf1_checkpoint)


@pytest.mark.golden
def test_tf1_checkpoint_of_mafnet(golden):
    values = read_tf1(golden.path("mafnet_ckpt/MAFnet"))
    assert values["FILM_for_sound_fc/kernel"].shape == (1920, 1024)
    assert values["multimodal_BN_1/pop_var"].shape == (28,)
    assert len(values) == 32


@pytest.mark.parametrize("inside", ["/", "model_weights"])
def test_keras_file(tmp_path, inside):
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        layers = file.require_group(inside)
        layers.attrs["layer_names"] = [b"input_1", b"dense_1", b"wrapped"]
        for layer, names in {"input_1": [], "dense_1": ["dense_1/kernel:0"], "wrapped": ["outer/lstm/bias:0"]}.items():
            layers.create_group(layer).attrs["weight_names"] = np.array(names, dtype="S")
            for weight in names:
                layers[layer][weight] = VALUES
    weights = read_keras_h5(path)
    assert list(weights) == ["dense_1/kernel", "wrapped/outer/lstm/bias"]
    np.testing.assert_array_equal(weights["dense_1/kernel"], VALUES)


def test_keras_file_that_is_none(tmp_path):
    path = tmp_path / "weights.h5"
    with pytest.raises(InputError, match="no such file"):
        read_keras_h5(path)
    path.write_bytes(b"no HDF5")
    with pytest.raises(InputError, match="cannot be read|damaged"):
        read_keras_h5(path)
    with h5py.File(path, "w") as file:
        file["dataset"] = VALUES
    with pytest.raises(InputError, match="no Keras layers"):
        read_keras_h5(path)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"dense_1"]
    with pytest.raises(InputError, match="damaged"):
        read_keras_h5(path)


def test_keras_file_of_the_cross_modality_authors(reference_dir):
    weights = read_keras_h5(reference_dir / "data/ave/cmm_model_weights.h5")
    shapes = {name: array.shape for name, array in weights.items() if name.endswith("kernel")}
    assert shapes == {
        "dense_1/kernel": (512, 128),
        "dense_2/kernel": (128, 64),
        "dense_3/kernel": (128, 128),
        "dense_4/kernel": (128, 64),
    }
