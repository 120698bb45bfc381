"""Features at time steps from frozen backbones: computed once, the same for one file, zeros for a missing stream."""

import dataclasses

import numpy as np
import pytest

from avpipeline.errors import InputError
from avpipeline.features import mc3
from eventlayers import time_steps
from eventlayers.clips import read_clips, read_stream
from eventlayers.small_backbones import build_small_event_audio, build_small_event_visual
from eventlayers.time_steps import time_step_backbones, time_step_backbones_for, time_step_inputs
from tests.helpers.media_files import tone, write_media
from tests.helpers.unreadable import unreadable
from tests.helpers.video_checkpoints import randomized, torch_state, write


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


def test_features_are_made_once(media, small):
    first = time_step_inputs(media[:2], small)
    with unreadable(*media[:2]):
        again = time_step_inputs(media, small)
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


def test_published_backbones_name_their_weights(tmp_path, monkeypatch):
    """A file of random weights, under MC3-18's own name and under another."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    official, own = tmp_path / "weights" / "mc3_18-a90a0ba3.pth", tmp_path / "mine.pth"
    official.parent.mkdir()
    network = randomized(mc3.build_video_classifier("mc3_18", num_classes=3, frames=2, size=16))
    write(official, torch_state(network))
    own.symlink_to(official)
    hashes = set()
    for weights, label in (
        ("none", "none"),
        ("default", "kinetics-400"),
        (official, "kinetics-400"),
        (own, "mine.pth"),
    ):
        backbones = time_step_backbones("published", weights, weights_dir=official.parent)
        info = backbones.features["visual"]
        assert (info.label, info.weights, info.shape) == ("mc3_18:moments", label, (512,))
        assert backbones.features["audio"].label == "event_audio_network:moments"
        assert backbones.frames.size == 112 and backbones.frames.resize == (128, 171)
        hashes.add((label != "none", info.sha256))
    # Seeded random ones, and those of the file.
    assert len(hashes) == 2
    with pytest.raises(InputError, match=r"mine\.pth: MC3-18's weight file of these features is not in"):
        time_step_backbones_for(backbones.features)
