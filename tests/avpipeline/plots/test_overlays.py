"""Attention maps over frames: red where the weight is, the frame where it is not."""

import numpy as np

from avpipeline import media
from avpipeline.plots.overlays import caption, overlay_attention, write_overlay


def test_overlay_is_red_where_the_weight_is_and_keeps_the_frame_elsewhere():
    frame = np.full((70, 140, 3), 100, np.uint8)
    attention = np.zeros((7, 7), np.float32)
    attention[2, 5] = 1
    overlay = overlay_attention(frame, attention, (0, 1))
    assert overlay.dtype == np.uint8 and overlay.shape == frame.shape
    red_minus_blue = overlay[..., 0].astype(int) - overlay[..., 2]
    row, column = np.unravel_index(red_minus_blue.argmax(), red_minus_blue.shape)
    # Region (2, 5) covers rows 20-30 and columns 100-120.
    assert 20 <= row < 30 and 100 <= column < 120
    np.testing.assert_array_equal(overlay[60:, :40], frame[60:, :40])


def test_overlay_limits_set_the_scale():
    frame = np.full((28, 28, 3), 100, np.uint8)
    weak = np.full((7, 7), 0.1, np.float32)
    np.testing.assert_array_equal(overlay_attention(frame, weak, (0.1, 0.9)), frame)
    assert np.any(overlay_attention(frame, weak, (0.0, 0.1)) != frame)
    # A map without any difference has no place to point at.
    np.testing.assert_array_equal(overlay_attention(frame, weak, (0.1, 0.1)), frame)


def test_a_caption_is_in_the_lower_left_corner_and_no_wider_than_the_frame():
    frame = np.full((240, 320, 3), 100, np.uint8)
    letters = caption(frame, "a name that is far too long to be written at the usual size").min(-1) > 150
    rows, columns = np.nonzero(letters)
    assert rows.min() > 200 and 0 < columns.min() < 20 and 280 < columns.max() < 319
    np.testing.assert_array_equal(frame, 100)


def test_a_warning_is_written_over_every_frame(tmp_path):
    """Above the label: dark ground in the upper left corner of a white clip, nowhere without a warning."""
    path = tmp_path / "white.mp4"
    media.write_clip(path, np.full((8, 120, 160, 3), 255, np.uint8), None, frame_rate=4)
    maps = np.full((2, 2, 2), 0.25)
    corners = {}
    for warning in ("trained on synthetic clips; describe", None):
        out = tmp_path / f"{warning is None}.mp4"
        write_overlay(out, media.probe(path), maps, ["a", "a"], warning=warning)
        frames = media.read_frames(out, frame_rate=4, size=None, seconds=2)
        corners[warning is None] = frames[:, 8:20, 8:60].reshape(len(frames), -1).min(1)
    assert (corners[False] < 60).all()
    assert (corners[True] > 100).all()
