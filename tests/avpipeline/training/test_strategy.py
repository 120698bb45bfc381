"""How devices share batches, what they compute in, and what is refused in one sentence."""

import dataclasses
import json
import time
from collections import Counter
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

import ave.tables
import ave.train
from ave.match.train import PAPER as MATCH
from avpipeline.datasets.base import ArraySource
from avpipeline.datasets.batches import batches
from avpipeline.errors import InputError
from avpipeline.training import cluster, runs, strategy
from avpipeline.training.settings import DeviceSettings
from tests.helpers import small_papers
from tests.helpers.attendfusion_records import records, write_folder
from tests.helpers.commands import refused
from tests.helpers.environment import with_a_gpu
from tests.helpers.imports import PAPERS
from tests.helpers.small_papers import experiment
from tests.helpers.synthetic import synthetic_split


@pytest.fixture(autouse=True)
def nothing_joined(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    strategy._joined.cache_clear()
    yield
    strategy._joined.cache_clear()


def numbered(videos):
    split = synthetic_split("train", videos)
    numbers = np.arange(videos, dtype="float32")[:, None]
    return dataclasses.replace(split, inputs={"audio": ArraySource(numbers)})


@pytest.mark.parametrize(("videos", "keep"), [(11, True), (11, False), (8, True)])
def test_each_video_is_in_one_piece_of_an_epoch(videos, keep):
    """A machine with two devices and one with a third; batches of 4, and of 3 where the last one is kept."""
    order = {"shuffle": True, "seed": 3, "drop_remainder": not keep, "repeat": True, "first_epoch": 2}
    steps = -(-videos // 4) if keep else videos // 4
    whole = batches(numbered(videos), 4, **order).take(steps)
    seen, sizes = Counter(), []
    for pieces in (range(2), range(2, 3)):
        own = batches(numbered(videos), 4, pieces=pieces, of=3, **order).take(len(pieces) * steps)
        for inputs, labels in own:
            assert len(labels) == len(inputs["audio"])
            sizes.append(len(labels))
            seen.update(inputs["audio"].numpy().ravel().tolist())
    assert seen == Counter(np.concatenate([inputs["audio"] for inputs, _ in whole]).ravel().tolist())
    assert set(seen.values()) == {1} and set(sizes) == {1, 2}


def test_each_record_is_in_one_piece_of_an_epoch(tmp_path):
    stream = records(write_folder(tmp_path / "records", sizes=(11, 5, 5))).stream("train")
    order = {"shuffle": True, "seed": 1, "repeat": True}

    def read(**pieces):
        return [inputs["audio"].numpy() for inputs, _ in batches(stream, 4, **order, **pieces).take(3)]

    seen = [read(pieces=range(each, each + 1), of=2) for each in range(2)]
    whole = read()
    for number, batch in enumerate(whole):
        np.testing.assert_array_equal(np.concatenate([seen[0][number], seen[1][number]]), batch)


TWO = json.dumps({"cluster": {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}, "task": {"type": "worker", "index": 0}})


def test_tf_config_that_is_not_used_is_refused_by_every_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TF_CONFIG", TWO)
    out = tmp_path / "out"
    for paper in PAPERS:
        for command in ("train", "tables"):
            module = __import__(f"{paper}.{command}", fromlist=["main"])
            refused(module, ["--strategy", "one", "--out", out], "--strategy one: TF_CONFIG is set", capsys, out)


def test_machines_that_do_not_answer_are_named_after_the_time_limit(tmp_path, monkeypatch, capsys):
    ports = small_papers.free_ports(2)
    monkeypatch.setenv("TF_CONFIG", small_papers.cluster(ports, 0))
    began = time.monotonic()
    sentence = f"no answer from 127.0.0.1:{ports[1]} within 1 s"
    refused(ave.train, ["--wait", 1, "--out", tmp_path / "out"], sentence, capsys, tmp_path / "out")
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("value", ["x", "[]", "{}", TWO.replace("127.0.0.1:1", "a"), TWO.replace("0}", "2}")])
def test_a_malformed_tf_config_is_refused(value, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", value)
    with pytest.raises(InputError, match="^TF_CONFIG: is not of the form "):
        strategy.join(DeviceSettings())


def test_a_worker_whose_port_is_taken_is_refused():
    with cluster._listening("", 0):
        pass
    (port,) = small_papers.free_ports(1)
    with cluster._listening("", port), pytest.raises(InputError, match="cannot listen"):
        cluster.wait_for([f"127.0.0.1:{port}"], 0, 1)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("multiworker", "TF_CONFIG is not set"), ("mirrored", "there is only one device here")],
)
def test_devices_that_are_not_there_are_refused(name, sentence, tmp_path, capsys):
    refused(ave.tables, ["--strategy", name, "--out", tmp_path / "out"], sentence, capsys, tmp_path / "out")


def test_batches_that_devices_cannot_share_are_refused(tmp_path, capsys):
    three = strategy.Team("mirrored", SimpleNamespace(num_replicas_in_sync=3))
    mirrored = DeviceSettings(strategy="mirrored")
    with pytest.raises(InputError, match="mirrored: batches of 4 videos cannot be divided among 3 devices; choose"):
        strategy.team_for(experiment("ave", tmp_path, mirrored), three)
    with pytest.raises(InputError, match="the last batch of an epoch has 1 videos for 3 devices"):
        strategy.team_for(experiment("jca", tmp_path, mirrored, batch_size=6), three)
    auto = experiment("ave", tmp_path, DeviceSettings())
    assert strategy.team_for(auto, three) == strategy.Team("one")
    assert "Training on one device: batches of 4" in capsys.readouterr().out
    # With TF_CONFIG set, --strategy one would be refused.
    with pytest.raises(InputError, match="auto: batches of 4 .*; choose another --batch-size or remove TF_CONFIG"):
        strategy.team_for(auto, dataclasses.replace(three, name="multiworker", workers=3))
    dcca = dataclasses.replace(auto, is_mean_of_videos=False, devices=mirrored)
    with pytest.raises(InputError, match="its loss is that of a whole batch"):
        strategy.team_for(dcca, three)


def test_default_devices_leave_configurations_as_they_were(tmp_path):
    """Only a precision that was asked for, which changes results, is part of a configuration."""
    for paper in ("ave", "eventlayers"):
        plain = experiment(paper, tmp_path).hash
        same = DeviceSettings(strategy="one", jit="off", deterministic=False, wait=7, tf32="off", cache="disk")
        assert experiment(paper, tmp_path, same).hash == plain
        assert experiment(paper, tmp_path, DeviceSettings(precision="float16")).hash != plain
    # The event layers had a precision of their own, which names the runs of earlier versions.
    given = experiment("eventlayers", tmp_path, DeviceSettings(precision="bfloat16")).settings
    assert given["training"]["precision"] == "mixed_bfloat16" and "precision" not in given


@pytest.mark.parametrize(
    ("name", "policy"),
    [("float16", "mixed_float16"), pytest.param("bfloat16", "mixed_bfloat16", marks=pytest.mark.slow)],
)
def test_half_precision_trains_and_scales_the_loss(name, policy, tmp_path):
    own = experiment("eventlayers", tmp_path, DeviceSettings(strategy="one", precision=name), epochs=2)
    model = runs._started(own, 0, strategy.Team("one"))
    assert model.dtype_policy.name == policy and keras.config.dtype_policy().name == "float32"
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == (name == "float16")
    result = runs.run(own, tmp_path / "run", [0])
    assert 0 <= result["test_mean"] <= 1 and result["settings"]["training"]["precision"] == policy


def test_jit_and_determinism_are_settings(tmp_path):
    for jit in ("auto", "off"):
        own = experiment("eventlayers", tmp_path, DeviceSettings(strategy="one", jit=jit))
        assert runs._started(own, 0, strategy.Team("one")).jit_compile is False
    loose = experiment("eventlayers", tmp_path, DeviceSettings(strategy="one", deterministic=False), epochs=1)
    devices = runs.run(loose, tmp_path / "run", [0])["devices"]
    assert devices == {"strategy": "one", "replicas": 1, "workers": 1, "jit": "auto", "deterministic": False}


def test_tf32_is_said_where_a_gpu_multiplies():
    assert strategy.set_tf32(DeviceSettings(tf32="off")) == ""
    assert not tf.config.experimental.tensor_float_32_execution_enabled()
    with with_a_gpu():
        assert "with all 23 bits (--tf32 on is faster)" in strategy.set_tf32(DeviceSettings(tf32="off"))
        assert "in TF32, of 10 bits (--tf32 off keeps" in strategy.set_tf32(DeviceSettings())
        assert tf.config.experimental.tensor_float_32_execution_enabled()
        assert runs._devices(DeviceSettings(tf32="off"), strategy.Team("one"))["tf32"] == "off"


def test_jit_that_cannot_be_is_refused(tmp_path):
    with pytest.raises(InputError, match="^--jit on: TensorFlow has no deterministic XLA; add --no-deterministic"):
        DeviceSettings(jit="on")
    on = DeviceSettings(strategy="one", jit="on", deterministic=False)
    # Every other training of this process was deterministic.
    tf.config.experimental.enable_op_determinism()
    with pytest.warns(UserWarning, match="jit_compile"), pytest.raises(InputError, match="in this process"):
        runs._started(experiment("eventlayers", tmp_path, on), 0, strategy.Team("one"))
    with pytest.raises(InputError, match="^--jit on: GAP is counted outside of TensorFlow"):
        experiment("attendfusion", tmp_path / "records", on)


def test_correlation_is_no_mean_over_videos():
    assert experiment("ave", None).is_mean_of_videos
    pairs = {name: synthetic_pairs(name) for name in ("train", "val", "test")}
    assert not MATCH.experiment(MATCH.settings_for("dcca"), pairs).is_mean_of_videos


def synthetic_pairs(name):
    split = synthetic_split(name)
    rng = np.random.default_rng(0)
    inputs = {
        modality: ArraySource(rng.random((8, 4, channels), "float32"))
        for modality, channels in (("audio", 128), ("visual", 512))
    }
    return dataclasses.replace(split, inputs=inputs, labels=np.tile(np.float32([1, 1, 0, 0]), (8, 1)))
