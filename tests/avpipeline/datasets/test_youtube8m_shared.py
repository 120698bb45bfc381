"""YouTube-8M at full size: counts that are remembered, files that several workers share."""

import pytest

from avpipeline.datasets import youtube8m
from avpipeline.datasets.youtube8m import counts
from avpipeline.errors import InputError
from tests.helpers.unreadable import unreadable
from tests.helpers.youtube8m_files import some_videos, video_record, write

FORM = {"num_classes": 10, "batch_size": 4, "details": True}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AVPIPELINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def ids(dataset) -> list[str]:
    return [name.decode() for inputs, _ in dataset for name in inputs["id"].numpy()]


def test_a_file_is_counted_once(tmp_path, cache):
    """What is counted cannot be read a second time, though it seems to be what it was."""
    some_videos(tmp_path)
    pattern = str(tmp_path / "train*.tfrecord")
    assert counts.counted(pattern) == 15
    with unreadable(*tmp_path.glob("train*.tfrecord")):
        assert counts.counted(pattern) == 15
    write(tmp_path / "train1.tfrecord", video_record("new", [1], mean_rgb=[1.0], mean_audio=[1.0]))
    with unreadable(tmp_path / "train0.tfrecord", tmp_path / "train2.tfrecord"):
        assert counts.counted(pattern) == 11
    for damage in (b"{", b"[]", b'{"train0.tfrecord": [1, 2, "a"]}'):
        (place,) = (cache / "records").glob("*.json")
        place.write_bytes(damage)
        assert counts.counted(pattern) == 11
    (tmp_path / "train0.tfrecord").write_bytes((tmp_path / "train0.tfrecord").read_bytes()[:-3])
    with pytest.raises(InputError, match="train0.tfrecord: is cut off or damaged"):
        counts.counted(pattern)


@pytest.mark.parametrize("shuffle", [False, True])
def test_workers_read_each_record_once_an_epoch(tmp_path, shuffle):
    names = some_videos(tmp_path, shards=5)
    form = {**FORM, "shuffle": shuffle, "seed": 3, "repeat": False}
    for epoch in (0, 1):
        shares = [
            ids(youtube8m.dataset(f"{tmp_path}/*", worker=worker, workers=2, first_epoch=epoch, **form))
            for worker in (0, 1)
        ]
        assert sorted([*shares[0], *shares[1]]) == sorted(names) and len(shares[0]) == 15
        assert all(len({name[:2] for name in share}) == files for share, files in zip(shares, (3, 2), strict=True))
    with pytest.raises(InputError, match="worker 2 of 2: 5 files can be shared by 1 to 5 workers"):
        youtube8m.dataset(f"{tmp_path}/*", worker=2, workers=2, **form)
    with pytest.raises(InputError, match="worker 0 of 6: 5 files"):
        youtube8m.dataset(f"{tmp_path}/*", worker=0, workers=6, **form)
