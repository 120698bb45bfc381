"""Feature shards: what is written is read, in any order; what a kill or damage leaves is kept or refused."""

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

from avpipeline.errors import InputError
from avpipeline.features.info import FeatureInfo
from avpipeline.features.shards import ClipRecord, ShardWriter, decode, encode, salvage, shard_paths
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
    return writer.entries


def test_rows_in_any_order(tmp_path):
    write(tmp_path, range(5))
    assert [path.name for path in shard_paths(tmp_path)] == [f"shard-{index:05d}.tfrecord" for index in range(3)]
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


def test_tf_data_reads_the_records(tmp_path):
    write(tmp_path, [0], shard_size=1)
    schema = {
        "id": tf.io.FixedLenFeature([], tf.string),
        "has_audio": tf.io.FixedLenFeature([], tf.int64),
        "audio_seconds": tf.io.FixedLenFeature([], tf.float32),
        "visual": tf.io.FixedLenFeature([], tf.string),
        "visual/shape": tf.io.FixedLenFeature([4], tf.int64),
    }
    dataset = tf.data.TFRecordDataset(str(tmp_path / "shard-00000.tfrecord"))
    (example,) = [tf.io.parse_single_example(data, schema) for data in dataset]
    values = tf.reshape(tf.io.decode_raw(example["visual"], tf.float32), example["visual/shape"])
    np.testing.assert_array_equal(values, clip(0)[1]["visual"])
    assert example["id"] == b"clip0" and example["has_audio"] == 1
    np.testing.assert_allclose(example["audio_seconds"], 1.234)


def test_a_record_is_decoded_as_it_was_encoded():
    record, features = clip(3)
    record = dataclasses.replace(record, id="Zürich\udcff", path="/vidéos/a\udcff.mp4")
    decoded, arrays = decode(encode(record, features))
    assert decoded == record
    for modality, array in features.items():
        np.testing.assert_array_equal(arrays[modality], array)


def killed(folder, indices, *, cut: int):
    """A folder as a kill leaves it: the last shard partial, and its last `cut` bytes not yet written."""
    write_manifest(folder, MANIFEST)
    with pytest.raises(RuntimeError), ShardWriter(folder, MANIFEST.shapes, 4) as writer:
        for index in indices:
            writer.add(*clip(index))
        raise RuntimeError
    partial = shard_paths(folder)[-1]
    assert partial.name.endswith(".tfrecord.partial")
    with open(partial, "r+b") as file:
        file.truncate(max(0, partial.stat().st_size - cut))


@pytest.mark.parametrize(("cut", "kept"), [(0, 7), (1, 6), (4, 6), (300, 6), (600, 5), (10**6, 4)])
def test_whole_records_survive_a_kill(tmp_path, cut, kept):
    killed(tmp_path, range(7), cut=cut)
    entries = salvage(tmp_path, MANIFEST.shapes)
    assert [entry.record.id for entry in entries] == [f"clip{index}" for index in range(kept)]
    assert not list(tmp_path.glob("*.partial"))
    assert salvage(tmp_path, MANIFEST.shapes) == entries
    with ShardWriter(tmp_path, MANIFEST.shapes, 4) as writer:
        for index in range(kept, 9):
            writer.add(*clip(index))
    ids = tuple(f"clip{index}" for index in range(9))
    write_manifest(tmp_path, dataclasses.replace(MANIFEST, ids=ids, complete=True))
    for modality, source in FeatureShards(tmp_path).sources.items():
        np.testing.assert_array_equal(source.read(np.arange(9)), [clip(index)[1][modality] for index in range(9)])


def test_a_shard_without_its_list_is_read_through(tmp_path):
    entries = write(tmp_path, range(4))
    (tmp_path / "shard-00001.json").unlink()
    np.testing.assert_array_equal(FeatureShards(tmp_path).sources["audio"].read([2])[0], clip(2)[1]["audio"])
    assert salvage(tmp_path, MANIFEST.shapes) == entries
    assert (tmp_path / "shard-00001.json").exists()


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
    fields = {"schema": 99, "seconds": 2, "features": {}, "ids": [], "complete": True}
    (tmp_path / "features.json").write_text(json.dumps(fields))
    refused(tmp_path, "has version 99 where 1 is known")


def test_damaged_shards_are_refused_by_name(tmp_path):
    write(tmp_path, range(4))
    shard = tmp_path / "shard-00001.tfrecord"
    content = shard.read_bytes()
    shard.write_bytes(content[:-10])
    refused(tmp_path, "shard-00001.tfrecord: is cut off or damaged after clip 'clip2'")
    shard.write_bytes(b"x" + content[1:-1])
    refused(tmp_path, "shard-00001.tfrecord: is cut off or damaged at its first clip")
    shard.unlink()
    refused(tmp_path, "the shard with clip 'clip2' is missing")
    place = content.index(clip(3)[1]["visual"].tobytes())
    shard.write_bytes(content[:place] + b"\0\0\0\0" + content[place + 4 :])
    source = FeatureShards(tmp_path).sources["visual"]
    source.read([2])
    with pytest.raises(InputError, match="shard-00001.tfrecord: the visual features of clip 'clip3' are damaged"):
        source.read([2, 3])
    shard.unlink()
    assert [entry.record.id for entry in salvage(tmp_path, MANIFEST.shapes)] == ["clip0", "clip1"]


def test_features_of_other_shapes_are_refused(tmp_path):
    write(tmp_path, range(2))
    other = dataclasses.replace(MANIFEST, seconds=3, ids=("clip0",), complete=True)
    write_manifest(tmp_path, other)
    words = r"shard-00000.tfrecord: the audio features of clip 'clip0' have the shape \(2, 3\) where \(3, 3\)"
    refused(tmp_path, words)
    (tmp_path / "shard-00000.json").unlink()
    refused(tmp_path, words)
    with pytest.raises(InputError, match=words):
        salvage(tmp_path, other.shapes)


def test_nan_is_refused_with_file_and_clip(tmp_path):
    write_manifest(tmp_path, dataclasses.replace(MANIFEST, ids=("clip0", "clip1"), complete=True))
    with ShardWriter(tmp_path, MANIFEST.shapes, 9) as writer:
        writer.add(*clip(0))
        record, features = clip(1)
        features["audio"][1, 2] = np.nan
        writer.add(record, features)
    sources = FeatureShards(tmp_path).sources
    sources["visual"].read([0, 1])
    with pytest.raises(InputError, match="shard-00000.tfrecord: the audio features of clip 'clip1' hold NaN"):
        sources["audio"].read([0, 1])


def test_records_of_something_else_are_refused(tmp_path):
    write_manifest(tmp_path, MANIFEST)
    with tf.io.TFRecordWriter(str(tmp_path / "shard-00000.tfrecord")) as writer:
        writer.write(tf.train.Example().SerializeToString())
    with pytest.raises(InputError, match="shard-00000.tfrecord: holds a record of something else"):
        salvage(tmp_path, MANIFEST.shapes)


def test_manifest_is_read_as_written(tmp_path):
    manifest = dataclasses.replace(MANIFEST, ids=("a", "b"), complete=True)
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest
