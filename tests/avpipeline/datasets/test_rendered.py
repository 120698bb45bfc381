"""The rendered dataset: what the clips show and sound like, its files, kills, and shared caches."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from avpipeline.cli import run
from avpipeline.datasets import rendered
from avpipeline.datasets.ave import class_names, read_annotations, read_order, segment_labels
from avpipeline.datasets.rendered import (
    RenderedSettings,
    rendered_clips,
    rendered_split,
    rendered_video_split,
    rendered_weak_training,
)
from avpipeline.datasets.rendering.clips import clip_path, render_folder
from avpipeline.datasets.rendering.frames import FRAME_RATE, render_frames, thing
from avpipeline.datasets.rendering.sounds import render_waveform
from avpipeline.datasets.rendering.storyboards import (
    CATEGORIES,
    CLASS_NAMES,
    LOOKS,
    PAIRS,
    SOUNDS,
    SPLITS,
    storyboards,
)
from avpipeline.errors import InputError
from avpipeline.features.registry import build_extractor, clip_features
from avpipeline.features.small import FRAME_SIZE, build_small_audio, build_small_visual
from avpipeline.media import SAMPLE_RATE, read_clip
from tests.helpers.commands import run_command
from tests.helpers.unreadable import unreadable

SMALL = RenderedSettings(train=10, val=2, test=2)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """An empty cache, kept for this module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AVPIPELINE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def clips(cache):
    return rendered_clips(SMALL)


# Pictures and sound of the decoded clips


def visible_share(frames, board, look) -> np.ndarray:
    """For each second the share of pixels at the object's place that have its colours, `(10,)`."""
    item = thing(board, look)
    dark, bright = item.colours
    axis = bright - dark
    y, x = np.mgrid[: frames.shape[1], : frames.shape[2]]
    share = np.zeros(len(frames))
    for index, frame in enumerate(frames):
        centre = item.place(index / FRAME_RATE)
        pixels = frame[np.hypot(x - centre[0], y - centre[1]) < 0.6 * item.radius].astype(float)
        along = np.clip((pixels - dark) @ axis / (axis @ axis), 0, 1)
        share[index] = np.mean(np.linalg.norm(pixels - dark - along[:, None] * axis, axis=1) < 40)
    # The quarter of the frames with the lowest share may be lit up by a strike.
    return np.quantile(share.reshape(10, FRAME_RATE), 0.75, axis=1)


# Hertz between which most of a sound's energy lies, in the order of SOUNDS.
BANDS = ((70.0, 1200.0), (550.0, 4200.0), (3000.0, 8000.0), (800.0, 3200.0))


def band_power(waveform, sound) -> np.ndarray:
    """Power inside the band of a synthesiser for each second, `(10,)`."""
    spectrum = np.abs(np.fft.rfft(waveform.reshape(10, SAMPLE_RATE))) ** 2
    low, high = (int(edge) for edge in BANDS[sound])  # one bin is 1 Hz
    return spectrum[:, low:high].mean(axis=1)


def where(board, field: str, value: int) -> np.ndarray:
    """Seconds in which that look or sound is there, `(10,)` bool."""
    seconds = np.zeros(10, bool)
    for stretch in board.stretches:
        if getattr(stretch, field) == value:
            seconds[stretch.start : stretch.end] = True
    return seconds


def test_objects_are_visible_exactly_where_the_storyboard_says(clips):
    compared = 0
    for board, path in zip(clips.boards["train"], clips.paths("train"), strict=True):
        frames = read_clip(path, frame_rate=FRAME_RATE, size=None, audio=False).frames
        for look in {stretch.look for stretch in board.stretches} - {None}:
            there = where(board, "look", look)
            share = visible_share(frames, board, look)
            assert share[there].min() > 0.8, (board.id, share)
            if not there.all():
                assert share[~there].max() < share[there].min() - 0.2, (board.id, share, there)
                compared += 1
    assert compared >= 3


def test_sounds_are_audible_exactly_where_the_storyboard_says(clips):
    compared = 0
    for board, path in zip(clips.boards["train"], clips.paths("train"), strict=True):
        waveform = read_clip(path, video=False).waveform
        sounds = {stretch.sound for stretch in board.stretches} - {None}
        quiet = ~np.any([where(board, "sound", sound) for sound in sounds], axis=0)
        if quiet.any():
            for sound in sounds:
                power = band_power(waveform, sound)
                assert power[where(board, "sound", sound)].min() > 1.5 * power[quiet].max(), (board.id, power)
                compared += 1
    assert compared >= 3


def test_sound_and_picture_are_neither_late_nor_early(clips):
    """The decoded streams match the rendered ones best at a shift of 0, and match them well."""
    for board, path in zip(clips.boards["test"], clips.paths("test"), strict=True):
        decoded = read_clip(path, frame_rate=FRAME_RATE, size=None)
        waveform, frames = render_waveform(board), render_frames(board)
        assert decoded.audio_seconds == decoded.video_seconds == 10
        shifts = range(-40, 41, 4)
        errors = [np.mean((np.roll(decoded.waveform, shift) - waveform)[100:-100] ** 2) for shift in shifts]
        assert shifts[int(np.argmin(errors))] == 0
        assert min(errors) < 0.1 * np.mean(waveform**2)
        for index in (1, 60, 118):
            picture = decoded.frames[index].astype(float)
            errors = [np.abs(picture - frames[index + shift]).mean() for shift in (-1, 0, 1)]
            assert np.argmin(errors) == 1 and errors[1] < 8


def test_same_seed_same_clips():
    board = storyboards(SMALL, "train")[4]
    again = storyboards(RenderedSettings(train=9), "train")[4]
    np.testing.assert_array_equal(render_frames(board), render_frames(again))
    np.testing.assert_array_equal(render_waveform(board), render_waveform(again))
    other = storyboards(RenderedSettings(seed=7), "train")[4]
    assert (render_frames(board) != render_frames(other)).mean() > 0.5
    assert (render_waveform(board) != render_waveform(other)).mean() > 0.5


def test_looks_differ_within_and_between_classes():
    """Size, colour and path are each clip's own; distractor and event of one clip show the same object."""
    boards = storyboards(RenderedSettings(), "train")
    items = [thing(board, 0) for board in boards]
    radii = [item.radius for item in items]
    assert min(radii) < 20 and max(radii) > 27
    assert len({round(item.path[0, 2], 6) for item in items}) == len(items)
    np.testing.assert_array_equal(thing(boards[3], 2).colours, thing(boards[3], 2).colours)


# Files, processes and kills


def test_annotations_are_ave_s(clips):
    rows = [line.split("&") for line in (clips.folder / "Annotations.txt").read_text().splitlines()]
    assert len(rows) == 14
    order = list(dict.fromkeys(row[0] for row in rows))
    assert order == [category for category in CATEGORIES if category in order]
    by_id = {row[1]: row for row in rows}
    for split in SPLITS:
        listed = [line.split("&") for line in (clips.folder / f"{split}Set.txt").read_text().splitlines()]
        assert [row[1] for row in listed] == [board.id for board in clips.boards[split]]
        for board, row in zip(clips.boards[split], listed, strict=True):
            assert by_id[board.id] == row
            event = board.events[0]
            assert row == [CATEGORIES[event.category], board.id, "good", str(event.start), str(event.end)]
            assert len(board.id) == 11


def test_ave_s_reader_gives_the_same_labels(clips):
    annotations = read_annotations(clips.folder / "Annotations.txt")
    names = class_names(annotations)
    for split in SPLITS:
        rows = read_order(clips.folder, split, annotations)
        labels = segment_labels(annotations)[rows]
        for board, label in zip(clips.boards[split], labels, strict=True):
            found = [names[index] for index in label.argmax(axis=-1)]
            assert found == [CLASS_NAMES[index] for index in board.labels().argmax(axis=-1)]


def test_storyboards_on_disk_name_everything(clips):
    stored = {item["id"]: item for item in json.loads((clips.folder / "storyboards.json").read_text())}
    board = clips.boards["train"][3]
    item, event = stored[board.id], board.events[0]
    assert item["kind"] == board.kind
    assert item["events"][0]["object"] == LOOKS[event.look]
    assert item["events"][0]["sound"] == SOUNDS[event.sound]
    assert item["events"][0]["strikes"] == list(event.strikes)
    assert [(d["start"], d["end"]) for d in item["distractors"]] == [(d.start, d.end) for d in board.distractors]


RENDER = """
import sys
from avpipeline.datasets.rendering.clips import render_folder
from avpipeline.datasets.rendering.storyboards import RenderedSettings
render_folder(sys.argv[1], RenderedSettings(train=int(sys.argv[2]), val=0, test=0))
assert "tensorflow" not in sys.modules
"""


def start_render(folder, count: int) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", RENDER, str(folder), str(count)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
def test_two_processes_sharing_a_folder_render_once(tmp_path):
    both = [start_render(tmp_path / "shared", 4) for _ in range(2)]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sorted("rendering clips" in text for text in said) == [False, True]
    boards = storyboards(RenderedSettings(train=4), "train")
    for board in boards:
        decoded = read_clip(clip_path(tmp_path / "shared", board), frame_rate=1)
        assert decoded.audio_seconds == decoded.video_seconds == 10


@pytest.mark.slow
def test_rendering_goes_on_after_a_kill(tmp_path):
    folder = tmp_path / "killed"
    process = start_render(folder, 8)
    deadline = time.monotonic() + 60
    while len(list(folder.glob("clips/train*.mp4"))) < 2:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("clips/train*.mp4")}
    assert 2 <= len(kept) < 8
    (folder / "clips" / ".train_00007.partial-half.mp4").write_bytes(b"half")
    render_folder(folder, RenderedSettings(train=8, val=0, test=0))
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert len(list((folder / "clips").iterdir())) == 8
    for path in (folder / "clips").iterdir():
        assert read_clip(path, frame_rate=1).video_seconds == 10


def test_a_folder_of_other_clips_is_refused(clips):
    with pytest.raises(InputError, match="other settings"):
        render_folder(clips.folder, RenderedSettings(seed=5, train=1))


def test_a_failing_process_gives_its_sentence(tmp_path):
    settings = RenderedSettings(train=2, val=0, test=0)
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "clips").write_text("in the way")
    with pytest.raises(InputError, match="in the way"):
        render_folder(tmp_path / "blocked", settings)


def test_command_renders_into_a_folder(tmp_path, capsys):
    out = tmp_path / "look"
    argv = [str(out), "--seed", "3", "--train", "1", "--val", "0", "--test", "0"]
    assert run_command(rendered, *argv) == 0
    assert "1 clips" in capsys.readouterr().out
    assert [path.name for path in (out / "clips").iterdir()] == ["train_00000.mp4"]
    assert run(rendered.main, prog="rendered", argv=[*argv[:2], "4", *argv[3:]]) == 2


# Features


def test_split_has_features_labels_and_their_identity(clips):
    split = rendered_split("train", SMALL)
    assert (split.dataset, split.name, len(split)) == ("rendered", "train", 10)
    assert split.class_names == CLASS_NAMES
    assert split.features["audio"].label == "small_audio:embedding"
    assert split.features["visual"].label == "small_visual:pool5"
    assert split.inputs["audio"].shape == (10, 128) and split.inputs["visual"].shape == (10, 7, 7, 512)
    np.testing.assert_array_equal(split.labels, np.stack([board.labels() for board in clips.boards["train"]]))
    rows = np.array([7, 2])
    for source in split.inputs.values():
        values = source.read(rows)
        assert values.dtype == np.float32 and np.isfinite(values).all() and values.min() == 0 < values.max()
        np.testing.assert_array_equal(values[0], source.read(np.arange(10))[7])


def test_features_are_those_of_their_second(clips):
    split = rendered_split("train", SMALL)
    clip = read_clip(clips.paths("train")[3], frame_rate=4, size=FRAME_SIZE)
    audio = build_small_audio().predict(clip.waveform.reshape(10, SAMPLE_RATE), verbose=0)
    visual = build_small_visual().predict(clip.frames, verbose=0).reshape(10, 4, 7, 7, 512).mean(axis=1)
    stored = {modality: source.read(np.array([3]))[0] for modality, source in split.inputs.items()}
    np.testing.assert_allclose(stored["audio"], audio, atol=1e-4)
    np.testing.assert_allclose(stored["visual"], visual, atol=1e-4)


def test_features_cut_short_leave_no_file(clips):
    """The second of the test clips is damaged."""
    with unreadable(clips.paths("test")[1]), pytest.raises(InputError, match="test_000001.mp4: is not a media file"):
        rendered_split("test", SMALL)
    assert not [path for path in clips.folder.glob("features/*/*") if "test_" in path.name]


def test_features_are_kept_and_made_once_by_two_threads(clips):
    """Each finds the same files at its end; ones that were made again would be others."""
    found = []

    def read():
        rendered_split("val", SMALL)
        found.append({path: path.stat().st_ino for path in clips.folder.glob("features/*/val_*.npy")})

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first, again = rendered_split("val", SMALL), rendered_split("val", SMALL)
    read()
    assert found[0] and found[0] == found[1] == found[2]
    for modality in ("audio", "visual"):
        rows = np.arange(2)
        np.testing.assert_array_equal(first.inputs[modality].read(rows), again.inputs[modality].read(rows))


def test_videos_have_the_labels_of_their_events(clips):
    """One label, without background, where a clip has one event."""
    split = rendered_video_split("train", SMALL)
    assert split.labels.shape == (10, 8) and split.class_names == CLASS_NAMES[:-1]
    for board, label in zip(clips.boards["train"], split.labels, strict=True):
        assert [int(index) for index in np.flatnonzero(label)] == [category_of(board)]


def category_of(board) -> int:
    (category,) = {event.category for event in board.events}
    return category


@pytest.mark.parametrize(("name", "says"), [("dev", "no split 'dev'"), ("val", "no clips")])
def test_a_split_that_is_not_there(name, says):
    with pytest.raises(InputError, match=says):
        rendered_split(name, RenderedSettings(val=0))


def test_supplements_features_are_made_when_asked_for(clips):
    split = rendered_split("val", SMALL, modalities=("audio_map", "motion"))
    assert {name: source.shape for name, source in split.inputs.items()} == {
        "audio_map": (10, 6, 4, 512),
        "motion": (10, 512),
    }
    assert {info.label for info in split.features.values()} == {"small_audio_map:pool4", "small_motion:pool5"}
    clip = read_clip(clips.paths("val")[0], seconds=10, frame_rate=4, size=(64, 64))
    extractors = {name: build_extractor(info.extractor) for name, info in split.features.items()}
    for name, expected in clip_features(extractors, clip).items():
        np.testing.assert_allclose(split.inputs[name].read(np.array([0]))[0], expected, atol=1e-5)


def test_weak_training_has_a_label_a_clip_and_videos_without_an_event(clips):
    split = rendered_weak_training(SMALL, modalities=("audio", "visual"))
    boards = clips.boards["train"]
    for board, label in zip(boards, split.labels, strict=False):
        assert label.argmax() == board.events[0].category
    noisy = np.arange(len(boards), len(split))
    assert len(noisy) == 1 and (split.labels[noisy].argmax(-1) == 8).all()
    plain = rendered_split("train", SMALL)
    for video in noisy:
        # Its pictures are of one clip, its sound of another: a pair that no event has.
        look = [row for row in range(len(plain)) if same(split, plain, "visual", video, row)]
        sound = [row for row in range(len(plain)) if same(split, plain, "audio", video, row)]
        pair = boards[look[0]].events[0].look, boards[sound[0]].events[0].sound
        assert pair not in PAIRS
    assert len(rendered_weak_training(SMALL, noisy=False)) == len(boards)


def same(split, plain, modality, video, row):
    return np.array_equal(
        split.inputs[modality].read(np.array([video])), plain.inputs[modality].read(np.array([row]))
    )
