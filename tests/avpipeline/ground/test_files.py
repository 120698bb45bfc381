"""Files appear whole or not at all; locks hold between processes."""

import errno
import os
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from avpipeline.errors import InputError
from avpipeline.files import (
    CACHE_VARIABLE,
    atomic_folder,
    atomic_path,
    cache_dir,
    locked,
    make_folder,
    read_predictions,
    remove_partial,
    sha256_file,
    write_failure,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "a.json"
    with atomic_path(path) as temporary:
        temporary.write_text("first")
        assert not path.exists() and temporary.suffix == ".json" and temporary.parent == path.parent
    assert path.read_text() == "first" and names(path.parent) == ["a.json"]
    assert path.stat().st_mode & 0o777 == 0o644
    with atomic_path(path) as temporary:
        temporary.write_text("second")
        assert path.read_text() == "first"
    assert path.read_text() == "second"


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), InputError("bad input.")])
def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path, error):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(type(error)), atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise error
    assert names(tmp_path) == ["a.txt"] and (tmp_path / "a.txt").read_text() == "old"


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path):
    with pytest.raises(InputError) as error, atomic_path(tmp_path / "a.npz") as temporary:
        temporary.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert str(error.value).startswith(f"{tmp_path / 'a.npz'}: the disk is full")
    assert names(tmp_path) == []


def test_a_failure_to_write_names_the_file_that_was_wanted(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(InputError) as error, atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("whole")
    assert str(error.value).startswith(f"{tmp_path / 'a.txt'}: cannot be written (Is a directory)")
    assert names(tmp_path) == ["a.txt"]


def test_a_failure_to_read_something_else_is_not_taken_for_one_to_write(tmp_path):
    for writing in (atomic_path, atomic_folder):
        with pytest.raises(FileNotFoundError) as error, writing(tmp_path / "a"):
            (tmp_path / "missing").read_text()
        assert error.value.filename == str(tmp_path / "missing")
    assert names(tmp_path) == []


@pytest.mark.parametrize("make", [make_folder, lambda path: atomic_path(path / "a").__enter__()])
def test_a_file_in_the_way_of_a_folder_is_one_sentence(tmp_path, make):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError) as error:
            make(path)
        assert str(tmp_path / "file") in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "number, words",
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "disk is full"),
        (errno.EACCES, "permission denied"),
        (errno.EROFS, "permission denied"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_every_reason_has_its_words(number, words):
    sentence = str(write_failure("out/a.txt", OSError(number, os.strerror(number))))
    assert sentence.startswith("out/a.txt: ") and words in sentence and sentence.endswith(".")


def test_a_folder_appears_when_it_is_whole(tmp_path):
    with atomic_folder(tmp_path / "out") as temporary:
        (temporary / "a").write_text("a")
        assert not (tmp_path / "out").exists()
    assert names(tmp_path) == ["out"] and names(tmp_path / "out") == ["a"]
    with pytest.raises(InputError, match="cannot be written"), atomic_folder(tmp_path / "out") as temporary:
        (temporary / "b").touch()
    assert names(tmp_path) == ["out"] and names(tmp_path / "out") == ["a"]
    with pytest.raises(ValueError, match="no"), atomic_folder(tmp_path / "other") as temporary:
        (temporary / "half").touch()
        raise ValueError("no")
    assert names(tmp_path) == ["out"]


def test_a_kill_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    script = (
        "import os, sys; from avpipeline.files import atomic_path\n"
        "with atomic_path(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)]).returncode == -9
    assert path.read_text() == "old"


HOLDER = """
import sys, time
from pathlib import Path
from avpipeline.files import locked
with locked(sys.argv[1]):
    Path(sys.argv[1] + ".held").touch()
    while not Path(sys.argv[1] + ".release").exists():
        time.sleep(0.01)
    Path(sys.argv[1] + ".made").write_text("by the other process")
"""


def test_a_lock_holds_between_processes(tmp_path):
    thing = tmp_path / "thing"
    other = subprocess.Popen([sys.executable, "-c", HOLDER, str(thing)])
    try:
        deadline = time.monotonic() + 60
        while not Path(f"{thing}.held").exists():
            assert other.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        with pytest.raises(InputError, match="another process is working there"), locked(thing, wait=False):
            pass
        Path(f"{thing}.release").touch()
        with locked(thing):  # waits for the other process
            assert Path(f"{thing}.made").read_text() == "by the other process"
    finally:
        other.kill()
        other.wait()


def test_a_lock_is_given_back_after_an_exception(tmp_path):
    with pytest.raises(ValueError, match="no"), locked(tmp_path / "thing"):
        raise ValueError("no")
    with locked(tmp_path / "thing", wait=False):
        pass


def test_a_lock_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "thing.lock").mkdir()
    with pytest.raises(InputError, match="thing.lock: cannot be written"), locked(tmp_path / "thing"):
        pass


def test_the_cache_is_where_the_variable_says(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "avpipeline"


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_half_written_files_are_known_by_their_names(tmp_path):
    (tmp_path / "below").mkdir()
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "table.csv") as temporary:
        name = temporary.name
        raise ZeroDivisionError
    above, below, own = tmp_path / name, tmp_path / "below" / name, tmp_path / ".table.csv"
    for path in (above, below, own):
        path.write_text("")
    remove_partial(tmp_path, below=False)
    assert not above.exists() and below.exists() and own.exists()
    remove_partial(tmp_path)
    assert not below.exists() and own.exists()


@pytest.mark.parametrize(
    ("name", "arrays", "words"),
    [
        ("none.npz", None, "there is no such file"),
        ("other.npz", {"labels": np.zeros(2)}, "has no predictions; run the command"),
        ("objects.npz", {"labels": np.array([{}]), "predictions": np.zeros(2)}, "damaged or not what a command wrote"),
    ],
)
def test_unusable_predictions_are_one_sentence(tmp_path, name, arrays, words):
    if arrays:
        np.savez(tmp_path / name, **arrays)
    with pytest.raises(InputError, match=f"{name}: .*{words}"):
        read_predictions(tmp_path / name, "labels", "predictions")


def test_predictions_that_unpack_to_more_than_any_dataset_has(tmp_path):
    """As large as the archive's directory says, whatever it holds."""
    np.savez_compressed(tmp_path / "bomb.npz", labels=np.zeros(1000), predictions=np.zeros(1000))
    with zipfile.ZipFile(tmp_path / "bomb.npz") as archive:
        sizes = [struct.pack("<LL", member.compress_size, member.file_size) for member in archive.infolist()]
    content = (tmp_path / "bomb.npz").read_bytes()
    before, directory, after = content.partition(b"PK\x01\x02")
    for size in {*sizes}:
        after = after.replace(size, size[:4] + struct.pack("<L", 2**32 - 16))
    (tmp_path / "bomb.npz").write_bytes(before + directory + after)
    with pytest.raises(InputError, match="bomb.npz: declares more than 4,294,967,296 bytes"):
        read_predictions(tmp_path / "bomb.npz")


def test_an_array_that_declares_more_than_it_holds_is_refused(tmp_path):
    """A terabyte in its header: NumPy would set that much memory aside."""
    header = {"descr": "<f8", "fortran_order": False, "shape": (1 << 37,)}
    with zipfile.ZipFile(tmp_path / "liar.npz", "w") as archive, archive.open("labels.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, header)
        member.write(bytes(80))
    with pytest.raises(InputError, match="liar.npz: is damaged or not what a command wrote"):
        read_predictions(tmp_path / "liar.npz")
