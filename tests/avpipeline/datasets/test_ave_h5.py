import pickle
import resource
import subprocess
import sys
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest

from avpipeline.datasets.ave_h5 import H5Source, read_h5_array, write_ave_h5
from avpipeline.datasets.base import ArraySource, Split
from avpipeline.datasets.batches import batches
from avpipeline.errors import InputError
from avpipeline.features.info import FeatureInfo
from tests.helpers.ave_files import write_h5

INFO = FeatureInfo("vggish", "embedding_relu", "none", "c" * 64, (3,))


@pytest.fixture
def values():
    return np.random.default_rng(1).standard_normal((9, 2, 3))


@pytest.mark.parametrize("number_type", ["float64", "float32", "float16", "int64"])
def test_rows_come_in_the_order_asked_for_as_float32(tmp_path, values, number_type):
    stored = (values * 100).astype(number_type)
    write_h5(tmp_path / "a.h5", stored)
    source = H5Source(tmp_path / "a.h5")
    assert (len(source), source.shape, source.number_type) == (9, (2, 3), number_type)
    rows = np.array([8, 0, 3, 3, 1])
    read = source.read(rows)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, stored[rows].astype(np.float32))
    assert source.read(rows[:0]).shape == (0, 2, 3)


def test_the_shape_of_a_row_is_checked(tmp_path, values):
    write_h5(tmp_path / "a.h5", values)
    H5Source(tmp_path / "a.h5", shape=(2, None))
    with pytest.raises(InputError, match=r"a\.h5: rows of 'avadataset' have the shape \(2, 3\) where \(any, 4\)"):
        H5Source(tmp_path / "a.h5", shape=(None, 4))
    with pytest.raises(InputError, match=r"where \(2\) is needed"):
        H5Source(tmp_path / "a.h5", shape=(2,))


def write_group(path):
    with h5py.File(path, "w") as file:
        file.create_group("avadataset")


def write_truncated(path):
    write_h5(path, np.zeros((100, 50)))
    path.write_bytes(path.read_bytes()[:9000])


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "no such file"),
        (lambda path: path.write_text("not HDF5"), "not a complete HDF5 file"),
        (lambda path: path.write_bytes(b""), "not a complete HDF5 file"),
        (write_truncated, "not a complete HDF5 file"),
        (lambda path: write_h5(path, np.zeros((2, 3)), "labels"), "has no dataset 'avadataset' .found: 'labels'"),
        (lambda path: h5py.File(path, "w").close(), "found: nothing"),
        (write_group, "has no dataset 'avadataset'"),
        (lambda path: write_h5(path, np.array([b"a", b"b"])), "not a table of numbers"),
        (lambda path: write_h5(path, 5.0), "not a table of numbers"),
    ],
)
def test_other_files_are_refused_by_one_sentence_that_names_them(tmp_path, write, words):
    path = tmp_path / "a.h5"
    write(path)
    with pytest.raises(InputError, match=words) as caught:
        H5Source(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 1e300])
def test_numbers_that_are_not_finite_float32_are_refused(tmp_path, values, number):
    values[4, 1, 2] = number
    write_h5(tmp_path / "a.h5", values)
    source = H5Source(tmp_path / "a.h5")
    assert source.read(np.array([3, 5])).shape == (2, 2, 3)
    with pytest.raises(InputError, match=r"a\.h5: row 4 of 'avadataset' holds NaN or infinite numbers"):
        source.read(np.array([3, 4]))


def test_a_damaged_row_is_named(tmp_path):
    path = tmp_path / "a.h5"
    rows = np.arange(40.0).reshape(4, 10)
    with h5py.File(path, "w") as file:
        file.create_dataset("avadataset", data=rows, chunks=(1, 10), fletcher32=True)
    content = path.read_bytes()
    path.write_bytes(content.replace(rows[2].tobytes(), rows[3].tobytes()))
    source = H5Source(path)
    np.testing.assert_array_equal(source.read(np.array([3, 1])), rows[[3, 1]])
    with pytest.raises(InputError, match="row 2 of 'avadataset' cannot be read") as caught:
        source.read(np.array([2]))
    assert "\n" not in str(caught.value)


def test_threads_share_a_source_and_a_pickled_one_opens_its_own_file(tmp_path):
    rows = np.arange(2000.0).reshape(200, 10)
    write_h5(tmp_path / "a.h5", rows)
    source = pickle.loads(pickle.dumps(H5Source(tmp_path / "a.h5")))
    right = []

    def work(seed):
        for _ in range(20):
            chosen = np.random.default_rng(seed).integers(0, 200, 16)
            right.append(bool((source.read(chosen) == rows[chosen]).all()))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 80


def test_a_forked_worker_reads_on(tmp_path):
    rows = np.arange(20000.0).reshape(200, 100)
    write_h5(tmp_path / "a.h5", rows)
    program = f"""
import multiprocessing, numpy, sys
from avpipeline.datasets.ave_h5 import H5Source
source = H5Source({str(tmp_path / "a.h5")!r})
source.read(numpy.arange(3))
def first(row):
    return float(source.read(numpy.array([row]))[0, 0])
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(first, range(200)) == [100.0 * row for row in range(200)]
assert first(7) == 700
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc (Linux)")
def test_a_large_file_streams_at_bounded_memory(tmp_path):
    """300 MB of features, in random order, without 120 MB more memory."""
    shape, count = (10, 7, 7, 512), 300
    with h5py.File(tmp_path / "a.h5", "w") as file:
        table = file.create_dataset("avadataset", (count, *shape), np.float32)
        for row in range(count):
            table[row] = row
    split = Split(
        dataset="made",
        name="train",
        ids=tuple(map(str, range(count))),
        class_names=("a",),
        inputs={"visual": H5Source(tmp_path / "a.h5", shape=shape)},
        labels=np.arange(count, dtype=np.float32)[:, None],
        features={},
    )
    iterator = iter(batches(split, 8, shuffle=True))
    next(iterator)
    before, most, seen = resident_bytes(), 0, 8
    for inputs, labels in iterator:
        np.testing.assert_array_equal(inputs["visual"][:, -1, -1, -1, -1], labels[:, 0])
        most, seen = max(most, resident_bytes() - before), seen + len(labels)
    assert seen == count
    assert most < 120e6


def test_written_files_have_the_authors_layout_and_say_what_they_are(tmp_path):
    audio = np.random.default_rng(0).random((40, 10, 3), np.float32)
    visual = np.random.default_rng(1).random((40, 10, 2, 2, 5), np.float32)
    infos = {"audio": INFO, "visual": FeatureInfo("vgg19", "pool5", "imagenet", "d" * 64, (2, 2, 5))}
    ids = [f"vidéo-{row}" for row in range(40)]
    sources = {"audio": ArraySource(audio), "visual": ArraySource(visual)}
    paths = write_ave_h5(tmp_path / "out", sources, infos, ids)
    assert paths == [tmp_path / "out" / "audio_feature.h5", tmp_path / "out" / "visual_feature.h5"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["audio_feature.h5", "visual_feature.h5"]
    # As the authors' code reads it.
    with h5py.File(paths[1], "r") as file:
        assert file["avadataset"].dtype == np.float32
        np.testing.assert_array_equal(file["avadataset"][:], visual)
    source = H5Source(paths[0])
    np.testing.assert_array_equal(source.read(np.array([39, 0])), audio[[39, 0]])
    assert (source.feature_info(), source.ids()) == (INFO, ids)
    assert H5Source(paths[1]).feature_info() == infos["visual"]


def test_the_authors_files_say_nothing_about_themselves(tmp_path, values):
    write_h5(tmp_path / "a.h5", values)
    source = H5Source(tmp_path / "a.h5")
    assert (source.feature_info(), source.ids()) == (None, None)


def test_an_unreadable_description_is_refused(tmp_path, values):
    write_h5(tmp_path / "a.h5", values)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file.attrs["feature_info"] = '{"extractor": "vggish"}'
    with pytest.raises(InputError, match="its attribute 'feature_info' cannot be understood"):
        H5Source(tmp_path / "a.h5").feature_info()


class FailingSource(ArraySource):
    def read(self, rows):
        if 20 in rows:
            raise InputError("clip 20: holds NaN.")
        return super().read(rows)


def test_a_failing_row_leaves_the_old_file_and_nothing_else(tmp_path):
    good = ArraySource(np.ones((40, 10, 3), np.float32))
    ids = [str(row) for row in range(40)]
    (path,) = write_ave_h5(tmp_path, {"audio": good}, {"audio": INFO}, ids)
    before = path.read_bytes()
    with pytest.raises(InputError, match="clip 20"):
        write_ave_h5(tmp_path, {"audio": FailingSource(good.array * 2)}, {"audio": INFO}, ids)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_grow_is_one_sentence_and_leaves_nothing(tmp_path):
    """As a full disk, which needs a small one to be tried on: a write fails half-way."""
    source = ArraySource(np.ones((400, 10, 30), np.float32))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(InputError, match=r"audio_feature\.h5: cannot be written") as caught:
            write_ave_h5(tmp_path, {"audio": source}, {"audio": INFO}, [str(row) for row in range(400)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match="a file of that name is in the way"):
        write_ave_h5(tmp_path / "out", {"audio": ArraySource(np.ones((1, 2)))}, {"audio": INFO}, ["a"])


def test_small_datasets_are_read_whole_with_their_number_type(tmp_path):
    write_h5(tmp_path / "a.h5", np.array([3, 1, 2]), "order")
    order = read_h5_array(tmp_path / "a.h5", "order")
    assert order.dtype == np.int64
    assert order.tolist() == [3, 1, 2]
    with pytest.raises(InputError, match="has no dataset 'other'"):
        read_h5_array(tmp_path / "a.h5", "other")


def test_the_authors_noisy_file(reference_dir):
    """Float64, after a ReLU: 178 videos between 0 and 4.54, 65 % of the numbers exactly zero."""
    source = H5Source(reference_dir / "data" / "ave" / "audio_feature_noisy.h5", shape=(10, 128))
    assert (len(source), source.number_type) == (178, "float64")
    read = source.read(np.arange(178))
    assert read.min() == 0
    assert read.max() == pytest.approx(4.54, abs=0.01)
    assert (read == 0).mean() == pytest.approx(0.65, abs=0.01)
