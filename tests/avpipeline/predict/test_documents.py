"""A prediction's files: JSON and text, the text last, nothing said twice of a damaged file."""

import json
import warnings

import pytest

from avpipeline.predict.documents import head_lines, result_files

DOCUMENT = {
    "file": "clip.mp4",
    "length": 2.5,
    "notes": ["the file has no sound", "shorter than 10 s"],
    "model": {
        "paper": "ave",
        "model": "av",
        "preset": "code",
        "trained_on": "rendered",
        "weights": "best.keras",
        "sha256": "0123456789abcdef",
    },
    "features": {"audio": {"extractor": "vggish", "variant": "embedding", "weights": "audioset", "sha256": None}},
}


def test_a_text_begins_with_file_model_features_and_notes():
    assert head_lines(DOCUMENT) == [
        "clip.mp4: 2.5 s",
        "model: ave av, preset code, trained on rendered (best.keras, sha256 0123456789ab)",
        "audio: vggish:embedding, weights audioset",
        "note: the file has no sound",
        "note: shorter than 10 s",
    ]


def test_both_files_are_named_by_the_stem_whatever_dots_it_has(tmp_path):
    with result_files(tmp_path / "out" / "a.b", {"é": 1}, "text\n", source=tmp_path / "a.b.mp4"):
        assert json.loads((tmp_path / "out" / "a.b.json").read_text(encoding="utf-8")) == {"é": 1}
        assert not (tmp_path / "out" / "a.b.txt").exists()
    assert (tmp_path / "out" / "a.b.txt").read_text() == "text\n"


def test_where_the_pictures_fail_there_is_no_text(tmp_path):
    with pytest.raises(ZeroDivisionError), result_files(tmp_path / "a", {}, "text", source=tmp_path / "a.mp4"):
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_warnings_of_the_file_are_not_repeated_and_others_are(tmp_path):
    source = tmp_path / "a+.mp4"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with result_files(tmp_path / "a", {}, "", source=source):
            warnings.warn(f"{source}: breaks off", stacklevel=1)
            warnings.warn("another", stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["another"]
