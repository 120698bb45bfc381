"""AVE with one label a video, and zero padding of videos shorter than its ten seconds."""

import dataclasses

import numpy as np
import pytest

from avpipeline.datasets.ave_videos import load_ave_videos
from avpipeline.datasets.base import ArraySource
from avpipeline.datasets.batches import batches
from avpipeline.datasets.padding import ZeroPadded, segment_mask, whole_segments
from avpipeline.errors import InputError
from avpipeline.features.info import FeatureInfo
from avpipeline.features.shards import ClipRecord, ShardWriter
from avpipeline.features.store import Manifest, write_manifest
from tests.helpers.ave_files import ORDERS, write_ave_folder

# Of ave_files.LINES, by hand: Bark 0, Cat 1, Violin 2.
VIDEO_CLASSES = np.array([2, 0, 2, 1, 0, 1])


def test_labels_are_of_whole_videos_in_alphabetical_order(tmp_path):
    folder = write_ave_folder(tmp_path / "ave")
    for name, order in ORDERS.items():
        split = load_ave_videos(folder, name)
        assert split.class_names == ("Bark", "Cat", "Violin, fiddle") and list(split.inputs) == ["audio", "visual"]
        np.testing.assert_array_equal(split.labels, np.eye(3)[VIDEO_CLASSES[list(order)]])
        np.testing.assert_array_equal(split.inputs["audio"].read(np.arange(len(order)))[:, 0, 0], order)
    assert list(load_ave_videos(folder, "test", modalities=["audio"]).inputs) == ["audio"]


def test_extracted_features_are_zero_after_the_end_of_a_short_video(tmp_path):
    folder = write_ave_folder(tmp_path / "ave", features=())
    features = {
        "audio": FeatureInfo("vggish", "conv4_2", "none", "e" * 64, (2, 2, 3)),
        "visual": FeatureInfo("densenet201", "avg_pool", "none", "f" * 64, (4,)),
    }
    ids = ("v4", "v3", "v2", "v1", "v0")
    manifest = Manifest(features, 10, ids, complete=True)
    write_manifest(folder, manifest)
    with ShardWriter(folder, manifest.shapes, 4) as writer:
        for row, video_id in enumerate(ids):
            # v1 has 6.4 s of sound and 7.2 s of pictures; v0 has no sound.
            lengths = {"v1": (6.4, 7.2), "v0": (0.0, 9.6)}.get(video_id, (10.0, 10.0))
            record = ClipRecord(video_id, f"{video_id}.mp4", 1, lengths[0] > 0, True, *lengths)
            writer.add(record, {name: np.full(shape, row + 1, np.float32) for name, shape in manifest.shapes.items()})

    test = load_ave_videos(folder, "test")  # v4, v1
    for name in ("audio", "visual"):
        values = test.inputs[name].read(np.array([1, 0]))
        assert (values[0, :7] == 4).all() and (values[0, 7:] == 0).all() and (values[1] == 1).all()
    np.testing.assert_array_equal(segment_mask(test), [[True] * 10, [True] * 7 + [False] * 3])
    ((inputs, labels),) = batches(test, 2)
    assert inputs["audio"].shape == (2, 10, 2, 2, 3) and not inputs["audio"][1, 7:].numpy().any()
    np.testing.assert_array_equal(labels, np.eye(3)[[1, 0]])
    assert segment_mask(load_ave_videos(folder, "train")).all()


def test_folder_without_features_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="has no features, neither audio_feature.h5 nor visual_feature.h5"):
        load_ave_videos(write_ave_folder(tmp_path / "ave", features=()), "test")
    with pytest.raises(InputError, match=r"Annotations\.txt: no such file"):
        load_ave_videos(tmp_path, "test")


def test_lengths_are_rounded_to_whole_segments():
    seconds = [0.0, 0.4, 1.5, 6.4, 6.5, 9.99, 10.3, 23.0]
    assert whole_segments(np.array(seconds), 10).tolist() == [1, 1, 2, 6, 7, 10, 10, 10]


def test_padding_leaves_the_source_alone():
    array = np.ones((2, 3, 2), np.float32)
    padded = ZeroPadded(ArraySource(array), np.array([1, 3]))
    np.testing.assert_array_equal(padded.read(np.array([1, 0, 0])).sum((1, 2)), [6, 2, 2])
    assert array.all() and padded.shape == (3, 2) and len(padded) == 2


def test_mask_is_false_only_where_every_modality_is_zero():
    from tests.helpers.synthetic import synthetic_split

    split = synthetic_split("test", 20)
    audio, visual = (split.inputs[name].read(np.arange(20)) for name in ("audio", "visual"))
    audio[0, 1:] = 0
    visual[0, 2:] = 0
    silent = dataclasses.replace(split, inputs={"audio": ArraySource(audio), "visual": ArraySource(visual)})
    mask = segment_mask(silent)
    assert mask[0].tolist() == [True, True, False, False] and mask[1:].all()
