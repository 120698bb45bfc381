"""Clips as rows: frames, sound and onsets of media files, cached and streamed through tf.data."""

import json

import numpy as np
import pytest
import tensorflow as tf

from avpipeline.datasets.base import Split
from avpipeline.datasets.batches import batches
from avpipeline.errors import InputError
from eventlayers.clips import FrameFormat, clip_inputs, padded_onsets, read_clips, resize_and_cut
from tests.helpers.media_files import shown_index, tone, write_media
from tests.helpers.unreadable import unreadable

SMALL = FrameFormat(32, None)
NOTES = [1.05, 2.55, 7.25]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AVPIPELINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "clips"


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    """A clip of 25 grey frames, each shown for 0.4 s, with plucked notes; one without sound; one without video."""
    folder = tmp_path_factory.mktemp("media")
    video = {"video": "mpeg4", "times": np.arange(25) * 0.4}
    sound = {"audio": "pcm_s16le", "samples": notes()[None]}
    return {
        "both": write_media(folder / "both.mkv", **video, **sound),
        "silent": write_media(folder / "silent.mkv", **video),
        "dark": write_media(folder / "dark.mkv", **sound),
        "short": write_media(folder / "short.wav", audio="pcm_s16le", samples=tone(2, 16_000)),
    }


def notes() -> np.ndarray:
    """10 s with a plucked note at each of `NOTES`, `(160000,)` float32."""
    time, sound = np.arange(160_000) / 16_000, np.zeros(160_000)
    for number, start in enumerate(NOTES):
        after = np.maximum(time - start, 0)
        sound += 0.5 * (time >= start) * np.exp(-8 * after) * np.sin(2 * np.pi * (400 + 150 * number) * after)
    return sound.astype("float32")


def read(inputs, rows=(0,)):
    return {name: source.read(np.array(rows)) for name, source in inputs.items()}


def time_steps(seconds):
    """The time steps of onsets, which are padded with zeros and masked."""
    found = padded_onsets(seconds)
    assert found["onsets"].shape == found["onset_mask"].shape == (100,)
    count = int(found["onset_mask"].sum())
    assert found["onset_mask"][:count].all() and not found["onsets"][count:].any()
    return found["onsets"][:count].tolist()


def test_onset_moments_by_hand():
    assert time_steps([0.0, 0.05, 0.0999, 0.1, 3.96, 9.99, 10.0, 12.3]) == [0, 1, 39, 99]
    assert time_steps([7.5, 0.31, 0.39]) == [3, 75]
    assert time_steps([]) == []
    # A tenth is its own time step, however it is rounded in binary.
    assert time_steps(np.arange(100) / 10) == list(range(100))


@pytest.mark.parametrize("shape", [(24, 32), (240, 320), (97, 113), (270, 480), (40, 20)])
def test_frames_are_resized_and_cut_as_torchvision_does(shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype("uint8")
    whole = tf.round(tf.image.resize(image, (128, 171), "bilinear", antialias=False)).numpy()
    ours = resize_and_cut(image, resize=(128, 171), size=112)
    assert ours.shape == (112, 112, 3) and ours.dtype == np.uint8
    # Two ways to round in float32 may differ where a value lies halfway between two numbers.
    difference = np.abs(ours.astype(int) - whole[8:120, 30:142])
    assert difference.max() <= 1 and np.mean(difference > 0) < 1e-3


def test_resizing_by_hand():
    """Two pixels to four: half-pixel centres at -0.25, 0.25, 0.75 and 1.25; beyond the pixels the nearest counts."""
    image = np.array([[[0] * 3, [100] * 3]], "uint8")
    assert resize_and_cut(image, resize=(4, 4), size=4)[0, :, 0].tolist() == [0, 25, 75, 100]
    assert resize_and_cut(image, resize=(4, 4), size=2)[0, :, 0].tolist() == [25, 75]


def test_rows_of_a_clip(media):
    rows = read(clip_inputs([media["both"]], FrameFormat()))
    assert rows["visual"].shape == (1, 100, 112, 112, 3) and rows["visual"].dtype == np.uint8
    # Ten frames a second, each grey frame is shown four times.
    assert shown_index(rows["visual"][0]) == [index // 4 for index in range(100)]
    assert rows["audio"].shape == (1, 160_000) and rows["audio"].dtype == np.float32
    np.testing.assert_allclose(rows["audio"][0], notes(), atol=1e-4)
    assert rows["onset_mask"][0].sum() == 3
    assert rows["onsets"][0, :3].tolist() == [10, 25, 72]


def test_one_file_gives_the_same_arrays(media):
    rows = read(clip_inputs([media["both"]], SMALL, onset_method="fine"))
    ((clip, onsets),) = read_clips(media["both"], SMALL, "fine")
    for name, array in {"visual": clip.frames, "audio": clip.waveform, **onsets}.items():
        np.testing.assert_array_equal(array, rows[name][0])
        assert array.dtype == rows[name].dtype


def test_missing_streams_are_zeros(media):
    silent, dark, short = (read(clip_inputs([media[name]], SMALL)) for name in ("silent", "dark", "short"))
    assert not silent["audio"].any() and not silent["onset_mask"].any() and silent["visual"].any()
    assert not dark["visual"].any() and dark["onset_mask"].sum() == 3
    assert short["audio"][0, :32_000].any() and not short["audio"][0, 32_000:].any()


def test_what_was_decoded_is_kept(media):
    first = read(clip_inputs([media["both"]], SMALL))
    with unreadable(media["both"]):
        for name, array in read(clip_inputs([media["both"]], SMALL)).items():
            np.testing.assert_array_equal(array, first[name])


def test_onsets_are_found_once_and_kept_with_their_settings(media, cache):
    inputs = clip_inputs([media["both"]], SMALL)
    read(inputs)
    (place,) = cache.rglob("*.json")
    record = json.loads(place.read_text())
    assert record["file"] == str(media["both"])
    assert record["settings"] | {"librosa": ""} == {
        "rows": "onsets",
        "librosa": "",
        "sample_rate": 16_000,
        "hop_length": 512,
        "n_fft": 2048,
        "n_mels": 128,
    }
    assert time_steps(record["onsets"]) == inputs["onsets"].read(np.array([0]))[0, :3].tolist()
    kept = inputs["onsets"].read(np.array([0]))
    # Another way to find them is another place.
    fine = clip_inputs([media["both"]], SMALL, onset_method="fine")
    with unreadable(media["both"]):
        np.testing.assert_array_equal(inputs["onsets"].read(np.array([0])), kept)
        with pytest.raises(InputError, match="is not a media file"):
            fine["onsets"].read(np.array([0]))
    assert fine["onsets"].read(np.array([0]))[0, :3].tolist() == [10, 25, 72]
    assert len(list(cache.rglob("*.json"))) == 2


def test_a_file_that_is_replaced_is_decoded_again(media, tmp_path):
    path = tmp_path / "clip.mkv"
    path.write_bytes(media["both"].read_bytes())
    inputs = clip_inputs([path], SMALL)
    assert read(inputs)["audio"].any()
    path.write_bytes(media["silent"].read_bytes())
    assert not read(inputs)["audio"].any() and not read(inputs)["onset_mask"].any()


def test_a_damaged_file_of_the_cache_is_made_again(media, cache):
    inputs = clip_inputs([media["both"]], SMALL)
    first = read(inputs)
    for path in cache.rglob("*"):
        if path.suffix in (".npy", ".json"):
            path.write_bytes(path.read_bytes()[:50])
    for name, array in read(inputs).items():
        np.testing.assert_array_equal(array, first[name])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.mp4: there is no such file"):
        read(clip_inputs([tmp_path / "gone.mp4"], SMALL))


def split_of(media):
    inputs = clip_inputs([media["both"], media["silent"], media["dark"]], SMALL)
    labels = np.eye(3, dtype="float32")
    return Split("clips", "train", ("a", "b", "c"), ("x", "y", "z"), inputs, labels, SMALL.info())


def test_clips_stream_through_tf_data(media):
    split = split_of(media)
    for in_memory in (False, True):
        dataset = batches(split, 2, shuffle=True, seed=3, cache=in_memory)
        assert dataset.element_spec[0]["visual"].dtype == tf.uint8
        seen = np.concatenate([labels.numpy().argmax(1) for _, labels in dataset])
        assert sorted(seen) == [0, 1, 2]
        for inputs, labels in dataset:
            for video, label in enumerate(labels.numpy().argmax(1)):
                own = {name: source.read(np.array([label]))[0] for name, source in split.inputs.items()}
                for name, expected in own.items():
                    np.testing.assert_array_equal(inputs[name][video], expected)


def test_formats_are_told_apart():
    published, small = FrameFormat().info(), SMALL.info()
    assert published["visual"].difference(small["visual"]) and published["audio"] == small["audio"]
    assert published["visual"].label == "frames:112x112 of 128x171" and small["visual"].label == "frames:32x32"
