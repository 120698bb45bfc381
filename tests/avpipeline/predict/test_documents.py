"""A prediction's files: JSON and text before the pictures, nothing said twice of a damaged file."""

import json
import shutil
import warnings

import pytest

from avpipeline.datasets import rendered
from avpipeline.media import MediaInfo, probe, read_frames, write_clip
from avpipeline.predict.documents import SYNTHETIC, head_json, head_lines, picture_title, result_files, warning_json
from avpipeline.training.saved import ModelInfo
from tests.helpers.commands import run_command

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
        pass
    assert json.loads((tmp_path / "out" / "a.b.json").read_text(encoding="utf-8")) == {"é": 1}
    assert (tmp_path / "out" / "a.b.txt").read_text() == "text\n"


def test_the_text_is_stored_then_told_then_pictures_are_drawn_which_may_fail(tmp_path):
    told = []

    def tell(text):
        told.append((text, (tmp_path / "a.txt").read_text(), (tmp_path / "a.json").exists()))

    with pytest.raises(ZeroDivisionError), result_files(tmp_path / "a", {}, "text", tell, source=tmp_path / "a.mp4"):
        assert told == [("text", "text", True)]
        raise ZeroDivisionError
    assert {path.name for path in tmp_path.iterdir()} == {"a.json", "a.txt"}


def test_warnings_of_the_file_are_not_repeated_and_others_are(tmp_path):
    source = tmp_path / "a+.mp4"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with result_files(tmp_path / "a", {}, "", source=source):
            warnings.warn(f"{source}: breaks off", stacklevel=1)
            warnings.warn("another", stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["another"]


@pytest.fixture
def clip(tmp_path, monkeypatch):
    """A place in the cache of synthetic clips."""
    monkeypatch.setenv("AVPIPELINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "rendered" / "0123" / "clips" / "a.mp4"


@pytest.mark.parametrize(
    ("paper", "dataset"),
    [*((paper, "rendered") for paper in ("ave", "mafnet", "jca", "attendfusion")), ("eventlayers", "rendered_pairs")],
)
def test_a_model_of_synthetic_clips_says_so_of_any_other_file(paper, dataset, clip, tmp_path):
    info = ModelInfo(paper, "m", "code", ("x",), {}, dataset)
    weights = tmp_path / "best.keras"
    weights.write_bytes(b"")
    document = head_json(about(tmp_path / "dog.mp4"), [], info, weights)
    assert document["domain"] == "synthetic"
    assert document["warning"].startswith("trained on synthetic clips: its labels mean nothing for this file; use")
    assert "--features yamnet,efficientnet_lite0" in document["warning"]
    assert "python -m avpipeline.describe" in document["warning"]
    assert head_lines(document)[:2] == [document["warning"], "dog.mp4: 2.0 s"]
    title = picture_title(info, about(tmp_path / "dog.mp4"), ": x (0.91)")
    assert title.splitlines()[0] == f"dog.mp4: x (0.91) - {paper} m, trained on {dataset}"
    assert " ".join(title.splitlines()[1:]) == document["warning"]


def test_it_does_not_say_so_of_synthetic_clips_nor_of_other_models(clip, tmp_path):
    weights = tmp_path / "best.keras"
    weights.write_bytes(b"")
    synthetic, real = (ModelInfo("ave", "av", "code", ("x",), {}, dataset) for dataset in ("rendered", "ave"))
    document = head_json(about(clip), [], synthetic, weights)
    assert document["domain"] == "synthetic"
    assert "warning" not in document
    assert head_lines(document)[0] == "a.mp4: 2.0 s"
    document = head_json(about(tmp_path / "dog.mp4"), [], real, weights)
    assert document["domain"] == "real"
    assert "warning" not in document
    assert picture_title(real, about(tmp_path / "dog.mp4")) == "dog.mp4 - ave av, trained on ave"


def test_a_copy_of_a_synthetic_clip_is_known_by_its_mark(clip, tmp_path):
    """Wherever it lies and whatever its name; what shows the same frames without the mark is another file."""
    words = ("--seed", 5, "--train", 0, "--val", 0, "--test", 1)
    assert run_command(rendered, tmp_path / "OUT", *words) == 0
    (made,) = (tmp_path / "OUT" / "clips").iterdir()
    copy, other = shutil.copy(made, tmp_path / "copy.mp4"), tmp_path / "other.mp4"
    write_clip(other, read_frames(made, frame_rate=12, size=None, seconds=1), None, frame_rate=12)
    info = ModelInfo("ave", "av", "code", ("x",), {}, "rendered")
    told = {"domain": "synthetic"}
    assert [warning_json(info, probe(path)) for path in (made, copy)] == [told, told]
    assert warning_json(info, probe(other)) == {**told, "warning": SYNTHETIC}


def about(path) -> MediaInfo:
    return MediaInfo(path, 2.0, True, True, 25.0, 64, 48, 16000, 1, "pcm_s16le s16")


def test_statistics_are_kept_with_a_model_and_older_files_have_none():
    statistics = {"audio": {"mean": [0.5], "deviation": [0.1], "largest": 1.5}}
    info = ModelInfo("ave", "av", "code", ("x",), {}, "ave", statistics=statistics)
    fields = info.to_json()
    assert ModelInfo.from_json(fields).statistics == statistics
    del fields["statistics"]
    assert ModelInfo.from_json(fields).statistics == {}
