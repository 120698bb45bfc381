"""The quick look at frame-level records says no more than decoding them does."""

import numpy as np
import pytest
import tensorflow as tf

from avpipeline.datasets.youtube8m.records import Record, Video, encode_frames, is_readable
from avpipeline.datasets.youtube8m.wire import context_of_regular
from tests.helpers.youtube8m_files import feature, features, frame_record, video_record

LISTS = frozenset(("rgb", "audio"))


def frames(length, width):
    return np.random.default_rng(length).integers(0, 256, (length, width))


@pytest.mark.parametrize("length", [1, 7, 300])
def test_usual_records_are_recognised(length):
    hand_made = frame_record("v", [1, 2], frames(length, 1024), frames(length, 128))
    video = Video("v", [1, 2], {"audio": frames(length, 128) / 100, "visual": frames(length, 1024) / 100})
    for data in (hand_made, encode_frames(video), frame_record("v", [], frames(length, 3))):
        context = context_of_regular(data, LISTS)
        assert Record(context).id == "v" and len(context) < 60 and is_readable(data)


def test_all_others_are_left_to_the_decoder():
    wrong_kind = tf.train.FeatureList(feature=[feature([b"abc"]), feature([3])])
    empty_frame = tf.train.FeatureList(feature=[feature([b"abc"]), feature([b""])])
    two_strings = tf.train.FeatureList(feature=[feature([b"abc", b"d"])])
    other_name = tf.train.FeatureList(feature=[feature([b"abc"])])
    for name, listed, readable in (
        ("rgb", wrong_kind, False),
        ("rgb", empty_frame, True),
        ("rgb", two_strings, True),
        ("audio_embedding", other_name, True),
    ):
        lists = tf.train.FeatureLists(feature_list={name: listed})
        record = tf.train.SequenceExample(context=features({"id": [b"v"]}), feature_lists=lists)
        data = record.SerializeToString()
        assert context_of_regular(data, LISTS) is None and is_readable(data) == readable, name
    for data in (b"", b"\n", video_record("v", [1], mean_rgb=[1.0]), b"\x00" * 9):
        assert context_of_regular(data, LISTS) is None


def test_damage_is_never_taken_for_a_usual_record():
    """Whatever is called usual decodes to the same: every byte changed, every length cut."""
    data = frame_record("v", [1], frames(2, 3), frames(2, 2))
    places = [(at, mask) for at in range(len(data)) for mask in (1, 8, 64, 255)]
    changed = [data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :] for at, mask in places]
    for damaged in (*changed, *(data[:cut] for cut in range(len(data))), data + b"\n\x00"):
        if context_of_regular(damaged, LISTS) is not None and is_readable(damaged):
            record = tf.train.SequenceExample.FromString(damaged)
            for listed in record.feature_lists.feature_list.values():
                assert all(len(each.bytes_list.value) == 1 for each in listed.feature)
