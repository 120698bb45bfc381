"""LLP from its official lists, which are separated by tabs."""

import numpy as np
import pytest

from avpipeline.datasets.llp import CLASS_NAMES, Event, read_llp, read_llp_events
from avpipeline.errors import InputError
from tests.helpers.errors import one_sentence
from tests.helpers.video_files import spoil_line, write_lines

HEADING = "filename\tevent_labels"
EVENT_HEADING = "filename\tonset\toffset\tevent_labels"


def clip(number, start="0", end="10"):
    return f"llp-_{number:06d}_{start}_{end}"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "llp"
    train = [f"{clip(row)}\tSpeech,Dog,Cat" for row in range(40)] + [f"{clip(40, '8.5', '18.5')}\tFrying_(food)"]
    write_lines(folder, "AVVP_train.csv", [HEADING, *train])
    write_lines(folder, "AVVP_val_pd.csv", [HEADING, f"{clip(50)}\tDog"])
    write_lines(folder, "AVVP_test_pd.csv", [HEADING, f"{clip(60)}\tClapping,Clapping,Speech"])
    events = [f"{clip(50)}\t9\t0\tDog", f"{clip(60)}\t3\t3\tClapping", f"{clip(60)}\t0\t10\tSpeech"]
    write_lines(folder, "AVVP_eval_audio.csv", [EVENT_HEADING, *events])
    return folder


def test_labels_and_times(folder):
    train = read_llp(folder, "train")
    assert (train.dataset, len(train), train.class_names) == ("llp", 41, CLASS_NAMES)
    assert np.flatnonzero(train.labels[0]).tolist() == [0, 3, 4] and train.labels[0].max() == 1
    assert train.ids[40] == "llp-_000040_8.5_18.5"
    assert train.aliases[40][0] == "llp-_000040"
    # A label that is there twice counts once.
    assert read_llp(folder, "test").labels.sum() == 2


def test_one_label_a_video(folder):
    drawn = read_llp(folder, "train", "drawn")
    assert drawn.dataset == "llp-drawn" and len(drawn) == 41 and (drawn.labels.sum(1) == 1).all()
    assert set(drawn.labels[:40].argmax(1)) == {0, 3, 4} and drawn.labels[40].argmax() == 5
    np.testing.assert_array_equal(read_llp(folder, "train", "drawn").labels, drawn.labels)
    single = read_llp(folder, "train", "single")
    assert single.dataset == "llp-single" and single.ids == (clip(40, "8.5", "18.5"),)
    for labels in ("drawn", "single"):
        assert read_llp(folder, "test", labels).labels.sum() == 2


def test_events_are_as_published(folder):
    assert read_llp_events(folder, "audio") == (
        Event(clip(50), 9, 0, 3),
        Event(clip(60), 3, 3, 24),
        Event(clip(60), 0, 10, 0),
    )
    spoil_line("AVVP_eval_audio.csv", 2, f"{clip(50)}\t0\t11\tDog")(folder)
    with pytest.raises(InputError, match="line 2 has an event from 0 to 11 s in a clip of 10 s"):
        read_llp_events(folder, "audio")
    with pytest.raises(InputError, match="AVVP_eval_visual.csv: no such file"):
        read_llp_events(folder, "visual")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_line("AVVP_train.csv", None, ""), "AVVP_train.csv: no such file"),
        (
            spoil_line("AVVP_train.csv", 1, "filename,event_labels"),
            "line 1 must name the columns filename, event_labels, separated by tabs",
        ),
        (spoil_line("AVVP_train.csv", 3, f"{clip(1)},Dog"), "line 3 has 1 fields instead of 2"),
        (
            spoil_line("AVVP_train.csv", 3, f"{clip(1)}\tDogs"),
            "line 3 has the class 'Dogs', which is not among the 25 of LLP",
        ),
        (spoil_line("AVVP_train.csv", 3, f"{clip(1)}\t"), "line 3 has no event_labels"),
        (spoil_line("AVVP_train.csv", 3, f"{clip(1)}\tDog,"), "line 3 has the class ''"),
        (spoil_line("AVVP_train.csv", 3, f"{clip(0)}\tDog"), r"line 3 lists .* again \(first in line 2\)"),
        (spoil_line("AVVP_train.csv", 3, "abc_0_10\tDog"), "line 3 has the filename 'abc_0_10', which is not"),
        (spoil_line("AVVP_train.csv", 3, f"{clip(1, 10, 0)}\tDog"), "which is not a YouTube id, start and end"),
        (spoil_line("AVVP_train.csv", 3, b"\xff"), "cannot be read as UTF-8 text"),
    ],
)
def test_bad_lists_are_one_sentence(folder, spoil, words):
    spoil(folder)
    with one_sentence(words):
        read_llp(folder, "train")


def test_unknown_split(folder):
    with pytest.raises(InputError, match="llp: has no split 'eval', only train, val, test"):
        read_llp(folder, "eval")


def test_the_official_lists(reference_dir):
    official = reference_dir / "data" / "llp"
    splits = {name: read_llp(official, name) for name in ("train", "val", "test")}
    assert {name: len(videos) for name, videos in splits.items()} == {"train": 10000, "val": 649, "test": 1200}
    assert CLASS_NAMES[0] == "Speech" and CLASS_NAMES[24] == "Clapping" and len(CLASS_NAMES) == 25
    tested = np.concatenate([splits["val"].labels, splits["test"].labels])
    assert tested.sum(1).mean() == pytest.approx(1.81, abs=0.005) and tested.sum(0).min() > 0
    train = splits["train"]
    assert "AP0061o0Nvk_101.8_111.8" in train.ids

    drawn = read_llp(official, "train", "drawn").labels
    assert (drawn.sum(1) == 1).all() and drawn.sum(0).min() > 0 and (drawn <= train.labels).all()
    single = read_llp(official, "train", "single")
    # No training video has speech alone: a model that is trained on these never learns it.
    assert len(single) == 4032 and np.flatnonzero(single.labels.sum(0) == 0).tolist() == [0]

    audio, visual = (read_llp_events(official, modality) for modality in ("audio", "visual"))
    assert (len(audio), len(visual)) == (4131, 2495)
    assert sum(event.onset == event.offset for event in audio) == 5
    assert sum(event.onset > event.offset for event in audio) == 1
    assert all(event.onset < event.offset for event in visual)


def test_labels_for_training_that_there_are_not_are_refused(folder):
    with pytest.raises(InputError, match="llp: has no training labels 'one'; choose one of all, drawn, single"):
        read_llp(folder, "train", "one")
