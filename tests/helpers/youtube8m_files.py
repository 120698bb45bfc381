"""Records of YouTube-8M written by hand, field by field, without the project's own writer."""

import numpy as np
import tensorflow as tf


def feature(values):
    kind = type(values[0]) if values else int
    if kind is bytes:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    if kind is int:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def features(fields):
    return tf.train.Features(feature={name: feature(values) for name, values in fields.items()})


def video_record(name, labels, **vectors):
    """Video level: `vectors` are mean_rgb, mean_audio, std_rgb, std_audio."""
    fields = {"id": [name.encode()], "labels": labels}
    fields |= {field: [float(value) for value in values] for field, values in vectors.items()}
    return tf.train.Example(features=features(fields)).SerializeToString()


def frame_record(name, labels, rgb=None, audio=None, **segments):
    """Frame level: bytes `(frames, width)`; `segments` are segment_start_times, segment_labels, segment_scores."""
    lists = {
        field: tf.train.FeatureList(feature=[feature([bytes(row)]) for row in np.asarray(rows, np.uint8)])
        for field, rows in {"rgb": rgb, "audio": audio}.items()
        if rows is not None
    }
    return tf.train.SequenceExample(
        context=features({"id": [name.encode()], "labels": labels, **segments}),
        feature_lists=tf.train.FeatureLists(feature_list=lists),
    ).SerializeToString()


def write(path, *records):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return path


def some_videos(folder, shards=3, videos=5, seed=0):
    """Shards of video-level records, audio (2,) and rgb (3,), with std; their ids in the order of the files."""
    rng = np.random.default_rng(seed)
    names = []
    for shard in range(shards):
        records = []
        for video in range(videos):
            names.append(f"s{shard}v{video}")
            vectors = {"mean_rgb": rng.random(3), "mean_audio": rng.random(2), "std_rgb": rng.random(3)}
            records.append(video_record(names[-1], [shard, 3 + video], **vectors, std_audio=rng.random(2)))
        write(folder / f"train{shard}.tfrecord", *records)
    return names
