"""Extraction: features of real files, kill and resume, bad clips, full disks, other settings, HDF5."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
import soundfile

from ave import train as ave_train
from avpipeline.cli import run
from avpipeline.datasets import load_split
from avpipeline.errors import InputError
from avpipeline.extract import extract, main
from avpipeline.features import extraction, registry
from avpipeline.features.registry import build_extractor
from avpipeline.features.shards import shard_paths
from avpipeline.features.store import FeatureShards, read_manifest
from avpipeline.media import SAMPLE_RATE, read_clip, read_frames, read_waveform, tfio, write_clip
from tests.helpers.ave_files import write_ave_folder
from tests.helpers.unreadable import unreadable

SMALL = "small_visual,small_audio"
SECONDS = 2


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Eight clips: c3 has no sound, c5 is 1.25 s long, c6 is not a media file."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    for index in range(8):
        seconds = 1.25 if index == 5 else SECONDS
        frames = np.repeat(rng.integers(0, 256, (int(seconds * 8), 4, 4, 3)), 12, axis=1).repeat(12, axis=2)
        sound = None if index == 3 else rng.normal(0, 0.1, int(seconds * 16000))
        write_clip(folder / f"c{index}.mp4", frames.astype(np.uint8), sound, frame_rate=8)
    (folder / "c6.mp4").write_bytes(b"this was a download that failed" * 9)
    return folder


@pytest.fixture(scope="module")
def finished(clips, tmp_path_factory):
    """The summary of an uninterrupted run."""
    return extract(clips, tmp_path_factory.mktemp("features"), features=SMALL, seconds=SECONDS, shard_size=3)


def rows(folder) -> dict[str, np.ndarray]:
    shards = FeatureShards(folder)
    return {modality: source.read(np.arange(len(shards))) for modality, source in shards.sources.items()}


def assert_same_features(folder, other) -> None:
    assert FeatureShards(folder).records == FeatureShards(other).records
    for (modality, values), expected in zip(rows(folder).items(), rows(other).values(), strict=True):
        np.testing.assert_array_equal(values, expected, err_msg=modality)


def test_features_are_those_of_the_networks(clips, finished):
    shards = FeatureShards(finished.out)
    assert shards.ids == ("c0", "c1", "c2", "c3", "c4", "c5", "c7")
    audio, visual = build_extractor("small_audio"), build_extractor("small_visual")
    assert shards.features == {"audio": audio.info, "visual": visual.info}
    frames = read_frames(clips / "c4.mp4", frame_rate=4, size=(64, 64), seconds=SECONDS)
    values = rows(finished.out)
    np.testing.assert_array_equal(values["visual"][4], visual(frames.reshape(SECONDS, 4, 64, 64, 3)))
    sound = read_waveform(clips / "c4.mp4", seconds=SECONDS)
    np.testing.assert_array_equal(values["audio"][4], audio(sound.reshape(SECONDS, 16000)))
    assert values["audio"][4].any() and values["visual"][4].any()


def test_missing_streams_and_short_clips_are_flagged(finished):
    shards = FeatureShards(finished.out)
    assert shards.has_audio.tolist() == [True, True, True, False, True, True, True]
    assert shards.has_video.all()
    assert not rows(finished.out)["audio"][3].any()
    assert shards.audio_seconds[3] == 0 and shards.video_seconds[3] == SECONDS
    np.testing.assert_allclose((shards.audio_seconds[5], shards.video_seconds[5]), 1.25, atol=0.05)


def test_a_bad_clip_is_reported_and_does_not_stop_the_run(clips, finished):
    assert (finished.extracted, finished.reused) == (7, 0)
    (path,) = finished.failed
    assert path == str(clips / "c6.mp4") and finished.failed[path].startswith(f"{path}: is not a media file")
    assert json.loads((finished.out / "failed.json").read_text()) == dict(finished.failed)
    text = finished.text()
    assert "7 clips of 2 s" in text and "1 could not be used" in text and finished.failed[path] in text
    speeds = finished.timing.speeds()
    assert speeds.keys() == {"decode", "audio", "visual", "write", "all"} and min(speeds.values()) > 0
    assert finished.timing.media["audio"] == 6 * SECONDS and finished.timing.media["visual"] == 7 * SECONDS
    assert all(f"{part} " in text for part in speeds)


# A network that takes long enough for a kill between two clips.
SLOW = """
import sys, time
from avpipeline.extract import extract
from avpipeline.features import registry
quick = registry.clip_features
def slow(extractors, clip):
    time.sleep(0.2)
    return quick(extractors, clip)
registry.clip_features = slow
extract(sys.argv[1], sys.argv[2], features="small_visual,small_audio", seconds=2, shard_size=3)
"""


def stored_clips(out) -> int:
    """Clips that are whole on disk, in shards or still outside; at the end of a shard they are in both."""
    ids = set()
    for path in (*(out / "unfinished").glob("[0-9]*.h5"), *shard_paths(out)):
        with contextlib.suppress(FileNotFoundError), h5py.File(path) as file:
            ids |= {record["id"] for record in json.loads(file["clips"][()].tobytes())}
    return len(ids)


@pytest.mark.parametrize("count", [pytest.param(2, marks=pytest.mark.slow), 4])
def test_kill_and_resume(clips, finished, tmp_path, count):
    """Killed with two clips outside of shards, and with a finished shard and at least one clip outside.

    What is stored cannot be decoded again.
    """
    process = subprocess.Popen([sys.executable, "-c", SLOW, clips, tmp_path], stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 120
        while stored_clips(tmp_path) < count and time.monotonic() < until:
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL
    stored = stored_clips(tmp_path)
    assert count <= stored < 7
    with pytest.raises(InputError, match="not finished"):
        FeatureShards(tmp_path)
    with unreadable(*(clips / f"c{index}.mp4" for index in range(stored))):
        summary = extract(clips, tmp_path, features=SMALL, seconds=SECONDS, shard_size=3)
    assert (summary.reused, summary.extracted) == (stored, 7 - stored)
    assert_same_features(tmp_path, finished.out)


def test_a_finished_run_is_not_done_again(clips, finished):
    before = {path.name: path.read_bytes() for path in shard_paths(finished.out)}
    (clips / "c6.mp4").rename(clips / "c6.part")
    try:
        with unreadable(*clips.glob("*.mp4")):
            summary = extract(clips, finished.out, features=SMALL, seconds=SECONDS)
    finally:
        (clips / "c6.part").rename(clips / "c6.mp4")
    assert (summary.reused, summary.extracted, dict(summary.failed)) == (7, 0, {})
    assert before == {path.name: path.read_bytes() for path in shard_paths(finished.out)}
    assert not (finished.out / "failed.json").exists()
    extract(clips, finished.out, features=SMALL, seconds=SECONDS)
    assert (finished.out / "failed.json").exists()


def test_further_clips_are_added(clips, finished, tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(str(clips / f"c{index}.mp4") for index in (4, 0)))
    extract(listed, tmp_path / "out", features=SMALL, seconds=SECONDS)
    assert FeatureShards(tmp_path / "out").ids == ("c4", "c0")
    extract(clips, tmp_path / "out", features=SMALL, seconds=SECONDS)
    assert_same_features(tmp_path / "out", finished.out)
    extract(clips / "c1.mp4", tmp_path / "out", features=SMALL, seconds=SECONDS)
    assert FeatureShards(tmp_path / "out").ids == FeatureShards(finished.out).ids
    write_clip(tmp_path / "another.mp4", np.zeros((8, 16, 16, 3), np.uint8), np.zeros(16000), frame_rate=8)
    extract(tmp_path / "another.mp4", tmp_path / "out", features=SMALL, seconds=SECONDS)
    assert FeatureShards(tmp_path / "out").ids == (*FeatureShards(finished.out).ids, "another")


def test_the_hdf5_form_of_ave(clips, finished, tmp_path):
    summary = extract(clips, tmp_path, features=SMALL, seconds=SECONDS, format="h5")
    expected = rows(finished.out)
    for modality, values in expected.items():
        with h5py.File(tmp_path / f"{modality}_feature.h5") as file:
            np.testing.assert_array_equal(file["avadataset"][()], values)
    manifest = read_manifest(tmp_path)
    assert manifest.ids == FeatureShards(finished.out).ids and manifest.features == summary.features


def test_one_modality(clips, tmp_path):
    extract(clips / "c0.mp4", tmp_path, features=["small_audio"], seconds=1)
    shards = FeatureShards(tmp_path)
    assert list(shards.sources) == ["audio"] and shards.sources["audio"].shape == (1, 128)
    assert shards.has_audio[0] and shards.has_video[0]


def test_other_settings_in_the_same_folder_are_refused(clips, finished):
    for changes, words in (
        ({"seconds": 1}, "clips of 2 s where 1 s are asked for"),
        ({"features": "small_visual"}, "audio: none is asked for"),
        ({"features": "small_visual,vggish:conv4_2", "weights": "none"}, "audio: extractor small_audio where vgg"),
    ):
        with pytest.raises(InputError, match=words) as refusal:
            extract(clips, finished.out, **{"features": SMALL, "seconds": SECONDS, **changes})
        assert str(refusal.value).startswith(f"{finished.out}: already holds other features")


def test_another_file_of_the_same_name_is_refused(clips, finished, tmp_path):
    (tmp_path / "c0.mp4").write_bytes((clips / "c1.mp4").read_bytes() + b"\0")
    with pytest.raises(InputError, match="c0.mp4: is not the file that 'c0' in .* was made from"):
        extract(tmp_path, finished.out, features=SMALL, seconds=SECONDS)


def test_requests_that_cannot_be_met_are_refused(clips, tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("c0.mp4", "a/c0.wav"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "weights.h5").touch()
    for changes, words in (
        ({"source": tmp_path}, "c0.mp4: would have the same id 'c0' as .*c0.wav"),
        ({"source": tmp_path / "missing"}, "missing: "),
        ({"features": " , "}, "features: none are named"),
        ({"features": "small_visual,vgg19", "weights": "none"}, "vgg19: gives visual features, as small_visual"),
        ({"weights": tmp_path / "weights.h5"}, "one weight file cannot serve small_visual and small_audio"),
        ({"weights": tmp_path}, "is a folder; give it as the folder of weights"),
        ({"seconds": 0}, "must be at least 1"),
        ({"workers": 0}, "must be at least 1"),
        ({"out": clips / "c0.mp4"}, "a file of that name is in the way"),
    ):
        with pytest.raises(InputError, match=words):
            extract(**{"source": clips, "out": tmp_path / "out", "features": SMALL, **changes})
    assert not (tmp_path / "out").exists()


def test_shards_of_unknown_features_are_refused(clips, tmp_path):
    (tmp_path / "shard-00000.h5").touch()
    with pytest.raises(InputError, match="holds shards but no features.json"):
        extract(clips, tmp_path, features=SMALL)


def test_one_process_at_a_time(clips, tmp_path):
    holder = "import sys, time\nfrom avpipeline.files import locked\n"
    holder += "with locked(sys.argv[1] + '/extraction'):\n print('held', flush=True)\n time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", holder, tmp_path], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match="another process is working there"):
            extract(clips, tmp_path, features=SMALL, seconds=SECONDS)
    finally:
        process.kill()
        process.wait()
    assert extract(clips, tmp_path, features=SMALL, seconds=SECONDS).extracted == 7


@pytest.mark.slow
def test_a_disk_that_fills_up(clips, finished, tmp_path):
    """A limit on the size of a file stands in for the disk: the sentence, then the run goes on from there."""
    code = "import resource, signal, sys\nfrom avpipeline.cli import run\nfrom avpipeline.extract import main\n"
    code += "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    code += "resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))\n"
    code += "raise SystemExit(run(main, prog='extract'))"
    command = [sys.executable, "-c", code, clips, tmp_path, "--features", SMALL, "--seconds", str(SECONDS)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith(f"extract: error: {tmp_path}/shard-00000.h5: cannot be written")
    assert "Traceback" not in result.stderr
    summary = extract(clips, tmp_path, features=SMALL, seconds=SECONDS)
    assert summary.reused >= 1 and summary.reused + summary.extracted == 7
    assert_same_features(tmp_path, finished.out)


def test_command_line(clips, tmp_path, capsys):
    arguments = [str(clips / "c0.mp4"), str(tmp_path / "out"), "--features", "small_audio", "--seconds", "1"]
    assert run(main, prog="extract", argv=arguments) == 0
    assert "out: 1 clips of 1 s" in capsys.readouterr().out
    bad = [str(clips / "c6.mp4"), str(tmp_path / "none"), "--features", "small_audio"]
    assert run(main, prog="extract", argv=bad) == 2
    assert "c6.mp4: is not a media file" in capsys.readouterr().out
    with pytest.raises(InputError, match="not finished"):
        FeatureShards(tmp_path / "none")
    if os.geteuid() != 0:
        return
    assert run(main, prog="extract", argv=[str(clips), "/proc/out", "--features", "small_audio"]) == 2
    assert "/proc/out: cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["empty", "text", "noise", "cut off", "a damaged middle"])
def test_broken_files_end_in_status_2_and_the_others_are_extracted(clips, tmp_path, capsys, kind):
    """A file that is used as far as it goes is broken too."""
    content = (clips / "c0.mp4").read_bytes()
    noise = np.random.default_rng(0).bytes(len(content))
    half = len(content) // 2
    broken = {
        "empty": b"",
        "text": b"not a film",
        "noise": noise,
        "cut off": content[: int(0.7 * len(content))],
        "a damaged middle": content[: half // 2] + noise[:half] + content[half // 2 + half :],
    }
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "good.mp4").write_bytes(content)
    (tmp_path / "in" / "bad.mp4").write_bytes(broken[kind])
    words = [str(tmp_path / "in"), str(tmp_path / "out"), "--features", SMALL, "--seconds", "2"]
    assert run(main, prog="extract", argv=words) == 2
    assert "good" in FeatureShards(tmp_path / "out").ids and "bad.mp4" in capsys.readouterr().out


def test_audio_files_decoded_inside_tf_data(tmp_path, capsys):
    """`--audio-reader tfio` gives the features of the default reader; files it cannot take are reported."""
    try:
        tfio.tensorflow_io()
    except InputError:
        pytest.skip("tensorflow-io does not work with this TensorFlow")
    (tmp_path / "sounds").mkdir()
    rng = np.random.default_rng(0)
    for name, rate in (("a.wav", 16000), ("b.flac", 44100), ("d.wav", 22050)):
        soundfile.write(tmp_path / "sounds" / name, rng.normal(0, 0.1, (rate, 2)), rate)
    (tmp_path / "sounds" / "c.wav").write_bytes(b"this was a download that failed" * 9)
    arguments = [str(tmp_path / "sounds"), "--features", "small_audio", "--seconds", "2"]
    # c.wav cannot be used, and the status says so.
    assert run(main, prog="extract", argv=[*arguments, str(tmp_path / "pyav")]) == 2
    assert run(main, prog="extract", argv=[*arguments, str(tmp_path / "tfio"), "--audio-reader", "tfio"]) == 2
    assert FeatureShards(tmp_path / "tfio").ids == ("a", "b", "d")
    for expected, record in zip(
        FeatureShards(tmp_path / "pyav").records, FeatureShards(tmp_path / "tfio").records, strict=True
    ):
        assert dataclasses.replace(record, audio_seconds=expected.audio_seconds) == expected
        assert record.audio_seconds == pytest.approx(1, abs=0.01)
    np.testing.assert_allclose(rows(tmp_path / "tfio")["audio"], rows(tmp_path / "pyav")["audio"], atol=1e-3)
    assert "c.wav: is not a media file" in capsys.readouterr().out
    (failed,) = json.loads((tmp_path / "tfio" / "failed.json").read_text())
    assert failed.endswith("c.wav")
    with pytest.raises(InputError, match="audio reader tfio: decodes sound only"):
        extract(tmp_path / "sounds", tmp_path / "out", features=SMALL, audio_reader="tfio")


def test_features_that_are_no_numbers_fail_the_clip(clips):
    """Those of a network whose weights are no numbers."""
    extractor, path = build_extractor("small_audio"), clips / "c1.mp4"
    network = extractor.network.model
    network.set_weights([np.full_like(weights, np.nan) for weights in network.get_weights()])
    clip = read_clip(path, seconds=SECONDS, video=False)
    made = extraction.made_of(extraction.Decoded("c1", path, clip, 1, 0.0), {"audio": extractor})
    assert made.record is None and made.features is None
    assert made.failed.startswith(f"{path}: its audio features hold NaN or infinite numbers; leave it out or")


def test_a_network_that_fails_ends_the_run_in_one_sentence(clips, tmp_path, capsys):
    """It runs in a thread, beside those that decode and the one that writes; what was written before stays."""
    quick = registry.clip_features

    def failing(extractors, clip):
        if clip.path.stem == "c4":
            raise InputError("c4.mp4: no memory is left; take fewer workers.")
        return quick(extractors, clip)

    words = [str(clips), str(tmp_path), "--features", SMALL, "--seconds", str(SECONDS)]
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(registry, "clip_features", failing)
        assert run(main, prog="extract", argv=words) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert said == ["extract: error: c4.mp4: no memory is left; take fewer workers."]
    assert stored_clips(tmp_path) == 4
    assert extract(clips, tmp_path, features=SMALL, seconds=SECONDS).reused == 4


@pytest.mark.slow
def test_vggish_and_vgg19_on_a_clip(clips, tmp_path):
    summary = extract(clips / "c0.mp4", tmp_path, features="vgg19,vggish", weights="none", seconds=1)
    features = rows(tmp_path)
    assert features["audio"].shape == (1, 1, 128) and features["visual"].shape == (1, 1, 7, 7, 512)
    assert features["audio"].std() > 0.1 and features["visual"].std() > 0.1
    assert {info.label for info in summary.features.values()} == {"vggish:embedding_relu", "vgg19:pool5"}


def test_extraction_of_real_clips(reference_dir, tmp_path):
    summary = extract(reference_dir / "media", tmp_path, features=SMALL)
    assert not summary.failed
    shards = FeatureShards(tmp_path)
    flags = {record.id: (record.has_audio, record.has_video) for record in shards.records}
    assert flags["0lFf-HP86Q0"] == (True, True)
    for values in rows(tmp_path).values():
        assert np.isfinite(values).all() and values.any()


@pytest.mark.parametrize("format", ["shards", pytest.param("h5", marks=pytest.mark.slow)])
def test_maps_are_extracted_under_the_name_that_training_reads(format, tmp_path):
    """The supplement's models train on what `extract --features vggish,vggish:pool4` leaves in AVE's folder."""
    clips, folder = tmp_path / "clips", write_ave_folder(tmp_path / "ave", features=())
    clips.mkdir()
    for number in range(5):
        sound = np.random.default_rng(number).normal(0, 0.1, SAMPLE_RATE)
        soundfile.write(clips / f"v{number}.wav", sound, SAMPLE_RATE)
    extract(clips, folder, features="small_audio,vggish:pool4", weights="none", format=format)
    for shard in shard_paths(folder) if format == "h5" else ():
        shard.unlink()
    split = load_split("ave", "train", folder, modalities=["audio", "audio_map"])
    assert [info.label for info in split.features.values()] == ["small_audio:embedding", "vggish:pool4"]
    sound = soundfile.read(clips / "v3.wav", dtype="float32")[0]  # the first training video, the row 4
    expected = build_extractor("vggish:pool4", "none")(sound[np.newaxis])
    np.testing.assert_allclose(split.inputs["audio_map"].read(np.array([0]))[0, :1], expected, atol=1e-5)

    training = ave_train.PAPER.settings_for("amap", dataset="ave", data=folder, out=tmp_path / "run")
    sizes = dataclasses.replace(training.network, lstm_units=2, hidden_units=2)
    short = dataclasses.replace(training.training, epochs=1, batch_size=3)
    trained = ave_train.PAPER.train(dataclasses.replace(training, network=sizes, training=short))
    assert trained.result["features"]["audio_map"]["variant"] == "pool4"


def test_of_a_longer_clip_the_first_ten_seconds_are_taken(tmp_path):
    """As of UCF51's longer clips."""
    sound = np.random.default_rng(0).normal(0, 0.1, 12 * SAMPLE_RATE).astype("float32")
    soundfile.write(tmp_path / "long.wav", sound, SAMPLE_RATE, subtype="FLOAT")
    extract(tmp_path / "long.wav", tmp_path / "out", features="small_audio")
    (features,) = FeatureShards(tmp_path / "out").sources["audio"].read(np.array([0]))
    expected = build_extractor("small_audio")(sound[: 10 * SAMPLE_RATE].reshape(10, SAMPLE_RATE))
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-5)


def test_motion_has_a_name_of_its_own(clips, tmp_path):
    extract(clips / "c0.mp4", tmp_path, features="small_visual,small_motion", seconds=1, format="h5")
    assert set(FeatureShards(tmp_path).sources) == {"motion", "visual"}
    assert (tmp_path / "c3d_feature.h5").exists() and (tmp_path / "visual_feature.h5").exists()


def test_networks_of_other_frame_sizes_need_folders_of_their_own(clips, tmp_path):
    with pytest.raises(InputError, match="small_motion, vgg19: take frames of different sizes"):
        extract(clips / "c0.mp4", tmp_path, features="small_motion,vgg19", weights="none", seconds=1)


def test_sound_resampled_second_by_second_needs_a_folder_of_its_own(clips, tmp_path):
    with pytest.raises(InputError, match="take sound that is resampled in different ways; extract each into a folder"):
        extract(clips / "c0.mp4", tmp_path, features="vggish:conv4_2,vggish:pool4", weights="none", seconds=1)
