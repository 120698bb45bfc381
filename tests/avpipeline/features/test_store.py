"""Feature shards: what is written is read, in any order; what a kill or damage leaves is kept or refused."""

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest

from avpipeline.errors import InputError
from avpipeline.features.info import FeatureInfo
from avpipeline.features.shards import ClipRecord, ShardWriter, shard_paths
from avpipeline.features.store import FeatureShards, Manifest, read_manifest, write_manifest

INFOS = {
    "audio": FeatureInfo("small_audio", "embedding", "none", "ab" * 32, (3,)),
    "visual": FeatureInfo("small_visual", "pool5", "none", "cd" * 32, (2, 2, 4)),
}
MANIFEST = Manifest(INFOS, seconds=2)


def clip(index: int) -> tuple[ClipRecord, dict[str, np.ndarray]]:
    rng = np.random.default_rng(index)
    record = ClipRecord(f"clip{index}", f"videos/clip{index}.mp4", 100 + index, index % 2 == 0, True, 1.234, 2.0)
    features = {modality: rng.normal(size=shape).astype(np.float32) for modality, shape in MANIFEST.shapes.items()}
    if not record.has_audio:
        features["audio"][:] = 0
    return record, features


def write(folder, indices, *, shard_size=2, complete=True):
    write_manifest(folder, MANIFEST)
    with ShardWriter(folder, MANIFEST.shapes, shard_size) as writer:
        for index in indices:
            writer.add(*clip(index))
    if complete:
        ids = tuple(f"clip{index}" for index in indices)
        write_manifest(folder, dataclasses.replace(MANIFEST, ids=ids, complete=True))

def test_rows_in_any_order(tmp_path):
    write(tmp_path, range(5))
    assert [path.name for path in shard_paths(tmp_path)] == [f"shard-{index:05d}.h5" for index in range(3)]
    shards = FeatureShards(tmp_path)
    assert shards.ids == ("clip0", "clip1", "clip2", "clip3", "clip4") and len(shards) == 5
    assert shards.features == INFOS and shards.seconds == 2
    assert shards.records[3] == clip(3)[0]
    assert shards.has_audio.tolist() == [True, False, True, False, True] and shards.has_video.all()
    np.testing.assert_allclose(shards.audio_seconds, 1.234)
    rows = np.array([4, 0, 3, 3])
    for modality, source in shards.sources.items():
        assert source.shape == MANIFEST.shapes[modality] and len(source) == 5
        values = source.read(rows)
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, [clip(row)[1][modality] for row in rows])
        assert source.read(rows[:0]).shape == (0, *source.shape)


def test_threads_share_a_source(tmp_path):
    write(tmp_path, range(6), shard_size=3)
    source = FeatureShards(tmp_path).sources["visual"]
    orders = [np.random.default_rng(seed).permutation(6) for seed in range(16)]
    with ThreadPoolExecutor(4) as pool:
        for order, values in zip(orders, pool.map(source.read, orders), strict=True):
            np.testing.assert_array_equal(values, [clip(row)[1]["visual"] for row in order])


def test_a_record_comes_back_as_it_was_written(tmp_path):
    record, features = clip(3)
    record = dataclasses.replace(record, id="Zürich\udcff", path="/vidéos/a\udcff.mp4")
    with ShardWriter(tmp_path, MANIFEST.shapes, 4) as writer:
        writer.add(record, features)
    assert ShardWriter(tmp_path, MANIFEST.shapes, 4).records == [record]


def killed(folder, indices):
    """A folder as a kill leaves it; returns the clips that are not in a shard yet."""
    write_manifest(folder, MANIFEST)
    with pytest.raises(RuntimeError), ShardWriter(folder, MANIFEST.shapes, 4) as writer:
        for index in indices:
            writer.add(*clip(index))
        raise RuntimeError
    return sorted((folder / "unfinished").glob("*.h5"))


@pytest.mark.parametrize(("cut", "kept"), [(None, 7), (1, 6), (300, 6), (10**6, 6)])
def test_whole_clips_survive_a_kill(tmp_path, cut, kept):
    waiting = killed(tmp_path, range(7))
    assert len(waiting) == 3 and [path.name for path in shard_paths(tmp_path)] == ["shard-00000.h5"]
    if cut:
        with open(waiting[-1], "r+b") as file:
            file.truncate(max(0, waiting[-1].stat().st_size - cut))
        (tmp_path / "unfinished" / "partial").write_bytes(b"x")
    with ShardWriter(tmp_path, MANIFEST.shapes, 4) as writer:
        assert [record.id for record in writer.records] == [f"clip{index}" for index in range(kept)]
        for index in range(kept, 9):
            writer.add(*clip(index))
    assert writer.records == [clip(index)[0] for index in range(9)]
    assert [path.name for path in shard_paths(tmp_path)] == [f"shard-{index:05d}.h5" for index in range(3)]
    assert not (tmp_path / "unfinished").exists()
    ids = tuple(f"clip{index}" for index in range(9))
    write_manifest(tmp_path, dataclasses.replace(MANIFEST, ids=ids, complete=True))
    for modality, source in FeatureShards(tmp_path).sources.items():
        np.testing.assert_array_equal(source.read(np.arange(9)), [clip(index)[1][modality] for index in range(9)])


def test_a_kill_between_a_shard_and_its_clips_loses_and_doubles_nothing(tmp_path):
    (waiting,) = killed(tmp_path, [0])
    content = waiting.read_bytes()
    write(tmp_path, [1, 2])
    waiting.parent.mkdir()
    waiting.write_bytes(content)
    with ShardWriter(tmp_path, MANIFEST.shapes, 4) as writer:
        assert [record.id for record in writer.records] == ["clip0", "clip1", "clip2"]
    assert [path.name for path in shard_paths(tmp_path)] == ["shard-00000.h5", "shard-00001.h5"]


def refused(folder, words: str) -> None:
    with pytest.raises(InputError, match=words) as refusal:
        FeatureShards(folder)
    assert "\n" not in str(refusal.value)


def test_folders_that_hold_no_finished_features_are_refused(tmp_path):
    refused(tmp_path, "features.json: there is no such file")
    write(tmp_path, range(3), complete=False)
    refused(tmp_path, "its extraction was not finished")
    (tmp_path / "features.json").write_text('{"schema": 1, "seconds"')
    refused(tmp_path, "features.json: is damaged")
    fields = {"schema": 1, "seconds": 2, "features": {}, "ids": [], "complete": True}
    (tmp_path / "features.json").write_text(json.dumps(fields))
    refused(tmp_path, "is of an earlier version, which kept features in TFRecord files; extract again")
    fields = {"schema": 99, "seconds": 2, "features": {}, "ids": [], "complete": True}
    (tmp_path / "features.json").write_text(json.dumps(fields))
    refused(tmp_path, "has version 99 where 2 is known")


def test_damaged_shards_are_refused_by_name(tmp_path):
    write(tmp_path, range(4))
    shard = tmp_path / "shard-00001.h5"
    content = shard.read_bytes()
    for damaged in (content[:-10], b"x" + content[1:], content[: len(content) // 2], b""):
        shard.write_bytes(damaged)
        refused(tmp_path, "shard-00001.h5: is cut off or damaged")
    shard.unlink()
    refused(tmp_path, "the shard with clip 'clip2' is missing")
    place = content.index(clip(3)[1]["visual"].tobytes())
    shard.write_bytes(content[:place] + b"\0\0\0\0" + content[place + 4 :])
    source = FeatureShards(tmp_path).sources["visual"]
    source.read([2])
    with pytest.raises(InputError, match="shard-00001.h5: the visual features of clip 'clip3' are damaged"):
        source.read([2, 3])
    shard.unlink()
    with pytest.raises(InputError, match="shard-00001.h5: there is no such file"):
        source.read([2])
    assert [record.id for record in ShardWriter(tmp_path, MANIFEST.shapes, 4).records] == ["clip0", "clip1"]


def test_any_flipped_byte_is_noticed_or_without_effect(tmp_path):
    """Nothing but InputError, and never other numbers."""
    write(tmp_path, range(2))
    shard = tmp_path / "shard-00000.h5"
    content = shard.read_bytes()
    noticed = 0
    for position in np.random.default_rng(0).integers(0, len(content), 300):
        flipped = bytearray(content)
        flipped[position] ^= 1 << (position % 8)
        shard.write_bytes(flipped)
        try:
            shards = FeatureShards(tmp_path)
            for modality, source in shards.sources.items():
                np.testing.assert_array_equal(source.read([0, 1]), [clip(row)[1][modality] for row in (0, 1)])
            assert shards.records == (clip(0)[0], clip(1)[0])
        except InputError as error:
            assert str(error).startswith(f"{shard}: ") and "\n" not in str(error)
            noticed += 1
    assert noticed > 50


def test_features_of_other_shapes_are_refused(tmp_path):
    write(tmp_path, range(2))
    other = dataclasses.replace(MANIFEST, seconds=3, ids=("clip0",), complete=True)
    write_manifest(tmp_path, other)
    words = r"shard-00000.h5: its audio features have the shape \(2, 3\) where \(3, 3\)"
    refused(tmp_path, words)
    with pytest.raises(InputError, match=words):
        ShardWriter(tmp_path, other.shapes, 2)


def _linked(file, target):
    file["audio"] = target


HOSTILE = {
    "a soft link": lambda file, values: _linked(file, h5py.SoftLink("/visual")),
    "another file": lambda file, values: _linked(file, h5py.ExternalLink("other.h5", "/audio")),
    "a group": lambda file, values: file.create_group("audio"),
    "another type": lambda file, values: file.create_dataset(
        "audio", data=values.astype("f8"), chunks=(1, 2, 3), fletcher32=True
    ),
    "no checksums": lambda file, values: file.create_dataset("audio", data=values, chunks=(1, 2, 3)),
    "a filter": lambda file, values: file.create_dataset(
        "audio", data=values, chunks=(1, 2, 3), fletcher32=True, compression="gzip"
    ),
    "no chunks": lambda file, values: file.create_dataset("audio", data=values),
    "numbers outside": lambda file, values: file.create_dataset(
        "audio", values.shape, "<f4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)]
    ),
    "a virtual dataset": lambda file, values: file.create_virtual_dataset(
        "audio", h5py.VirtualLayout(values.shape, "<f4")
    ),
    "more than the file can hold": lambda file, values: file.create_dataset(
        "audio", (10**9, 2, 3), "<f4", chunks=(1, 2, 3), fletcher32=True
    ),
    "no numbers": lambda file, values: file.create_dataset(
        "audio", values.shape, "<f4", chunks=(1, 2, 3), fletcher32=True
    ),
    "nothing": lambda file, values: file.create_dataset("audio", data=h5py.Empty("<f4")),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_a_file_asks_for_is_not_done(tmp_path, what):
    write(tmp_path, range(2))
    with h5py.File(tmp_path / "shard-00000.h5", "r+") as file:
        values = file["audio"][()]
        del file["audio"]
        HOSTILE[what](file, values)
    refused(tmp_path, "shard-00000.h5: ")


@pytest.mark.parametrize(
    "text",
    [
        "[1]",
        "{}",
        "[" * 10**5,
        "not JSON",
        '[{"id": "a"}]',
        json.dumps([dict(dataclasses.asdict(clip(0)[0]), id=[])]),
        json.dumps([dict(dataclasses.asdict(clip(0)[0]), audio_seconds=float("nan"))]),
        json.dumps([dataclasses.asdict(clip(index)[0]) for index in range(3)]),
    ],
)
def test_lists_of_clips_that_cannot_be_are_refused(tmp_path, text):
    write(tmp_path, range(2))
    with h5py.File(tmp_path / "shard-00000.h5", "r+") as file:
        del file["clips"]
        data = np.frombuffer(text.encode(), np.uint8)
        file.create_dataset("clips", data=data, chunks=data.shape, fletcher32=True)
    refused(tmp_path, "shard-00000.h5: ")


def test_nan_is_refused_with_file_and_clip(tmp_path):
    write(tmp_path, range(2))
    with h5py.File(tmp_path / "shard-00000.h5", "r+") as file:
        file["audio"][1, 1, 2] = np.nan
    sources = FeatureShards(tmp_path).sources
    sources["visual"].read([0, 1])
    with pytest.raises(InputError, match="shard-00000.h5: the audio features of clip 'clip1' hold NaN"):
        sources["audio"].read([0, 1])


def test_manifest_is_read_as_written(tmp_path):
    manifest = dataclasses.replace(MANIFEST, ids=("a", "b"), complete=True)
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest
