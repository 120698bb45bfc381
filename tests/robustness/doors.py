"""Doors: where something from outside comes in, with what honest input looks like.

A door has a name, a function that writes an honest input into a folder, and one that reads it. `DOORS` is all that the
fuzzer knows: another part of the program joins by adding its own.
"""

import dataclasses
import functools
import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from tests.helpers import torch_writing as made
from tests.helpers.wav_files import sine, write_wav


@dataclasses.dataclass(frozen=True)
class Door:
    """One way in.

    Attributes:
      name: shown in the table.
      write: folder -> the honest file that is damaged.
      read: that file -> its content as nested containers of arrays, for comparison; raises InputError.
      is_checked: whether the form has checksums, so that a changed byte may never change an answer in silence.
    """

    name: str
    write: Callable[[Path], Path]
    read: Callable[[Path], object]
    is_checked: bool = False


VALUES = np.linspace(-1, 1, 24, dtype=np.float32)


def _bytes(name: str, content: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


def _text(name: str, text: str) -> Callable[[Path], Path]:
    return _bytes(name, text.encode())


# Checkpoints


def _read_torch(path):
    from avpipeline.checkpoints import read_torch

    return dict(read_torch(path, classes=("models.att_Net",)).state)


def _read_pickle(path):
    from avpipeline.checkpoints import read_pickle_arrays

    return read_pickle_arrays(path)


def _torch(writer, root) -> Callable[[Path], Path]:
    return lambda folder: writer(folder / "net.pt", root, {"7": VALUES})


_TENSOR = made.tensor(made.storage("7", VALUES), (4, 6))
_STATE = made.state_dict({"module.w": _TENSOR, "module.b": made.tensor(made.storage("7", VALUES), (3,), offset=2)})
_NETWORK = made.network("models.att_Net", {"w": made.parameter(_TENSOR)}, size=made.number(4))


def _tf1(folder: Path) -> Path:
    """The only variables file of a checkpoint, whose checksums TensorFlow verifies."""
    import tensorflow as tf

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.get_variable("w", initializer=VALUES.reshape(4, 6))
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, str(folder / "net.ckpt"), write_meta_graph=False)
    return folder / "net.ckpt.data-00000-of-00001"


def _read_tf1(path):
    from avpipeline.checkpoints import read_tf1

    return read_tf1(path.with_name("net.ckpt"))


# HDF5


def _keras_h5(folder: Path) -> Path:
    with h5py.File(folder / "w.h5", "w") as file:
        file.attrs["layer_names"] = [b"dense_1"]
        file.create_group("dense_1").attrs["weight_names"] = [b"dense_1/kernel:0"]
        file["dense_1"]["dense_1/kernel:0"] = VALUES.reshape(4, 6)
    return folder / "w.h5"


def _read_keras_h5(path):
    from avpipeline.checkpoints import read_keras_h5

    return read_keras_h5(path)


def _authors_h5(folder: Path) -> Path:
    with h5py.File(folder / "audio_feature.h5", "w") as file:
        file["avadataset"] = VALUES.reshape(2, 3, 4).astype(float)
    return folder / "audio_feature.h5"


def _our_h5(folder: Path) -> Path:
    from avpipeline.datasets.ave_h5 import write_ave_h5
    from avpipeline.datasets.base import ArraySource
    from avpipeline.features.info import FeatureInfo

    info = FeatureInfo("vggish", "embedding_relu", "none", "c" * 64, (4,))
    (path,) = write_ave_h5(folder, {"audio": ArraySource(VALUES.reshape(2, 3, 4))}, {"audio": info}, ["v1", "v2"])
    return path


def _read_h5(path):
    from avpipeline.datasets.ave_h5 import H5Source

    source = H5Source(path)
    info = source.feature_info()
    return [source.read(np.arange(len(source))), source.ids(), info and info.to_json()]


# Feature shards


def _shards(folder: Path) -> Path:
    from avpipeline.features.info import FeatureInfo
    from avpipeline.features.shards import ClipRecord, ShardWriter
    from avpipeline.features.store import Manifest, write_manifest

    manifest = Manifest({"audio": FeatureInfo("vggish", "embedding", "none", "", (4,))}, 3, ("a", "b"), True)
    with ShardWriter(folder, manifest.shapes, 2) as writer:
        for row, name in enumerate(manifest.ids):
            record = ClipRecord(name, f"{name}.wav", 9, True, False, 3.0, 0.0)
            writer.add(record, {"audio": VALUES[12 * row : 12 * row + 12].reshape(3, 4)})
    write_manifest(folder, manifest)
    return folder / "features.json"


def _shard(folder: Path) -> Path:
    return _shards(folder).with_name("shard-00000.h5")


def _read_shards(path):
    from avpipeline.features.store import FeatureShards

    shards = FeatureShards(path.parent)
    return [shards.sources["audio"].read(np.arange(len(shards))), list(shards.ids), shards.audio_seconds]


# Media and lists


def _read_media(path):
    from avpipeline.media import probe, read_clip

    probe(path)
    clip = read_clip(path, seconds=1, frame_rate=4, size=(16, 16))
    return [clip.waveform, clip.frames]


def _video(name: str, video: str, audio: str, rate: int = 16000) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        from tests.helpers.media_files import constant, tone, write_media

        return write_media(
            folder / name, video=video, times=constant(10), audio=audio, samples=tone(0.4, rate), rate=rate
        )

    return write


def _sound(name: str, codec: str, rate: int = 44100) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        from tests.helpers.media_files import tone, write_media

        return write_media(folder / name, audio=codec, samples=tone(0.4, rate), rate=rate)

    return write


def _read_annotations(path):
    from avpipeline.datasets.ave import read_annotations

    return [[item.category, item.video_id, item.start, item.end] for item in read_annotations(path)]


def _read_vggsound(path):
    from avpipeline.datasets.vggsound import read_vggsound

    return list(read_vggsound(path.parent, "test").ids)


def _read_llp(path):
    from avpipeline.datasets.llp import read_llp

    videos = read_llp(path.parent, "test")
    return [list(videos.ids), videos.labels]


def _read_description(path):
    from avpipeline.datasets.youtube8m.writing import read_description

    return read_description(path.parent).to_json()


def _description(folder: Path) -> Path:
    from avpipeline.datasets.youtube8m.writing import PUBLISHED_DESCRIPTION, write_description

    write_description(folder, PUBLISHED_DESCRIPTION)
    return folder / "youtube8m.json"


def _records(folder: Path) -> Path:
    from tests.helpers.youtube8m_files import some_videos

    some_videos(folder, shards=1, videos=2)
    return folder / "train0.tfrecord"


def _read_records(path):
    from avpipeline.datasets import youtube8m

    rows = youtube8m.dataset(path, num_classes=10, batch_size=2)
    return [np.asarray(value) for inputs, labels in rows for value in (*inputs.values(), labels)]


def _predictions(folder: Path) -> Path:
    np.savez_compressed(folder / "predictions.npz", labels=VALUES.reshape(4, 6), predictions=VALUES.reshape(4, 6))
    return folder / "predictions.npz"


def _read_predictions(path):
    from avpipeline.files import read_predictions

    return read_predictions(path, "labels", "predictions")


def _pca(folder: Path) -> Path:
    np.savez_compressed(
        folder / "vggish_pca_params.npz", pca_eigen_vectors=np.eye(128, dtype="f4"), pca_means=np.zeros((128, 1), "f4")
    )
    return folder / "vggish_pca_params.npz"


def _read_pca(path):
    from avpipeline.features.vggish import _read_pca as read

    return read(path)


@functools.cache
def _model() -> bytes:
    import tempfile

    import ave
    from avpipeline.features.info import FeatureInfo
    from avpipeline.training.saved import ModelInfo, save_model

    model = ave.build_model("a", lstm_units=2, hidden_units=2, num_classes=3)
    info = ModelInfo("ave", "a", "code", ("a", "b", "c"), {"audio": FeatureInfo("v", "e", "n", "", (128,))}, "ave")
    with tempfile.TemporaryDirectory() as folder:
        return save_model(model, Path(folder) / "m.keras", info).read_bytes()


def _keras(folder: Path) -> Path:
    return _bytes("m.keras", _model())(folder)


def _read_model(path):
    from avpipeline.training.saved import load_model

    model, info = load_model(path)
    return [model.get_weights(), info.to_json()]


_LLP = "filename\tevent_labels\nBjCEufrlXm4_20_30\tSpeech,Dog\n7nSYwyaP4QE_50_60\tSinging\n"
_CSV = "abcdefghij-,60,dog,test\nbbcdefghij-,90,cat,test\n"
DOORS = [
    Door("torch, legacy", _torch(made.write_legacy, _STATE), _read_torch),
    Door("torch, zip", _torch(made.write_zip, _NETWORK), _read_torch),
    Door("pickle", _bytes("a.p", pickle.dumps([VALUES, {"a": VALUES[:3]}], 2)), _read_pickle),
    Door("Keras 2 .h5", _keras_h5, _read_keras_h5),
    Door("AVE .h5", _authors_h5, _read_h5),
    Door("our .h5", _our_h5, _read_h5, is_checked=True),
    Door("features.json", _shards, _read_shards),
    Door("feature shard", _shard, _read_shards, is_checked=True),
    Door(".wav", lambda folder: write_wav(folder / "a.wav", sine(4000, 2)), _read_media),
    Door(".mp4", _video("a.mp4", "libx264", "aac"), _read_media),
    Door(".avi", _video("a.avi", "mpeg4", "pcm_s16le"), _read_media),
    Door(".webm", _video("a.webm", "libvpx", "libopus", 48000), _read_media),
    Door(".mp3", _sound("a.mp3", "libmp3lame"), _read_media),
    Door(".flac", _sound("a.flac", "flac"), _read_media),
    Door("Annotations.txt", _text("Annotations.txt", "Bark&v1&good&2&5\nCat&v2&good&1&3\n"), _read_annotations),
    Door("vggsound.csv", _text("vggsound.csv", _CSV), _read_vggsound),
    Door("LLP's list", _text("AVVP_test_pd.csv", _LLP), _read_llp),
    Door("youtube8m.json", _description, _read_description),
    Door("TFRecord", _records, _read_records, is_checked=True),
    Door("TF1 checkpoint", _tf1, _read_tf1, is_checked=True),
    Door("predictions.npz", _predictions, _read_predictions, is_checked=True),
    Door("PCA .npz", _pca, _read_pca, is_checked=True),
    Door(".keras", _keras, _read_model, is_checked=True),
]
