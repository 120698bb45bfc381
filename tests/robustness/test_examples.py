"""Files that once took gigabytes, ended in a traceback or gave other numbers in silence, each with the right answer."""

import io
import json
import os
import zipfile

import h5py
import numpy as np
import pytest

from avpipeline.checkpoints import read_keras_h5
from avpipeline.cli import sentence_of
from avpipeline.datasets import youtube8m
from avpipeline.datasets.ave import open_table, read_annotations, read_order
from avpipeline.datasets.ave_h5 import H5Source
from avpipeline.datasets.listings import read_lines
from avpipeline.datasets.youtube8m.writing import read_description
from avpipeline.errors import InputError
from avpipeline.features.store import FeatureShards, read_manifest
from avpipeline.features.vggish import _read_pca
from avpipeline.training.saved import load_model
from tests.avpipeline.checkpoints.test_pickles import peak_below
from tests.helpers.ave_files import write_ave_folder
from tests.helpers.youtube8m_files import features, frame_record, video_record, write
from tests.robustness import doors

DEEP = "[" * 100_000


def refused(path, words: str, read, *arguments) -> None:
    with peak_below(100_000_000), pytest.raises(InputError, match=words) as caught:
        read(*arguments or (path,))
    sentence = str(caught.value)
    assert sentence.startswith(str(path)) and "\n" not in sentence and sentence.endswith(".")


# Models


def changed(folder, **members: bytes):
    """A model with other members; None leaves one out."""
    path = doors._keras(folder)
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content |= {f"{name}.json": value for name, value in members.items() if name != "weights"}
    if "weights" in members:
        content["model.weights.h5"] = members["weights"]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in content.items():
            archive.writestr(name, value)
    return path


@pytest.mark.parametrize("member", ["config", "metadata", "avpipeline"])
def test_a_member_that_is_a_bomb(tmp_path, member):
    path = changed(tmp_path, **{member: b" " * (80 << 20)})
    refused(path, "unpacks to far more than its size", load_model)


@pytest.mark.parametrize("member", ["config", "metadata", "avpipeline"])
def test_a_bomb_that_states_a_small_size(tmp_path, member):
    """The sizes in the directory are not believed: what is really there breaks the archive."""
    path = changed(tmp_path, **{member: b" " * (80 << 20)})
    content = bytearray(path.read_bytes())
    size = (80 << 20).to_bytes(4, "little")
    while (place := content.find(size)) >= 0:
        content[place : place + 4] = (100).to_bytes(4, "little")
    path.write_bytes(content)
    refused(path, "damaged", load_model)


@pytest.mark.parametrize("member", ["config", "metadata", "avpipeline"])
@pytest.mark.parametrize("text", [DEEP, '{"a": 1e999}', '{"a": NaN}', '{"format": 1e999}', "\xff", '{"format": "x"}'])
def test_descriptions_that_cannot_be_understood(tmp_path, member, text):
    path = changed(tmp_path, **{member: text.encode("latin-1")})
    refused(path, "its description cannot be read|is damaged|cannot rebuild", load_model)


def test_a_configuration_that_nests_deep(tmp_path):
    config = b'{"class_name": "A", "config": ' * 400 + b"1" + b"}" * 400
    refused(changed(tmp_path, config=config), "needs 'A'", load_model)


def test_a_layer_of_a_billion_units(tmp_path):
    with zipfile.ZipFile(doors._keras(tmp_path)) as archive:
        config = archive.read("config.json").replace(b'"units": 3', b'"units": 3000000000')
    refused(changed(tmp_path, config=config), "asks for 3000000000 as units", load_model)


def weights(fill) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as root:
        fill(root)
    return file.getvalue()


@pytest.mark.parametrize(
    "fill, words",
    [
        (lambda root: root.create_dataset("a", (2**40,), "f4"), "does not hold as much"),
        (lambda root: root.__setitem__("a", h5py.ExternalLink("/etc/passwd", "/")), "a link to another place"),
        (lambda root: root.__setitem__("a", h5py.SoftLink("/a")), "a link to another place"),
        (lambda root: root.create_dataset("a", (9,), "u1", external=[("/etc/passwd", 0, 9)]), "in other files"),
    ],
)
def test_weights_that_are_elsewhere_or_nowhere(tmp_path, fill, words):
    refused(changed(tmp_path, weights=weights(fill)), words, load_model)


# Arrays


def test_pca_parameters_that_grow(tmp_path):
    path = tmp_path / "vggish_pca_params.npz"
    for shape in ((2**40,), (2**20, 2**20), (10_000, 10_000)):
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in ("pca_eigen_vectors", "pca_means"):
                archive.writestr(f"{name}.npy", header.getvalue() + bytes(30_000_000 if len(shape) > 1 else 100))
        refused(path, "larger than such a file ever is|not AudioSet's PCA", _read_pca)
    np.savez(path, pca_eigen_vectors=np.array([None]), pca_means=np.zeros(128))
    refused(path, "not AudioSet's PCA", _read_pca)


def test_an_order_and_labels_of_billions_of_rows(tmp_path):
    folder = write_ave_folder(tmp_path / "ave", lists=False)
    annotations = read_annotations(folder / "Annotations.txt")
    for name, key, shape in (
        ("train_order.h5", "order", (3_000_000_000,)),
        ("labels.h5", "avadataset", (10**9, 10, 4)),
        ("labels_noisy.h5", "avadataset", (10**9, 4)),
    ):
        with h5py.File(folder / name, "w") as file:
            file.create_dataset(key, shape, "i8", chunks=(1, *shape[1:]))
    refused(folder / "train_order.h5", "declares the shape", read_order, folder, "train", annotations)
    for name in ("labels.h5", "labels_noisy.h5"):
        refused(folder / name, "declares the shape", open_table, folder, name, annotations)
    (folder / "train_order.h5").unlink()
    with h5py.File(folder / "train_order.h5", "w") as file:
        file["order"] = np.zeros(100_000, np.int64)
    refused(folder / "train_order.h5", "more entries than", read_order, folder, "train", annotations)


# HDF5


def _ids(fill):
    def write_to(folder):
        path = doors._authors_h5(folder)
        with h5py.File(path, "a") as file:
            fill(file)
        return path

    return write_to


@pytest.mark.parametrize(
    "fill",
    [
        lambda file: file.__setitem__("ids", [1, 2]),
        lambda file: file.create_group("ids"),
        lambda file: file.__setitem__("ids", [b"a", b"\xff\xfe"]),
        lambda file: file.__setitem__("ids", ["a"]),
        lambda file: file.__setitem__("ids", h5py.SoftLink("/ids")),
        lambda file: file.__setitem__("ids", h5py.ExternalLink("b.h5", "/")),
    ],
)
def test_ids_that_are_no_names(tmp_path, fill):
    path = _ids(fill)(tmp_path)
    refused(path, "its 'ids' ", lambda path: H5Source(path).ids())


@pytest.mark.parametrize("value", [DEEP[:60_000], '{"shape": [1e999]}', "{}", 3, [1, 2], '{"a": 1e999}', "\udcff"])
def test_a_feature_info_that_cannot_be_understood(tmp_path, value):
    path = doors._authors_h5(tmp_path)
    with h5py.File(path, "a") as file:
        file.attrs["feature_info"] = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    refused(path, "its attribute 'feature_info' cannot be understood", lambda path: H5Source(path).feature_info())


def test_a_loop_of_links(tmp_path):
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"a"]
        file["a"], file["b"] = h5py.SoftLink("/b"), h5py.SoftLink("/a")
        file["avadataset"] = h5py.SoftLink("/avadataset")
    refused(path, "", read_keras_h5)
    refused(path, "a link to another place", H5Source)


@pytest.mark.parametrize("door", [each for each in doors.DOORS if each.name in ("our .h5", "feature shard")])
def test_no_flipped_byte_of_our_files_gives_another_number(tmp_path, door):
    path = door.write(tmp_path)
    honest, content = door.read(path), path.read_bytes()
    outcomes = set()
    for place in range(0, len(content), 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x40]) + content[place + 1 :])
        try:
            read = door.read(path)
        except InputError as error:
            assert str(error).startswith(str(path))
            outcomes.add("refused")
        else:
            np.testing.assert_array_equal(read[0], honest[0])
            assert list(read[1]) == list(honest[1])
            outcomes.add("the same")
    assert "refused" in outcomes


# Manifests

MANIFESTS = [
    {"schema": [2]},
    {"seconds": 1e999},
    {"seconds": 0},
    {"seconds": 2**70},
    {"seconds": "3"},
    {"seconds": True},
    {"features": []},
    {"features": {"audio": []}},
    {"features": {"audio": {"extractor": "vggish"}}},
    {"ids": 5},
    {"ids": [1, 2]},
    {"ids": ["a", "a"]},
    {"ids": [["a"], "b"]},
    {"complete": "yes"},
]
SHAPES = [[-1], [0], [2**40], ["4"], [4.5], 4, [True], [2**20, 2**20]]


@pytest.mark.parametrize("change", MANIFESTS, ids=str)
def test_damaged_manifests(tmp_path, change):
    path = doors._shards(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change).replace("Infinity", "1e999"))
    refused(path, "is damaged and cannot be understood|has version", read_manifest, tmp_path)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_damaged_shapes(tmp_path, shape):
    path = doors._shards(tmp_path)
    fields = json.loads(path.read_text())
    fields["features"]["audio"]["shape"] = shape
    path.write_text(json.dumps(fields))
    refused(path, "is damaged and cannot be understood", read_manifest, tmp_path)


@pytest.mark.parametrize("text", [DEEP, "", "\xff", "null", "3"])
def test_descriptions_that_are_no_json(tmp_path, text):
    for path, read in ((doors._shards(tmp_path), read_manifest), (doors._description(tmp_path), read_description)):
        path.write_bytes(text.encode("latin-1"))
        refused(path, "is damaged and cannot be understood", read, tmp_path)


# Pipes


@pytest.mark.parametrize("name", ["features.json", "shard-00000.h5"])
def test_pipes_in_a_folder_of_features(tmp_path, name):
    doors._shards(tmp_path)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    refused(tmp_path / name, "a pipe or a device", FeatureShards, tmp_path)


def test_pipes_elsewhere(tmp_path):
    path = tmp_path / "pipe.keras"
    os.mkfifo(path)
    for read in (load_model, H5Source, read_lines, _read_pca, youtube8m.count_records):
        refused(path, "a pipe or a device", read)


# Records of YouTube-8M


def rows(path, **options):
    settings = {"num_classes": 10, "batch_size": 2, "details": True} | options
    return list(youtube8m.dataset(path, **settings))


def refused_records(path, words: str, **options) -> None:
    """In a sentence, also where tf.data carries it."""
    with pytest.raises(Exception, match=words) as caught:
        rows(path, **options)
    sentence = str(caught.value) if isinstance(caught.value, InputError) else sentence_of(caught.value)
    assert sentence.startswith(str(path)) and sentence.endswith(".")


VIDEO = video_record("x", [1], mean_rgb=[1, 2, 3], mean_audio=[4, 5], std_rgb=[1, 1, 1], std_audio=[1, 1])
FRAMES = frame_record("x", [1], np.ones((3, 3)), np.ones((3, 2)))


def test_the_id_of_2017_and_audioset(tmp_path):
    for name, record, level in (("v", VIDEO, "video"), ("f", FRAMES, "frame")):
        path = write(tmp_path / name, record.replace(b"\n\x02id", b"\n\x02ID"))
        assert [inputs["id"].numpy().tolist() for inputs, _ in rows(path, level=level)] == [[b""]]
    import tensorflow as tf

    fields = {"video_id": [b"abc"], "labels": [1], "mean_rgb": [1.0, 2.0, 3.0], "mean_audio": [4.0, 5.0]}
    record = tf.train.Example(features=features(fields)).SerializeToString()
    path = write(tmp_path / "2017", record)
    assert [inputs["id"].numpy().tolist() for inputs, _ in rows(path, tokens="mean")] == [[b"abc"]]


def test_compressed_shards(tmp_path):
    import tensorflow as tf

    path = str(tmp_path / "train.tfrecord.gz")
    with tf.io.TFRecordWriter(path, "GZIP") as writer:
        writer.write(VIDEO)
    refused_records(path, "compressed by gzip; unpack it first")
    refused_records(path, "compressed by gzip; unpack it first", skip_corrupt=True)
    with pytest.raises(InputError, match="compressed by gzip"):
        youtube8m.count_records(path, skip_corrupt=True)


def test_segments_of_files_without_segment_labels(tmp_path):
    refused_records(str(write(tmp_path / "a", FRAMES)), "has no segment labels", level="segment")


@pytest.mark.parametrize(
    "name, program",
    [("RGB/feature/floats", "MediaPipe"), ("AUDIO/feature/floats", "MediaPipe"), ("audio_embedding", "AudioSet")],
)
def test_forms_of_other_programs(tmp_path, name, program):
    import tensorflow as tf

    frame = tf.train.Feature(float_list=tf.train.FloatList(value=[1.0]))
    lists = tf.train.FeatureLists(feature_list={name: tf.train.FeatureList(feature=[frame])})
    record = tf.train.SequenceExample(context=features({"id": [b"x"]}), feature_lists=lists).SerializeToString()
    refused_records(str(write(tmp_path / "a", record)), program, level="frame")


BROKEN = {
    "labels that are text": VIDEO.replace(b"\x1a\x03\n\x01\x01", b"\n\x03\n\x01\x01"),
    "cut": VIDEO[:-3],
    "a name that is no text": VIDEO.replace(b"mean_rgb", b"mean\xff\xfeb"),
    "nothing": b"",
    "another first byte": b"\x12" + VIDEO[1:],
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("position", [0, 1])
def test_records_that_cannot_be_parsed_are_named(tmp_path, kind, position):
    """Their checksums are right: it is the content that is wrong."""
    assert BROKEN[kind] != VIDEO
    records = [VIDEO, VIDEO, VIDEO]
    records[position] = BROKEN[kind]
    path = str(write(tmp_path / "a", *records))
    refused_records(path, "cannot be decoded|another kind|has no|has neither|no features")


@pytest.mark.parametrize("digits", [12, 400, 5000])
def test_numbers_without_an_end_in_lists(tmp_path, digits):
    many = "9" * digits
    (tmp_path / "vggsound.csv").write_text(f"abcdefghij-,{many},dog,test\n")
    words = "line 1 has '9{12,20}' as start, which must be a number from 0"
    refused(tmp_path / "vggsound.csv", words, doors._read_vggsound)
    (tmp_path / "AVVP_test_pd.csv").write_text(f"filename\tevent_labels\nBjCEufrlXm4_20_{many}\tDog\n")
    refused(tmp_path / "AVVP_test_pd.csv", "line 2 has", doors._read_llp)
    (tmp_path / "Annotations.txt").write_text(f"Bark&v1&good&2&{many}\n")
    refused(tmp_path / "Annotations.txt", "line 1 has no event", doors._read_annotations)


@pytest.mark.parametrize("change", [{"paper": {}}, {"paper": ["ave"]}, {"class_names": [1, 2]}, {"version": None}])
def test_a_description_whose_names_are_none(tmp_path, change):
    with zipfile.ZipFile(doors._keras(tmp_path)) as archive:
        described = json.loads(archive.read("avpipeline.json"))
    path = changed(tmp_path, avpipeline=json.dumps(described | change).encode())
    refused(path, "its description cannot be read", load_model)
