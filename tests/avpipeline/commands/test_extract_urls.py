"""Extraction from and to URLs: what folders give, resumed after a cut, and one sentence for what cannot be."""

import contextlib
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import fsspec
import numpy as np
import pytest

from avpipeline.cli import run
from avpipeline.errors import InputError
from avpipeline.extract import extract, main
from avpipeline.features.store import FeatureShards
from avpipeline.files import cache_dir
from avpipeline.media import remote, write_clip

SETTINGS = {"features": "small_visual,small_audio", "seconds": 2, "shard_size": 3}
IDS = ("c0", "c1", "c2", "c3", "c4", "c5", "c6")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Seven clips, the last cut off, and one file that is none."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    for name in IDS:
        frames = np.repeat(rng.integers(0, 256, (16, 4, 4, 3)), 12, axis=1).repeat(12, axis=2)
        write_clip(folder / "deep" / f"{name}.mp4", frames.astype(np.uint8), rng.normal(0, 0.1, 32000), frame_rate=8)
    (folder / "broken.mp4").write_bytes(b"this was a download that failed" * 9)
    whole = (folder / "deep" / "c6.mp4").read_bytes()
    (folder / "deep" / "c6.mp4").write_bytes(whole[: len(whole) * 9 // 10])
    return folder


@pytest.fixture(scope="module")
def local(clips, tmp_path_factory):
    return extract(clips, tmp_path_factory.mktemp("features"), **SETTINGS)


@pytest.fixture(autouse=True)
def memory(clips, tmp_path, monkeypatch):
    """An empty storage with the clips in memory://clips, and a cache folder of its own."""
    monkeypatch.setenv("AVPIPELINE_CACHE", str(tmp_path / "cache"))
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    files.put(str(clips), "/clips", recursive=True)
    yield files
    files.store.clear()


def content(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.suffix in (".h5", ".json")}


def stored(files, folder: str) -> dict[str, bytes]:
    return {Path(path).name: files.cat_file(path) for path in files.find(folder)}


def test_shards_at_a_url_are_those_of_a_folder(clips, local, memory):
    made = extract(clips, "memory://out/features", **SETTINGS)
    assert stored(memory, "/out/features") == content(local.out)
    assert len(content(local.out)) == 5  # three shards, features.json, failed.json
    assert made.out == "memory://out/features" and "memory://out/features/failed.json" in made.text()
    assert made.failed == local.failed and not any((cache_dir() / "uploads").glob("*/"))
    again = extract(clips, "memory://out/features", **SETTINGS)
    assert (again.extracted, again.reused) == (0, 7) and stored(memory, "/out/features") == content(local.out)


def test_clips_at_a_url_are_read_one_by_one(local, memory, tmp_path, monkeypatch):
    """The copies are gone, and neither sentences nor records name them."""
    most, copies, sent = [], Path(remote._copies().name), type(memory).open

    def counted(storage, path, mode):
        # The copy that is being made is there already.
        most.append(sum(path.is_file() for path in copies.rglob("*")) - 1)
        return sent(storage, path, mode)

    monkeypatch.setattr(type(memory), "open", counted)
    made = extract("memory://clips", tmp_path / "out", workers=1, **SETTINGS)
    ours, theirs = FeatureShards(tmp_path / "out"), FeatureShards(local.out)
    assert ours.ids == theirs.ids == IDS
    for modality, source in ours.sources.items():
        np.testing.assert_array_equal(source.read(np.arange(7)), theirs.sources[modality].read(np.arange(7)))
    assert ours.records[0].path == "memory:///clips/deep/c0.mp4"
    assert [record.file_size for record in ours.records] == [record.file_size for record in theirs.records]
    assert most == [0] * 8 and not [path for path in copies.rglob("*") if path.is_file()]
    (url, told), notes = *made.failed.items(), made.notes
    assert url == "memory:///clips/broken.mp4" and told.startswith(f"{url}: is not a media file")
    assert len(notes) == len(local.notes) == 1 and notes[0].startswith("memory:///clips/deep/c6.mp4: is damaged")


def test_a_list_may_name_urls(clips, tmp_path):
    shutil.copy(clips / "deep" / "c1.mp4", tmp_path)
    (tmp_path / "list.txt").write_text("memory://clips/deep/c0.mp4\n\nc1.mp4\nmemory://clips/gone.mp4\n")
    made = extract(tmp_path / "list.txt", tmp_path / "out", **SETTINGS)
    assert FeatureShards(tmp_path / "out").ids == ("c0", "c1")
    assert made.failed == {
        "memory://clips/gone.mp4": "memory://clips/gone.mp4: there is no such file or folder; check the URL."
    }


def test_goes_on_after_a_cut(clips, local, memory, monkeypatch):
    """The second shard breaks off on its way: it is no shard there, and what was made is not made again."""
    put_file = type(memory).put_file

    def cut(self, source, target, **options):
        put_file(self, source, target, **options)
        if "shard-00001" in target:
            memory.pipe_file(target, memory.cat_file(target)[:1000])
            raise ConnectionResetError("the line went dead")

    with monkeypatch.context() as patch:
        patch.setattr(type(memory), "put_file", cut)
        with pytest.raises(InputError, match=r"^memory://out/shard-00001.h5: cannot be reached \(the line went dead\)"):
            extract(clips, "memory://out", **SETTINGS)
    there = stored(memory, "/out")
    assert [name for name in sorted(there) if not name.startswith(".")] == ["features.json", "shard-00000.h5"]
    assert len(there) == 3
    made = extract(clips, "memory://out", **SETTINGS)
    assert (made.extracted, made.reused) == (1, 6)
    assert stored(memory, "/out") == content(local.out)


def test_goes_on_on_another_machine(clips, local, memory, tmp_path, monkeypatch):
    """All that is known there is at the URL."""
    for name, data in content(local.out).items():
        if name in ("features.json", "shard-00000.h5"):
            memory.pipe_file(f"/out/{name}", data)
    made = extract(clips, "memory://out", **SETTINGS)
    assert (made.extracted, made.reused) == (4, 3)
    assert stored(memory, "/out") == content(local.out)
    with pytest.raises(InputError, match="^memory://out: already holds other features"):
        extract(clips, "memory://out", **{**SETTINGS, "features": "small_audio"})


def test_parts_at_a_url(clips, local, memory, tmp_path):
    for number in (1, 2):
        extract(clips, "memory://out", part=f"{number}/2", **SETTINGS)
    assert not memory.exists("/out/features.json")
    with pytest.raises(InputError, match="^memory://out: holds parts of an extraction"):
        extract(clips, "memory://out", **SETTINGS)
    with pytest.raises(InputError, match="^memory://out: holds parts of 2"):
        extract(clips, "memory://out", part="1/3", **SETTINGS)
    memory.get("/out", str(tmp_path / "got"), recursive=True)
    assert FeatureShards(tmp_path / "got").records == FeatureShards(local.out).records


def test_shards_without_what_they_hold(clips, memory):
    memory.pipe_file("/out/shard-00000.h5", b"shard")
    with pytest.raises(InputError, match="^memory://out: holds shards but no features.json"):
        extract(clips, "memory://out", **SETTINGS)


@pytest.mark.parametrize("name", ["features.json", "shard-00000.h5"])
def test_a_damaged_file_at_the_url_is_named(clips, local, memory, name):
    for there, data in content(local.out).items():
        memory.pipe_file(f"/out/{there}", data)
    memory.pipe_file(f"/out/{name}", content(local.out)[name][:200])
    with pytest.raises(InputError, match=f"^memory://out/{name}: is (cut off or )?damaged"):
        extract(clips, "memory://out", **SETTINGS)


class Gigabytes(bytes):
    """A block that counts as much as a thousand million bytes."""

    def __len__(self):
        return 10**9


def test_a_larger_file_than_any_clip_is_left_out(memory, tmp_path, monkeypatch):
    """The storage sends and sends, whatever it said of the file's size."""
    endless = contextlib.nullcontext(SimpleNamespace(read=lambda size: Gigabytes(b"x")))
    monkeypatch.setattr(type(memory), "open", lambda storage, path, mode: endless)
    made = extract("memory://clips/broken.mp4", tmp_path / "out", **SETTINGS)
    (told,) = made.failed.values()
    assert told == (
        "memory://clips/broken.mp4: is larger than such a file ever is (8,589,934,592 bytes); give the right one."
    )


@pytest.mark.parametrize(
    "url, words",
    [
        ("nonsense://a/b", "nonsense://a/b: is at no storage that fsspec knows (Protocol not known: nonsense)"),
        ("memory://nowhere", "memory://nowhere: there is no such file or folder"),
        ("memory://clips/../secret/a.mp4", "has '..' or a zero byte in its name"),
        ("s3:/bucket/clips", "s3:/bucket/clips: is a URL that lost a slash"),
        ("simplecache::memory://clips", "simplecache::memory://clips: goes through several places"),
        ("reference://clips", "reference://clips: goes through several places"),
    ],
)
def test_urls_that_cannot_be_read(tmp_path, url, words, capsys):
    assert run(main, prog="extract", argv=[url, str(tmp_path / "out"), "--features", "small_audio"]) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1 and words in told[0]


def test_a_file_in_the_way_and_other_formats(clips, memory):
    memory.pipe_file("/out", b"a file")
    with pytest.raises(InputError, match="^memory://out: a file of that name is in the way"):
        extract(clips, "memory://out", **SETTINGS)
    with pytest.raises(InputError, match="^memory://b: AVE's HDF5 files are written into folders alone"):
        extract(clips, "memory://b", format="h5", **SETTINGS)
    with pytest.raises(InputError, match="^memory://clips: --audio-reader tfio"):
        extract("memory://clips", "memory://b", audio_reader="tfio", features="small_audio")


@pytest.mark.parametrize(
    "module, url, words",
    [
        ("fsspec.core", "memory://clips", "URLs need fsspec; run pip install 'audio-visual-fusion[remote]'"),
        ("s3fs", "s3://bucket/clips", "needs a package that is not installed (Install s3fs to access S3)"),
    ],
)
def test_packages_that_are_missing(monkeypatch, tmp_path, module, url, words):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError) as raised:
        extract(url, tmp_path / "out", **SETTINGS)
    assert str(raised.value).startswith(f"{url}: {words}")
