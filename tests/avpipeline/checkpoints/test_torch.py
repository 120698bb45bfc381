"""Torch files in both containers, whole or damaged."""

import functools
import struct
import zipfile

import numpy as np
import pytest

from ave.author_checkpoints import AUTHOR_CLASSES as ave_classes
from avpipeline import checkpoints
from avpipeline.errors import InputError
from jca.author_checkpoints import AUTHOR_CLASS as jca_class
from jca.author_checkpoints import AUTHOR_LAYERS as jca_layers
from tests.helpers import torch_writing as made

read_torch = functools.partial(checkpoints.read_torch, classes=("models.att_Net",))

WRITERS = {"legacy": made.write_legacy, "zip": made.write_zip}
VALUES = np.arange(6, dtype=np.float32)
ONE = made.storage("7", VALUES)


def one_tensor(**options) -> bytes:
    return made.state_dict({"w": made.tensor(made.storage("7", VALUES, **options), (2, 3))})


@pytest.fixture(params=list(WRITERS))
def write(request, tmp_path):
    """Writes a root pickle and its storages in one of the two containers."""
    return lambda root, storages: WRITERS[request.param](tmp_path / "file.pt", root, storages)


def test_state_dict_of_both_containers(write):
    file = read_torch(write(one_tensor(), {"7": VALUES}))
    assert file.root_class is None
    assert dict(file.extras) == {}
    assert list(file.state) == ["w"]
    np.testing.assert_array_equal(file.state["w"], [[0, 1, 2], [3, 4, 5]])
    assert file.state["w"].dtype == np.float32


@pytest.mark.parametrize("code", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1"])
@pytest.mark.parametrize("module", ["torch", "torch.cuda"])
def test_every_dtype_is_kept(write, code, module):
    array = np.array([0, 1, 3, 100]).astype(code)
    state = read_torch(
        write(made.state_dict({"x": made.tensor(made.storage("k", array, module=module), (4,))}), {"k": array})
    ).state
    assert state["x"].dtype == array.dtype
    np.testing.assert_array_equal(state["x"], array)


def test_offsets_strides_and_scalars_of_one_storage(write):
    values = np.arange(24, dtype=np.float32)
    stored = made.storage("0", values)
    tensors = {
        "second_half": made.tensor(stored, (3, 4), offset=12),
        "transposed": made.tensor(stored, (4, 3), (1, 4), offset=12),
        "every_fifth": made.tensor(stored, (4,), (5,), offset=3),
        "expanded": made.tensor(stored, (2, 3), (0, 1)),
        "scalar": made.tensor(stored, (), (), offset=23),
        "nothing": made.tensor(stored, (0, 4)),
        "last_row": made.tensor(stored, (1, 4), (999, 1), offset=20),
    }
    state = read_torch(write(made.state_dict(tensors), {"0": values})).state
    np.testing.assert_array_equal(state["second_half"], values[12:].reshape(3, 4))
    np.testing.assert_array_equal(state["transposed"], values[12:].reshape(3, 4).T)
    np.testing.assert_array_equal(state["every_fifth"], [3, 8, 13, 18])
    np.testing.assert_array_equal(state["expanded"], [[0, 1, 2], [0, 1, 2]])
    np.testing.assert_array_equal(state["last_row"], [[20, 21, 22, 23]])
    assert state["scalar"] == 23 and state["scalar"].shape == ()
    assert state["nothing"].shape == (0, 4)


def test_views_of_a_storage_count_from_the_view(tmp_path):
    view = made.sequence(made.text("view"), made.number(2), made.number(4))
    root = made.state_dict({"w": made.tensor(made.storage("7", VALUES, view=view), (2,), offset=1)})
    state = read_torch(made.write_legacy(tmp_path / "a.pt", root, {"7": VALUES})).state
    np.testing.assert_array_equal(state["w"], [3, 4])


def small_network() -> tuple[bytes, dict[str, np.ndarray]]:
    """Two layers, one of them used twice, with a batch norm's kinds of buffers."""
    count = np.array(5)
    linear = made.network(
        "torch.nn.modules.linear.Linear",
        {"weight": made.parameter(made.tensor(ONE, (2, 3))), "bias": b"N"},
        in_features=made.number(3),
        out_features=made.number(2),
    )
    buffers = {"batches": made.tensor(made.storage("c", count), ()), "scratch": made.tensor(ONE, (6,))}
    norm = made.network(
        "torch.nn.modules.batchnorm.BatchNorm1d",
        buffers=buffers,
        _non_persistent_buffers_set=made.call("builtins.set", b"](" + made.text("scratch") + b"e"),
        eps=b"G" + struct.pack(">d", 1e-5),
    )
    children = {"fc": linear + b"q\x01", "again": b"h\x01", "norm": norm, "missing": b"N"}
    return made.network("models.att_Net", modules=children), {"7": VALUES, "c": count}


def test_whole_network_gives_the_state_dict_of_its_modules(write):
    file = read_torch(write(*small_network()))
    assert file.root_class == "models.att_Net"
    assert list(file.state) == ["fc.weight", "again.weight", "norm.batches"]
    np.testing.assert_array_equal(file.state["again.weight"], VALUES.reshape(2, 3))
    assert file.state["norm.batches"] == 5
    assert file.extras["fc.in_features"] == 3
    assert file.extras["norm.eps"] == 1e-5


def test_module_form_of_torch_03(tmp_path):
    source = made.sequence(
        made.text("module"), made.name("models.att_Net"), made.text("models.py"), made.text("import os")
    )
    descriptor = made.name("torch.backends.cudnn.rnn.Unserializable") + b")\x81" + made.text("<unserializable>") + b"b"
    attributes = {
        "_backend": made.call("torch.nn.backends.thnn._get_thnn_function_backend"),
        "dropout_state": made.mapping({"desc_0": descriptor}),
        "_parameters": made.mapping(
            {"w": made.old_parameter(made.storage("7", VALUES, module="torch.cuda"), (3, 2), (2, 1))}
        ),
        "_buffers": made.mapping({}),
        "_modules": made.mapping({}),
    }
    root = source + b"Q)\x81" + made.mapping(attributes) + b"b"
    file = read_torch(made.write_legacy(tmp_path / "old.pt", root, {"7": VALUES}))
    assert file.root_class == "models.att_Net"
    np.testing.assert_array_equal(file.state["w"], VALUES.reshape(3, 2))


def test_other_authors_classes_can_be_named(tmp_path):
    root = made.network("my.Net", {"w": made.tensor(ONE, (6,))})
    path = made.write_zip(tmp_path / "my.pt", root, {"7": VALUES})
    with pytest.raises(InputError, match="my.Net"):
        read_torch(path)
    assert read_torch(path, classes=("my.Net",)).root_class == "my.Net"


def test_byte_order_of_the_zip_container(tmp_path):
    swapped = VALUES.astype(">f4")
    path = made.write_zip(tmp_path / "big.pt", one_tensor(), {"7": swapped}, byteorder=b"big")
    np.testing.assert_array_equal(read_torch(path).state["w"], VALUES.reshape(2, 3))
    path = made.write_zip(tmp_path / "little.pt", one_tensor(), {"7": VALUES}, byteorder=b"little")
    np.testing.assert_array_equal(read_torch(path).state["w"], VALUES.reshape(2, 3))
    with pytest.raises(InputError, match="damaged"):
        read_torch(made.write_zip(tmp_path / "odd.pt", one_tensor(), {"7": VALUES}, byteorder=b"middle"))


def test_a_load_leaves_nothing_for_the_next(tmp_path):
    ordered = made.call("collections.OrderedDict") + made.mapping({"extra": made.number(1)}) + b"b"
    backend = (
        made.call("torch.nn.backends.thnn._get_thnn_function_backend") + made.mapping({"extra": made.number(1)}) + b"b"
    )
    marked = made.network("models.att_Net", {"w": made.tensor(ONE, (6,))}, a=ordered, b=backend, hidden=made.number(9))
    plain = made.network("models.att_Net", {"w": made.tensor(ONE, (2,))})
    first = read_torch(made.write_zip(tmp_path / "1.pt", marked, {"7": VALUES}))
    second = read_torch(made.write_zip(tmp_path / "2.pt", plain, {"7": 10 * VALUES}))
    assert dict(first.extras) == {"hidden": 9} and dict(second.extras) == {}
    np.testing.assert_array_equal(first.state["w"], VALUES)
    np.testing.assert_array_equal(second.state["w"], [0, 10])


# Damage


def refused(path, words=None):
    with pytest.raises(InputError, match=words) as caught:
        read_torch(path)
    sentence = str(caught.value)
    assert str(path) in sentence and "\n" not in sentence and sentence.endswith(".")


def test_missing_empty_and_other_files(tmp_path):
    refused(tmp_path / "none.pt", "no such file")
    refused(tmp_path, "cannot be read")
    for content, words in ((b"", "empty"), (b"hello, world", "not a torch"), (b"\x80\x02K\x05.", "no torch")):
        path = tmp_path / "other.pt"
        path.write_bytes(content)
        refused(path, words)


def test_cut_anywhere_is_one_sentence(write):
    path = write(*small_network())
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        refused(path)


def test_any_changed_byte_gives_a_sentence_or_a_file(write):
    path = write(*small_network())
    whole = path.read_bytes()
    for position in range(0, len(whole), 2):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        try:
            read_torch(path)
        except InputError as error:
            assert str(path) in str(error)


@pytest.mark.parametrize("part", range(6))
def test_bytes_after_any_part_of_a_legacy_file(tmp_path, part):
    parts = made.legacy_parts(one_tensor(), {"7": VALUES})
    parts[part] += b"\x00"
    path = tmp_path / "file.pt"
    path.write_bytes(b"".join(parts))
    refused(path)


def test_header_of_the_legacy_container(tmp_path):
    path = tmp_path / "file.pt"
    for part, old, new, words in (
        (1, b"\xe9\x03", b"\xea\x03", "protocol 1002"),
        (2, b"\x88", b"\x89", "big-endian"),
        (0, b"\x6c", b"\x6d", "no torch checkpoint"),
    ):
        parts = made.legacy_parts(one_tensor(), {"7": VALUES})
        assert old in parts[part]
        parts[part] = parts[part].replace(old, new)
        path.write_bytes(b"".join(parts))
        refused(path, words)


BAD_OBJECTS = {
    "storage larger than its data": one_tensor(count=7),
    "storage of 2**60 values": one_tensor(count=2**60),
    "negative count": one_tensor(count=-6),
    "tensor past the end": made.state_dict({"w": made.tensor(ONE, (2, 3), offset=1)}),
    "negative offset": made.state_dict({"w": made.tensor(ONE, (2, 3), offset=-1)}),
    "negative stride": made.state_dict({"w": made.tensor(ONE, (2, 3), (3, -1), offset=5)}),
    "stride past the end": made.state_dict({"w": made.tensor(ONE, (2, 3), (4, 1))}),
    "strides missing": made.state_dict({"w": made.tensor(ONE, (2, 3), (3,))}),
    "more values than the file": made.state_dict({"w": made.tensor(ONE, (2**40, 6), (0, 1))}),
    "33 axes": made.state_dict({"w": made.tensor(ONE, (1,) * 65)}),
    "view past the end": one_tensor(view=made.sequence(made.text("v"), made.number(3), made.number(4))),
    "one key of two sizes": made.state_dict(
        {"w": made.tensor(ONE, (6,)), "v": made.tensor(made.storage("7", VALUES[:4]), (4,))}
    ),
    "another key": made.state_dict({"w": made.tensor(made.storage("8", VALUES), (6,))}),
    "no tensor in a state dict": made.state_dict({"w": made.tensor(ONE, (6,)), "epoch": made.number(3)}),
    "an empty state dict": made.state_dict({}),
    "a list": b"]" + made.tensor(ONE, (6,)) + b"a",
    "a parameter that is a number": made.network("models.att_Net", {"w": made.number(1), "v": made.tensor(ONE, (6,))}),
    "a module that is a number": made.network(
        "models.att_Net", {"v": made.tensor(ONE, (6,))}, modules={"a": made.number(1)}
    ),
    "a network without its parts": made.instance("models.att_Net", {"w": made.tensor(ONE, (6,))}),
    "names that collide": made.network(
        "models.att_Net",
        {"a.w": made.tensor(ONE, (6,))},
        modules={"a": made.network("models.att_Net", {"w": made.tensor(ONE, (6,))})},
    ),
    "a network inside itself": made.name("models.att_Net")
    + b")\x81q\x01"
    + made.mapping({"_parameters": made.mapping({"w": made.tensor(ONE, (6,))}), "_buffers": made.mapping({})})
    + b"b"
    + made.mapping({"_modules": made.mapping({"a": b"h\x01"})})
    + b"b",
    "a tuple as key": made.state_dict({"w": made.tensor(ONE, (6,))})
    + made.sequence(made.number(1))
    + made.number(1)
    + b"s",
    "a call without arguments": made.state_dict({"w": made.call("torch._utils._rebuild_tensor_v2")}),
    "a value from an empty memory": made.state_dict({"w": b"h\x05"}),
}


@pytest.mark.parametrize("kind", list(BAD_OBJECTS))
def test_inconsistent_objects(write, kind):
    refused(write(BAD_OBJECTS[kind], {"7": VALUES}))


def test_network_of_shared_modules_does_not_exhaust_the_reader(write):
    """30 levels, each naming the next twice: 2**30 names from a few kilobytes."""
    root = made.network("models.att_Net", {"w": made.tensor(ONE, (6,))})
    for level in range(30):
        root = made.network(
            "models.att_Net", modules={"a": root + bytes([ord("q"), level]), "b": bytes([ord("h"), level])}
        )
    refused(write(root, {"7": VALUES}), "entries")


def test_shared_lists_do_not_exhaust_the_reader(write):
    """One list of 10,000 pairs made into 5,000 dicts: 50 million entries from 150 kB."""
    pairs = b"](" + (made.text("k") + made.number(1) + b"\x86") * 10_000 + b"e"
    first = made.name("collections.OrderedDict") + b"q\x01" + pairs + b"\x85q\x02R"
    refused(write(b"](" + first + b"h\x01h\x02R" * 5_000 + b"e", {}), "unfold")


def test_deeply_nested_pickle(write):
    refused(write(b"]" * 50_000 + b"a" * 49_999, {}))


def test_archives_that_are_not_as_torch_writes_them(tmp_path):
    path = tmp_path / "file.pt"
    made.write_zip(path, one_tensor(), {"7": VALUES}, compression=zipfile.ZIP_DEFLATED)
    refused(path, "compressed")
    made.write_zip(path, one_tensor(), {"7": VALUES})
    path.write_bytes(path.read_bytes() + b"\x00")
    refused(path)
    made.write_zip(path, one_tensor(), {"7": VALUES}, **{"data/8": b"1234"})
    refused(path)
    made.write_zip(path, one_tensor(), {"7": VALUES[:5]})
    refused(path)
    made.write_zip(path, one_tensor() + b".", {"7": VALUES})
    refused(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "no checkpoint")
    refused(path, "not a torch checkpoint")


# The authors' files


@pytest.mark.golden
def test_both_forms_of_the_authors_file_hold_the_same(golden):
    new, old = (read_torch(golden.path(name)) for name in ("av_att.pt", "av_att_torch03.pt"))
    assert new.root_class == old.root_class == "models.att_Net"
    assert list(new.state) == list(old.state)
    assert sum(array.size for array in new.state.values()) == 1_335_246
    for key, array in new.state.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, old.state[key])
    # Written as multiples of 1/256; garbage would not be.
    assert all(np.array_equal(array * 256, np.round(array * 256)) for array in new.state.values())
    assert new.extras["lstm_audio.hidden_size"] == 128


@pytest.mark.golden
def test_the_other_systems_files(golden):
    classes = {"dmrn.pt": "models_fusion.TBMRF_Net", "av_att_weak.pt": "models_weakly.att_Net"}
    classes |= {"jca.pt": "models.DCNWithRCNN", "mc3_18.pth": None}
    named = (*ave_classes, jca_class, *jca_layers)
    files = {name: checkpoints.read_torch(golden.path(name), classes=named) for name in classes}
    assert {name: file.root_class for name, file in files.items()} == classes
    assert sum(array.size for array in files["dmrn.pt"].state.values()) == 1_571_150
    assert files["dmrn.pt"].state["U_v.0.weight"].ndim == 2
    assert files["jca.pt"].state["audio_extract.init_hidden"].ndim == 2
    assert files["mc3_18.pth"].state["fc.weight"].shape == (400, 512)
    assert files["mc3_18.pth"].state["stem.1.num_batches_tracked"].dtype == np.int64


@pytest.mark.golden
def test_the_authors_file_cut_short(golden, tmp_path):
    whole = golden.path("av_att_torch03.pt").read_bytes()
    path = tmp_path / "cut.pt"
    for length in (*range(0, 6000, 97), *np.linspace(6000, len(whole) - 1, 12).astype(int)):
        path.write_bytes(whole[:length])
        refused(path)
