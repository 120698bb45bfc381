"""Ray on this machine with two workers: equal to this process bit by bit, whatever is killed."""

import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from avpipeline.cli import cluster, run
from avpipeline.errors import InputError
from avpipeline.extract import extract
from avpipeline.features.store import FeatureShards
from avpipeline.youtube8m import main as youtube8m
from tests.helpers.youtube8m_files import frame_record, some_videos, write

pytestmark = pytest.mark.distributed
SMALL = "small_visual,small_audio"
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module", autouse=True)
def _installed():
    pytest.importorskip("ray.data", reason="Ray is not installed: pip install -e '.[ray]'")


@pytest.fixture(scope="module")
def clips(reference_dir, tmp_path_factory):
    """The real clips and one file that is none."""
    folder = tmp_path_factory.mktemp("clips") / "media"
    shutil.copytree(reference_dir / "media", folder)
    (folder / "broken.mp4").write_bytes(b"this was a download that failed" * 9)
    return folder


@pytest.fixture(scope="module")
def serial(clips, tmp_path_factory):
    return extract(clips, tmp_path_factory.mktemp("serial"), features=SMALL, shard_size=4)


def content(folder) -> dict[str, bytes]:
    names = [path.name for path in folder.iterdir() if path.suffix in (".h5", ".json")]
    return {name: (folder / name).read_bytes() for name in sorted(names)}


def test_shards_and_report_are_those_of_this_process(clips, serial, tmp_path):
    assert len(content(serial.out)) == 5  # three shards, features.json, failed.json
    made = extract(clips, tmp_path, features=SMALL, shard_size=4, engine="ray", workers=2)
    assert content(tmp_path) == content(serial.out)
    assert sorted(made.notes) == sorted(serial.notes) and made.failed == serial.failed
    again = extract(clips, tmp_path, features=SMALL, shard_size=4, engine="ray", workers=2)
    assert (again.extracted, again.reused) == (0, serial.extracted) and content(tmp_path) == content(serial.out)


def workers_of(process: subprocess.Popen, kind: str) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if " ".join(child.cmdline()).startswith(f"ray::{kind}"):
                found.append(child)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("kind", ["MapWorker", "Map("])
def test_a_killed_worker_loses_nothing(clips, serial, tmp_path, kind):
    """An actor with a network, and a task that decodes."""
    words = [sys.executable, "-m", "avpipeline.extract", str(clips), str(tmp_path), "--features", SMALL]
    words += ["--shard-size", "4", "--engine", "ray", "--workers", "2"]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        victims, until = [], time.monotonic() + 300
        while not victims and process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
            victims = workers_of(process, kind)
        assert victims, process.communicate()[0]
        victims[0].kill()
        told = process.communicate(timeout=300)[0]
    finally:
        process.kill()
    # One of the files is broken.
    assert process.returncode == 2 and "1 could not be used" in told, told
    assert content(tmp_path) == content(serial.out)


def test_youtube8m_on_ray(tmp_path, capsys):
    frames, videos = tmp_path / "frames", tmp_path / "videos"
    for folder in (frames, videos):
        folder.mkdir()
    some_videos(videos)
    for shard in range(3):
        records = [
            frame_record(f"s{shard}v{video}", [video], [[video, 7]] * 3, [[shard, 9, 1]] * 3) for video in range(4)
        ]
        write(frames / f"train{shard}.tfrecord", *records)
    (frames / "train2.tfrecord").write_bytes((frames / "train2.tfrecord").read_bytes()[:-5])
    said = {}
    for engine in ("local", "ray"):
        words = ["std", f"{frames}/*.tfrecord", "--out", f"{tmp_path / engine}", "--skip-corrupt", "--engine", engine]
        assert run(youtube8m, prog="y", argv=words) == 0
        assert run(youtube8m, prog="y", argv=["check", f"{frames}/*.tfrecord", "--engine", engine]) == 2
        assert run(youtube8m, prog="y", argv=["check", f"{videos}/*.tfrecord", "--engine", engine]) == 0
        said[engine] = capsys.readouterr().out.replace(str(tmp_path / engine), "OUT")
    assert said["ray"] == said["local"] and "11 videos in 3 files" in said["ray"]
    for path in sorted((tmp_path / "local").iterdir()):
        assert (tmp_path / "ray" / path.name).read_bytes() == path.read_bytes()


def test_an_error_in_a_worker_is_one_sentence(tmp_path, capsys):
    write(tmp_path / "train0.tfrecord", frame_record("a", [1], [[1, 2]], [[3]]))
    write(tmp_path / "train1.tfrecord", frame_record("b", [1], [[1, 2, 3]], [[3]]))
    words = ["std", f"{tmp_path}/*.tfrecord", "--out", f"{tmp_path / 'out'}", "--engine", "ray"]
    assert run(youtube8m, prog="y", argv=words) == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert "train1.tfrecord: video 'b' has visual features of 3 numbers where 2 are expected" in told


def test_no_cluster_on_this_machine(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    words = "--address auto: there is no Ray cluster that this command can use"
    with pytest.raises(InputError, match=words), cluster.connected("auto"):
        pass


@pytest.mark.parametrize("listening", [False, True])
def test_an_address_without_a_cluster(tmp_path, listening):
    """Nothing there, and something that accepts and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{server.getsockname()[1]}"
        if listening:
            server.listen()
        started = time.monotonic()
        words = f"--address {address}: there is no Ray cluster"
        with pytest.raises(InputError, match=words), cluster.connected(address, patience=20):
            pass
        assert time.monotonic() - started < 40


def test_json_is_as_in_this_process(serial):
    """What `content` compares: the list of bad clips."""
    assert [Path(name).name for name in json.loads((serial.out / "failed.json").read_text())] == ["broken.mp4"]


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def test_a_cluster_that_is_there(tmp_path, capsys):
    some_videos(tmp_path)
    port = free_port()
    words = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus", "2"]
    words += ["--port", str(port), "--include-dashboard", "false", "--disable-usage-stats"]
    # Ports that are named are not waited for.
    for name in ("dashboard-agent-grpc", "dashboard-agent-listen", "metrics-export", "runtime-env-agent"):
        words += [f"--{name}-port", str(free_port())]
    # Without a token, which a command would have to bring.
    head = subprocess.Popen(words, stdout=subprocess.DEVNULL, env={**os.environ, "RAY_AUTH_MODE": "disabled"})
    try:
        until = time.monotonic() + 120
        address = f"127.0.0.1:{port}"
        check = ["check", f"{tmp_path}/train*", "--engine", "ray", "--address", address]
        while (status := run(youtube8m, prog="y", argv=check)) and time.monotonic() < until and head.poll() is None:
            time.sleep(1)
        assert status == 0 and "15 usable videos" in capsys.readouterr().out
    finally:
        head.terminate()
        head.wait(timeout=60)


def test_urls_are_read_by_the_workers_and_written_by_the_command(clips, serial, tmp_path):
    settings = {"features": SMALL, "shard_size": 4, "engine": "ray", "workers": 2}
    made = extract(f"file://{clips}", f"file://{tmp_path}/out", **settings)
    assert made.failed == {f"file://{path}": f"file://{told}" for path, told in serial.failed.items()}
    assert sorted(made.notes) == sorted(f"file://{note}" for note in serial.notes)
    ours, theirs = FeatureShards(tmp_path / "out"), FeatureShards(serial.out)
    records = [dataclasses.replace(record, path=record.path.removeprefix("file://")) for record in ours.records]
    assert ours.ids == theirs.ids and records == [*theirs.records]
    for modality, source in ours.sources.items():
        rows = np.arange(len(ours))
        np.testing.assert_array_equal(source.read(rows), theirs.sources[modality].read(rows))
    extract(clips, f"file://{tmp_path}/bytes", **settings)
    assert content(tmp_path / "bytes") == content(serial.out)
