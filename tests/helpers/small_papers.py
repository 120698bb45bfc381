"""A small experiment of each paper, without dropout, and a process of its own in which some devices train it.

`python -m tests.helpers.small_papers OUT DEVICES PAPER ...` trains into OUT/PAPER; DEVICES are fields of
`DeviceSettings` as JSON, and "virtual" is the number of virtual CPU devices.
"""

import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import avpipeline  # noqa: F401  first: it quiets TensorFlow's start

# isort: split
import tensorflow as tf

from attendfusion.train import PAPER as ATTENDFUSION
from ave.train import PAPER as AVE
from avpipeline.training import runs
from avpipeline.training.experiment import Experiment
from avpipeline.training.settings import DeviceSettings
from eventlayers.train import PAPER as EVENTLAYERS
from jca.train import PAPER as JCA
from mafnet.train import PAPER as MAFNET
from tests.helpers.attendfusion_records import records, write_folder
from tests.helpers.imports import PAPERS, ROOT
from tests.helpers.mafnet_data import NARROW, video_splits
from tests.helpers.synthetic import synthetic_splits
from tests.helpers.synthetic_time_steps import time_step_splits

# Four videos at a time: one step an epoch. JCA alone also trains on the other three, two on one device and one on
# the other.
VIDEOS = {"train": 7, "val": 5, "test": 5}
TRAINING = {"batch_size": 4, "epochs": 5, "validate_every": 1}
NETWORKS = {
    "ave": {"attention_units": 6, "lstm_units": 4, "hidden_units": 5},
    "mafnet": NARROW,
    "jca": {
        **{"video_size": 6, "audio_size": 6, "num_layers": 1, "recursions": 2},
        **{"recurrent_dropout": 0.0, "dropout": 0.0},
    },
    "attendfusion": {"width": 8, "dropout": 0.0},
    "eventlayers": {},
}


def experiment(paper: str, folder: Path, devices: DeviceSettings | None = None, **training) -> Experiment:
    """Args:
    folder: for YouTube-8M's files.
    training: fields of the training settings to replace.
    """
    own = {"ave": AVE, "mafnet": MAFNET, "jca": JCA, "attendfusion": ATTENDFUSION, "eventlayers": EVENTLAYERS}[paper]
    settings = own.settings_for(own.settings().model, dataset="youtube8m" if paper == "attendfusion" else "rendered")
    draws = {"prob_image": 0.3, "prob_all": 0.4} if paper == "mafnet" else {}
    settings = dataclasses.replace(
        settings,
        network=dataclasses.replace(settings.network, **NETWORKS[paper]),
        training=dataclasses.replace(settings.training, **{**TRAINING, **draws, **training}),
        devices=devices or DeviceSettings(strategy="one"),
    )
    return own.experiment(settings, _splits(paper, folder))


def _splits(paper: str, folder: Path):
    if paper == "attendfusion":
        return records(folder if folder.is_dir() else write_folder(folder, sizes=tuple(VIDEOS.values())))
    if paper == "eventlayers":
        return time_step_splits(videos=VIDEOS["train"])
    return video_splits(**VIDEOS) if paper == "mafnet" else synthetic_splits(**VIDEOS)


def free_ports(count: int) -> list[int]:
    """Ports of this machine on which nothing listens."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


def cluster(ports: Sequence[int], index: int) -> str:
    """The value of TF_CONFIG for one of several workers on this machine."""
    workers = [f"127.0.0.1:{port}" for port in ports]
    return json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}})


def start(out: Path, devices: dict, papers: Sequence[str] = PAPERS, **environment: str) -> subprocess.Popen:
    """Trains in a process of its own."""
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    own = {**os.environ, "PYTHONPATH": paths, "CUDA_VISIBLE_DEVICES": "", **environment}
    words = [sys.executable, "-m", "tests.helpers.small_papers", str(out), json.dumps(devices), *papers]
    return subprocess.Popen(words, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def main(out: str, devices: str, *papers: str) -> None:
    fields = json.loads(devices)
    virtual = [tf.config.LogicalDeviceConfiguration()] * fields.pop("virtual", 1)
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], virtual)
    training = {name: fields.pop(name) for name in ("epsilon", "epochs") if name in fields}
    for paper in papers:
        given = training if paper != "eventlayers" else {k: v for k, v in training.items() if k != "epsilon"}
        own = experiment(paper, Path(out).parent / "records", DeviceSettings(**fields), **given)
        result = runs.run(own, Path(out) / paper, [0])
        print(paper, result["devices"], result["test_mean"], flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
