"""Extraction in parts, and shards from elsewhere: what fits is read as one, what does not is refused."""

import json
import shutil

import numpy as np
import pytest
import soundfile

from avpipeline.cli import run
from avpipeline.errors import InputError
from avpipeline.extract import extract, main
from avpipeline.features.shards import shard_paths
from avpipeline.features.store import FeatureShards
from avpipeline.validate import main as validate

SOUND = {"features": "small_audio", "seconds": 1}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Five sounds, of which the third is no media file, with their CSV of labels."""
    folder = tmp_path_factory.mktemp("clips")
    for index in range(5):
        soundfile.write(folder / f"c{index}.wav", np.random.default_rng(index).normal(0, 0.1, 16000), 16000)
    (folder / "c2.wav").write_bytes(b"this was a download that failed")
    return folder


@pytest.fixture(scope="module")
def whole(clips, tmp_path_factory):
    return extract(clips, tmp_path_factory.mktemp("whole"), **SOUND).out


@pytest.fixture(scope="module")
def _parts(clips, tmp_path_factory):
    out = tmp_path_factory.mktemp("parts")
    for number in (3, 1, 2):
        extract(clips, out, part=f"{number}/3", **SOUND)
    return out


@pytest.fixture
def parts(_parts, tmp_path):
    """Parts 1/3 to 3/3, extracted in another order; a copy."""
    return shutil.copytree(_parts, tmp_path / "parts")


def audio(folder) -> np.ndarray:
    shards = FeatureShards(folder)
    return shards.sources["audio"].read(np.arange(len(shards)))


def test_parts_are_read_as_one_run(clips, parts, whole):
    assert sorted(path.name for path in parts.iterdir()) == [f"part-{number}-of-3" for number in (1, 2, 3)]
    together = FeatureShards(parts)
    assert together.ids == ("c0", "c1", "c3", "c4") and together.records == FeatureShards(whole).records
    assert together.features == FeatureShards(whole).features
    np.testing.assert_array_equal(audio(parts), audio(whole))
    assert json.loads((parts / "part-2-of-3" / "failed.json").read_text()).keys() == {str(clips / "c2.wav")}
    again = extract(clips, parts, part="3/3", **SOUND)
    assert (again.reused, again.extracted) == (2, 0)


def test_validate_takes_the_parts_together(parts, capsys):
    splits = ("train", "train", "val", "val", "test")
    rows = [f"c{index},{'ab'[index % 2]},{split}" for index, split in enumerate(splits)]
    (parts / "clips.csv").write_text("\n".join(["id,labels,split", *rows]))
    assert run(validate, prog="validate", argv=["csv", str(parts)]) == 0
    assert "audio features, 4 clips" in capsys.readouterr().out
    shutil.rmtree(parts / "part-2-of-3")
    assert run(validate, prog="validate", argv=["csv", str(parts)]) == 2
    assert "lacks part 2 of 3 (part-2-of-3; 1 are missing in all)" in capsys.readouterr().out


def test_more_parts_than_files(clips, tmp_path, whole):
    words = ["--features", "small_audio", "--seconds", "1", "--part"]
    codes = [run(main, prog="e", argv=[str(clips), str(tmp_path), *words, f"{number}/6"]) for number in range(1, 7)]
    assert codes == [0, 0, 0, 2, 0, 0]  # the fourth has the file that is none alone
    np.testing.assert_array_equal(audio(tmp_path), audio(whole))


def test_parts_that_do_not_belong_together_are_refused(clips, parts, whole, tmp_path):
    def refused(words: str) -> None:
        with pytest.raises(InputError, match=words):
            FeatureShards(parts)

    second = parts / "part-2-of-3"
    kept = shutil.move(second, tmp_path / "kept")
    extract(clips / "c0.wav", tmp_path / "other", part="1/1", **SOUND)
    shutil.copytree(whole, second)
    refused("part-2-of-3: holds a whole extraction, no part; extract it again")
    shutil.rmtree(second)
    shutil.copytree(parts / "part-1-of-3", second)
    refused("part-2-of-3: holds part 1/3")
    shutil.rmtree(second)
    extract(clips, parts, part="2/3", features="small_audio", seconds=2)
    refused("part-2-of-3: holds features of an extraction with other settings; extract it again")
    shutil.rmtree(second)
    (tmp_path / "list.txt").write_text("\n".join(str(clips / f"c{index}.wav") for index in (0, 1, 3)))
    extract(tmp_path / "list.txt", parts, part="2/3", **SOUND)
    refused("part-2-of-3: is part of another list of files")
    shutil.rmtree(second)
    shutil.move(kept, second)
    shutil.copytree(tmp_path / "other" / "part-1-of-1", parts / "part-1-of-1")
    refused("holds parts of 1 and of 3; keep those of one extraction")
    shutil.rmtree(parts / "part-1-of-1")
    shutil.copy(whole / "features.json", parts)
    refused("holds features.json and parts")


def test_a_part_in_a_folder_of_something_else_is_refused(clips, parts, whole, tmp_path):
    (tmp_path / "one.txt").write_text(str(clips / "c0.wav"))
    for changes, words in (
        ({"part": "1/4"}, "holds parts of 3; choose another folder"),
        ({}, r"holds parts of an extraction \(part-1-of-3\); choose another folder, or add --part"),
        ({"part": "4/3"}, "--part 4/3: is not of the form I/N"),
        ({"part": "one"}, "--part one: is not of the form I/N"),
        ({"part": "1/3", "out": whole}, "holds a whole extraction"),
        ({"part": "1/3", "source": tmp_path / "one.txt"}, "was made from another list of files"),
        ({"part": "1/3", "format": "h5"}, "hold all clips; take --format shards"),
    ):
        with pytest.raises(InputError, match=words):
            extract(**{"source": clips, "out": parts, **SOUND, **changes})


def test_a_shard_copied_in_is_read_or_refused(clips, whole, tmp_path):
    out = tmp_path / "out"
    (tmp_path / "some.txt").write_text(f"{clips / 'c0.wav'}\n{clips / 'c1.wav'}")
    extract(tmp_path / "some.txt", out, **SOUND)
    (tmp_path / "others.txt").write_text(f"{clips / 'c3.wav'}\n{clips / 'c4.wav'}")
    (shard,) = shard_paths(extract(tmp_path / "others.txt", tmp_path / "others", **SOUND).out)
    shutil.copy(shard, out / "shard-00001.h5")
    assert FeatureShards(out).ids == ("c0", "c1", "c3", "c4")
    np.testing.assert_array_equal(audio(out), audio(whole))
    shutil.copy(shard, out / "shard-00002.h5")
    with pytest.raises(InputError, match="shard-00002.h5: has the clip 'c3', which is in .*shard-00001.h5 too"):
        FeatureShards(out)
    (out / "shard-00002.h5").unlink()
    # Features of the same shape, and yet others.
    made = extract(clips / "c3.wav", tmp_path / "yamnet", features="vggish", weights="none", seconds=1)
    (foreign,) = shard_paths(made.out)
    shutil.copy(foreign, out / "shard-00001.h5")
    for reads in (lambda: FeatureShards(out), lambda: extract(clips, out, **SOUND)):
        with pytest.raises(InputError, match="shard-00001.h5: holds features of an extraction with other settings"):
            reads()


def test_engines_that_there_are_not(clips, tmp_path):
    for changes, words in (
        ({"address": "auto"}, "--address auto: is of a Ray cluster; add --engine ray"),
        ({"engine": "ray", "address": "ray://host"}, "is no address of a Ray cluster|Ray cannot be imported"),
    ):
        with pytest.raises(InputError, match=words):
            extract(**{"source": clips, "out": tmp_path / "out", **SOUND, **changes})
    assert not (tmp_path / "out").exists()
