"""Frames of media files: the right one at known seconds, whatever the container does."""


import numpy as np
import pytest

from avpipeline.media import SAMPLE_RATE, probe, read_clip, read_frames, write_clip
from tests.helpers.media_files import SIZE, constant, expected_index, shown_index, tone, write_media


@pytest.mark.parametrize("rate", [25, 16, 10, 50, 29.97])
@pytest.mark.parametrize("name, codec", [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4")])
def test_frames_of_a_constant_rate_are_those_shown_at_the_wanted_times(tmp_path, name, codec, rate):
    path = write_media(tmp_path / name, video=codec, times=constant(25))
    frames = read_frames(path, frame_rate=rate, size=SIZE, seconds=1)
    assert frames.shape == (round(rate), *SIZE, 3) and frames.dtype == np.uint8
    assert shown_index(frames) == expected_index(constant(25), rate=rate, seconds=1)


@pytest.mark.parametrize(
    "name, codec",
    [("a.avi", "mpeg4"), ("a.avi", "libx264"), ("a.mp4", "mpeg4"), ("a.mp4", "libx264"), ("a.mkv", "libx264")],
)
def test_frames_stored_in_another_order_are_read_in_the_order_shown(tmp_path, name, codec):
    path = write_media(tmp_path / name, video=codec, times=constant(25), b_frames=2)
    for start in (0.0, 0.4):
        shown = shown_index(read_frames(path, frame_rate=25, size=SIZE, start=start, seconds=0.6))
        assert shown == expected_index(constant(25), rate=25, start=start, seconds=0.6)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_variable_frame_rate_is_read_by_timestamp(tmp_path, name):
    times = [0.0, 0.04, 0.08, 0.5, 0.52, 0.9, 1.4, 1.44, 1.48, 1.52]
    path = write_media(tmp_path / name, video="libx264", times=times)
    expected = expected_index(times, rate=10, seconds=1.5)
    assert expected[:5] == [1, 2, 2, 2, 2] and expected[9:] == [5, 5, 5, 5, 5, 7]  # index / rate would differ
    assert shown_index(read_frames(path, frame_rate=10, size=SIZE, seconds=1.5)) == expected


def test_after_the_last_frame_it_is_held_for_half_a_second_then_zeros(tmp_path):
    path = write_media(tmp_path / "a.mp4", video="libx264", times=constant(10))  # 0.4 s
    clip = read_clip(path, seconds=2, frame_rate=10, size=SIZE)
    assert shown_index(clip.frames[:9]) == [1, 3, 6, 8, 9, 9, 9, 9, 9]  # until second 0.9
    assert not clip.frames[9:].any()
    assert clip.video_seconds == pytest.approx(0.4)


def test_video_that_begins_late_is_placed_late(tmp_path):
    path = write_media(
        tmp_path / "a.mkv", video="libx264", times=1.0 + constant(25), audio="pcm_s16le", samples=tone(2, SAMPLE_RATE)
    )
    clip = read_clip(path, seconds=2, frame_rate=10, size=SIZE)
    assert not clip.frames[:5].any()
    assert shown_index(clip.frames[5:]) == [0] * 5 + expected_index(constant(25), rate=10, seconds=1)
    assert clip.video_seconds == pytest.approx(1.0, abs=0.03)


def test_a_later_start_gives_the_same_frames_as_decoding_from_the_beginning(tmp_path):
    times = constant(30, rate=5)  # 6 s
    options = {"g": "5"}  # a key frame a second, so that a seek lands in the middle
    path = write_media(tmp_path / "a.mp4", video="libx264", times=times, options=options)
    for start in (0.5, 2.0, 3.7, 5.0):
        frames = read_frames(path, frame_rate=10, size=SIZE, start=start, seconds=1)
        assert shown_index(frames) == expected_index(times, rate=10, seconds=1, start=start)


def test_only_the_frames_that_are_needed_are_converted_and_each_once(tmp_path):
    path = write_media(tmp_path / "a.mp4", video="libx264", times=constant(30))
    converted = []

    def transform(frame):
        converted.append(shown_index(frame[None])[0])
        return frame

    read_frames(path, frame_rate=5, size=SIZE, seconds=1, transform=transform)
    assert len(converted) == 5
    converted.clear()
    read_frames(path, frame_rate=100, size=SIZE, seconds=1, transform=transform)
    assert len(converted) == 25 and len(set(converted)) == 25


def test_size_none_keeps_the_videos_own_size_and_a_size_resizes(tmp_path):
    path = write_media(tmp_path / "a.mp4", video="libx264", times=constant(5))
    assert read_frames(path, frame_rate=5, size=None, seconds=0.2).shape == (1, 48, 64, 3)
    assert read_frames(path, frame_rate=5, size=(30, 20), seconds=0.2).shape == (1, 30, 20, 3)


def test_resizing_averages_instead_of_picking_pixels(tmp_path):
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255
    frames = np.repeat(board.astype(np.uint8)[None, :, :, None], 3, axis=-1)
    write_clip(tmp_path / "a.mp4", frames, None, frame_rate=1)
    small = read_frames(tmp_path / "a.mp4", frame_rate=1, size=(16, 16), seconds=1)
    assert abs(small.astype(int) - 127).max() < 25


def test_frames_of_a_rotated_phone_come_upright(tmp_path):
    stored = np.zeros((4, 48, 64, 3), np.uint8)
    stored[:, :, :32] = 200  # the left half is bright
    path = tmp_path / "a.mp4"
    write_clip(path, stored, None, frame_rate=4)
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    # Shown x = -stored y, shown y = stored x: a quarter turn clockwise, which puts the left half on top.
    content[matrix : matrix + 36] = np.array([0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30], ">i4").tobytes()
    path.write_bytes(content)
    for size in (None, (64, 48)):
        frame = read_frames(path, frame_rate=1, size=size, seconds=1)[0]
        assert frame.shape == (64, 48, 3)
        assert frame[:24].mean() > 180 and frame[40:].mean() < 20
    about = probe(path)
    assert (about.height, about.width) == (64, 48) and about.size_at(32) == (32, 24)


def test_colours_survive(tmp_path):
    colours = np.array([[200, 30, 40], [20, 180, 60], [40, 50, 210], [230, 230, 230], [10, 10, 10]])
    frames = np.broadcast_to(colours[:, None, None].astype(np.uint8), (5, 48, 64, 3))
    write_clip(tmp_path / "a.mp4", frames, None, frame_rate=5)
    decoded = read_frames(tmp_path / "a.mp4", frame_rate=5, size=None, seconds=1)
    assert np.abs(decoded.mean(axis=(1, 2)) - colours).max() < 4
