"""Torch files as training scripts write them: wrapped, prefixed, under other module paths, in bfloat16."""

import functools
import os
import struct

import numpy as np
import pytest

from avpipeline import checkpoints
from avpipeline.errors import InputError
from tests.helpers import torch_writing as made

read_torch = functools.partial(checkpoints.read_torch, classes=("models.att_Net", "models_weakly.att_Net"))
VALUES = np.arange(6, dtype=np.float32)
TENSOR = made.tensor(made.storage("7", VALUES), (2, 3))
PLAIN = made.state_dict({"fc.w": TENSOR})
NETWORK = made.network("models.att_Net", modules={"fc": made.network("torch.nn.modules.linear.Linear", {"w": TENSOR})})
DATA_PARALLEL = "torch.nn.parallel.data_parallel.DataParallel"
COMPILED = "torch._dynamo.eval_frame.OptimizedModule"
OPTIMIZER = made.mapping({"param_groups": b"]", "step": TENSOR})


def holder(key: str, value: bytes) -> bytes:
    return made.mapping({"epoch": made.number(3), "optimizer": OPTIMIZER, key: value})


WRAPPED = {
    "DataParallel": (made.state_dict({"module.fc.w": TENSOR}), "prefix 'module.'"),
    "compiled": (made.state_dict({"_orig_mod.fc.w": TENSOR}), "prefix '_orig_mod.'"),
    "both": (made.state_dict({"module._orig_mod.fc.w": TENSOR}), "'module.' off its names, takes .* '_orig_mod.'"),
    "state_dict": (holder("state_dict", PLAIN), "reads its entry 'state_dict'"),
    "model": (holder("model", PLAIN), "reads its entry 'model'"),
    "model_state_dict of DataParallel": (
        holder("model_state_dict", made.state_dict({"module.fc.w": TENSOR})),
        "entry 'model_state_dict' and nothing else, takes the prefix 'module.'",
    ),
    "whole network in a dict": (holder("model", NETWORK), "reads its entry 'model'"),
    "arguments of the script": (
        made.mapping({"model": PLAIN, "args": made.instance("argparse.Namespace", {"lr": made.number(1)})}),
        "reads its entry 'model'",
    ),
    "a script's class": (NETWORK.replace(b"cmodels\n", b"c__main__\n"), "class __main__.att_Net for models.att_Net"),
    "a package's class": (NETWORK.replace(b"cmodels\n", b"csrc.models\n"), "class src.models.att_Net for models"),
    "a wrapped network": (made.network(DATA_PARALLEL, modules={"module": NETWORK}), "unwraps its DataParallel"),
    "a compiled network": (made.network(COMPILED, modules={"_orig_mod": NETWORK}), "unwraps its OptimizedModule"),
}


@pytest.mark.parametrize("writer", [made.write_legacy, made.write_zip])
def test_a_wrapper_around_itself_is_refused(tmp_path, writer):
    endless = (
        made.name(DATA_PARALLEL)
        + b")\x81q\x01"
        + made.mapping({"_parameters": made.mapping({}), "_buffers": made.mapping({})})
        + b"b"
        + made.mapping({"_modules": made.mapping({"module": b"h\x01"})})
        + b"b"
    )
    with pytest.raises(InputError, match="wraps its network without end"):
        read_torch(writer(tmp_path / "net.pt", endless, {}))


@pytest.mark.parametrize("writer", [made.write_legacy, made.write_zip])
@pytest.mark.parametrize("kind", WRAPPED)
def test_wrappers_are_taken_off_and_named(tmp_path, kind, writer):
    root, words = WRAPPED[kind]
    with pytest.warns(UserWarning, match=words):
        file = read_torch(writer(tmp_path / "net.pt", root, {"7": VALUES}))
    assert list(file.state) == ["fc.w"]
    np.testing.assert_array_equal(file.state["fc.w"], [[0, 1, 2], [3, 4, 5]])
    assert file.root_class in (None, "models.att_Net")


def test_a_weak_networks_own_class_is_not_mistaken(tmp_path):
    root = NETWORK.replace(b"cmodels\n", b"cmodels_weakly\n")
    assert read_torch(made.write_zip(tmp_path / "net.pt", root, {"7": VALUES})).root_class == "models_weakly.att_Net"


@pytest.mark.parametrize("name", ["__main__.Other", "torch.att_Net", "os.att_net"])
def test_other_classes_stay_refused(tmp_path, name):
    with pytest.raises(InputError, match=name):
        read_torch(made.write_zip(tmp_path / "net.pt", made.network(name, {"w": TENSOR}), {"7": VALUES}))


@pytest.mark.parametrize("writer", [made.write_legacy, made.write_zip])
def test_bfloat16_becomes_float32(tmp_path, writer):
    halves = (np.array([1.5, -2.0, 3.25, 0.0], np.float32).view(np.uint32) >> 16).astype(np.uint16)
    stored = made.sequence(
        made.text("storage"), made.name("torch.BFloat16Storage"), made.text("0"), made.text("cpu"), made.number(4)
    )
    root = made.state_dict({"w": made.tensor(stored + b"Q", (2, 2), (1, 2))})
    state = read_torch(writer(tmp_path / "net.pt", root, {"0": halves})).state
    assert state["w"].dtype == np.float32
    np.testing.assert_array_equal(state["w"], [[1.5, 3.25], [-2, 0]])


def test_a_pipe_is_no_checkpoint(tmp_path):
    os.mkfifo(tmp_path / "net.pt")
    for read in (read_torch, checkpoints.read_pickle_arrays, checkpoints.read_keras_h5):
        with pytest.raises(InputError, match="a pipe or a device"):
            read(tmp_path / "net.pt")
    with pytest.raises(InputError, match="a pipe or a device"):
        read_torch("/dev/zero")


def test_a_wrapper_without_a_network(tmp_path):
    for root in (made.network(DATA_PARALLEL), made.mapping({"model": made.mapping({})})):
        with pytest.raises(InputError, match="net.pt"):
            read_torch(made.write_zip(tmp_path / "net.pt", root, {}))


def test_numbers_of_a_script_in_a_dict_are_not_read(tmp_path):
    """The best score is a float beside the network."""
    root = made.mapping({"best": b"G" + struct.pack(">d", 0.5), "state_dict": PLAIN})
    with pytest.warns(UserWarning, match="nothing else"):
        assert list(read_torch(made.write_zip(tmp_path / "net.pt", root, {"7": VALUES})).state) == ["fc.w"]
