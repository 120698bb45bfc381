"""Features at time steps from frozen backbones: computed once, the same for one file, zeros for a missing stream."""

import dataclasses

import keras
import numpy as np
import pytest

from avpipeline.errors import InputError
from avpipeline.features import mc3
from eventlayers import time_steps
from eventlayers.clips import read_clips, read_stream
from eventlayers.small_backbones import build_small_event_audio, build_small_event_visual
from eventlayers.time_steps import time_step_backbones, time_step_backbones_for, time_step_inputs
from tests.helpers.media_files import tone, write_media


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AVPIPELINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "clips"


@pytest.fixture(scope="module")
def small():
    return time_step_backbones("small")


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    folder = tmp_path_factory.mktemp("media")
    video = {"video": "mpeg4", "times": np.arange(25) * 0.4}
    sound = {"audio": "pcm_s16le", "samples": tone(10, 16_000)}
    return [
        write_media(folder / "both.mkv", **video, **sound),
        write_media(folder / "silent.mkv", **video),
        write_media(folder / "dark.mkv", **sound),
    ]


def read(inputs, row):
    return {name: source.read(np.array([row]))[0] for name, source in inputs.items()}


def time_steps_of(path, backbones):
    ((clip, onsets),) = read_clips(path, backbones.frames, "librosa")
    return {**backbones.of_clip(clip), **onsets}


def test_features_of_files_and_of_one_file_agree(media, small):
    inputs = time_step_inputs(media, small)
    assert {name: source.shape for name, source in inputs.items()} == {
        "visual": (100, 512),
        "audio": (100, 512),
        "onsets": (100,),
        "onset_mask": (100,),
    }
    for row, path in enumerate(media):
        one = time_steps_of(path, small)
        assert one["maps"].shape == (100, 4, 4, 512)
        np.testing.assert_allclose(one["visual"], one["maps"].mean((1, 2)), rtol=0, atol=1e-5)
        for name, array in read(inputs, row).items():
            np.testing.assert_array_equal(array, one[name])
            assert array.dtype == np.float32


def test_a_missing_stream_has_zero_features(media, small):
    inputs = time_step_inputs(media, small)
    both, silent, dark = (read(inputs, row) for row in range(3))
    assert both["visual"].any() and both["audio"].any()
    assert silent["visual"].any() and not silent["audio"].any() and not silent["onset_mask"].any()
    assert not dark["visual"].any() and dark["audio"].any()


def test_features_are_made_once(media, small, monkeypatch):
    first = time_step_inputs(media[:2], small)
    decoded = []
    original = time_steps.read_stream
    spy = lambda modality, path, *more: decoded.append(path) or original(modality, path, *more)  # noqa: E731
    monkeypatch.setattr(time_steps, "read_stream", spy)
    again = time_step_inputs(media, small)
    assert decoded == [media[2]] * 2
    np.testing.assert_array_equal(read(again, 0)["visual"], read(first, 0)["visual"])
    # A feature that was damaged on the disk is made again when it is read.
    again["visual"].place(media[1]).write_bytes(b"no array")
    np.testing.assert_array_equal(read(again, 1)["visual"], read(first, 1)["visual"])


def test_other_weights_are_other_features(media, small):
    louder = build_small_event_audio(seed=1)
    other = time_step_backbones("small", audio_weights=louder)
    assert other.features["visual"] == small.features["visual"]
    assert "weights" in other.features["audio"].difference(small.features["audio"])
    kept, made = (time_step_inputs(media[:1], each)["audio"] for each in (small, other))
    assert kept.place(media[0]) != made.place(media[0])


def test_trained_networks_take_the_place_of_the_seeded_ones(media):
    visual, audio = build_small_event_visual(seed=2), build_small_event_audio(seed=3)
    backbones = time_step_backbones("small", visual, audio)
    one = time_steps_of(media[0], backbones)
    np.testing.assert_allclose(one["maps"][:2], visual(clip_frames(media[0]))["maps"][0, :2], atol=1e-4)
    with pytest.raises(InputError, match="only in the model that they were trained in"):
        time_step_backbones_for(backbones.features)


def clip_frames(path):
    return read_stream("visual", path, time_steps.FrameFormat(32, None)).frames[None]


def test_backbones_are_found_again_by_their_features(small):
    assert time_step_backbones_for(small.features).features == small.features
    only_sound = {"audio": small.features["audio"]}
    assert time_step_backbones_for(only_sound).features["audio"] == small.features["audio"]


def test_features_of_other_networks_are_refused(small):
    other = {"visual": dataclasses.replace(small.features["visual"], extractor="vgg19")}
    with pytest.raises(InputError, match="vgg19:moments: no backbones of the event layers make these features"):
        time_step_backbones_for(other)
    changed = {"audio": dataclasses.replace(small.features["audio"], sha256="0" * 64)}
    with pytest.raises(InputError, match="are not those that made the features"):
        time_step_backbones_for(changed)


def test_published_backbones_name_their_weights(monkeypatch):
    """The networks themselves are tested elsewhere; here a few frames of a few pixels stand in for MC3-18's clip."""
    built = []

    def network(weights=None, **_):
        built.append(weights)
        frames = keras.Input((100, 112, 112, 3))
        maps = keras.layers.AveragePooling3D((1, 16, 16))(frames)
        return keras.Model(frames, {"features": keras.layers.Reshape((100, 147))(maps), "maps": maps})

    monkeypatch.setattr(mc3, "build_mc3_18", network)
    for weights, label in (
        ("none", "none"),
        ("default", "kinetics-400"),
        ("/x/mc3_18-a90a0ba3.pth", "kinetics-400"),
        ("/x/mine.pth", "mine.pth"),
    ):
        backbones = time_step_backbones("published", weights)
        info = backbones.features["visual"]
        assert (info.label, info.weights, info.shape) == ("mc3_18:moments", label, (512,))
        assert backbones.features["audio"].label == "event_audio_network:moments"
        assert backbones.frames.size == 112 and backbones.frames.resize == (128, 171)
    assert [str(weights) for weights in built] == ["None", "default", "/x/mc3_18-a90a0ba3.pth", "/x/mine.pth"]
    with pytest.raises(InputError, match=r"mine\.pth: MC3-18's weight file of these features is not in"):
        time_step_backbones_for(backbones.features)
