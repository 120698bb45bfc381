"""Pickles of arrays in every protocol, and pickles that try to run code: all refused, and nothing ran."""

import contextlib
import copyreg
import functools
import pickle
import random
import struct
import tracemalloc

import numpy as np
import pytest

from avpipeline.checkpoints import pickles, read_pickle_arrays, read_torch
from avpipeline.errors import InputError
from tests.helpers.torch_writing import (
    call,
    instance,
    legacy_parts,
    mapping,
    name,
    network,
    number,
    sequence,
    state_dict,
    storage,
    tensor,
    text,
    write_legacy,
    write_zip,
)

read_network = functools.partial(read_torch, classes=("models.att_Net",))

ARRAYS = {
    "features": np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32),
    "fortran": np.asfortranarray(np.arange(12, dtype=np.int16).reshape(3, 4)),
    "big_endian": np.arange(5, dtype=">f8"),
    "flags": np.array([True, False, True]),
    "scalar": np.array(7, dtype=np.uint8),
    "nothing": np.zeros((0, 3), np.float32),
    "strided": np.arange(20.0)[::3],
}


def write(path, content: bytes):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", list(ARRAYS))
def test_arrays_of_every_protocol(tmp_path, kind, protocol):
    array = ARRAYS[kind]
    read = read_pickle_arrays(write(tmp_path / "a.p", pickle.dumps(array, protocol)))
    assert read.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("protocol", range(6))
def test_containers_of_arrays(tmp_path, protocol):
    content = {"audio": [ARRAYS["features"], ARRAYS["flags"]], "sizes": (3, -2.5, None, 2**70, "text", True)}
    read = read_pickle_arrays(write(tmp_path / "a.p", pickle.dumps(content, protocol)))
    assert list(read) == ["audio", "sizes"] and read["sizes"] == content["sizes"]
    np.testing.assert_array_equal(read["audio"][0], ARRAYS["features"])
    np.testing.assert_array_equal(read["audio"][1], ARRAYS["flags"])


def renamed(content: bytes, core: str) -> bytes:
    """`content` with NumPy's internal modules under the names of another NumPy version."""
    for module in ("multiarray", "numeric"):
        new = f"{core}.{module}".encode()
        for old in (f"numpy.core.{module}".encode(), f"numpy._core.{module}".encode()):
            content = content.replace(b"c" + old, b"c" + new)
            content = content.replace(bytes([len(old)]) + old, bytes([len(new)]) + new)
    return content


@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_module_names_of_all_numpy_versions(tmp_path, core, protocol):
    content = renamed(pickle.dumps(ARRAYS["features"], protocol), core)
    assert core.encode() in content
    read = read_pickle_arrays(write(tmp_path / "a.p", content))
    np.testing.assert_array_equal(read, ARRAYS["features"])


def python2_array(string) -> bytes:
    """float32 [1.5, -2] as Python 2 pickled it; `string` writes a byte string."""
    dtype = b"cnumpy\ndtype\n(" + string(b"f4") + b"I0\nI1\ntR(I3\n" + string(b"<") + b"NNNI-1\nI-1\nI0\ntb"
    empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\nt" + string(b"b") + b"tR"
    return empty + b"(I1\n(L2L\nt" + dtype + b"I00\n" + string(b"\x00\x00\xc0\x3f\x00\x00\x00\xc0") + b"tb."


@pytest.mark.parametrize(
    "string",
    [
        lambda raw: b"S" + repr(raw)[1:].encode() + b"\n",
        lambda raw: b"U" + bytes([len(raw)]) + raw,
        lambda raw: b"T" + struct.pack("<i", len(raw)) + raw,
    ],
    ids=["STRING", "SHORT_BINSTRING", "BINSTRING"],
)
def test_arrays_of_python_2(tmp_path, string):
    read = read_pickle_arrays(write(tmp_path / "a.p", python2_array(string)))
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, [1.5, -2])


def test_one_file_cannot_change_the_types_of_the_next(tmp_path):
    """A dtype's state is set by BUILD; on NumPy's shared dtype that would swap bytes for the whole process."""
    big, little = np.arange(3, dtype=">f4"), np.arange(3, dtype="<f4")
    for array in (big, little, big):
        np.testing.assert_array_equal(read_pickle_arrays(write(tmp_path / "a.p", pickle.dumps(array, 2))), array)
    assert np.dtype("f4") == np.dtype(np.float32)


# Refusals


def refused(read, path, words=None):
    with pytest.raises(InputError, match=words) as caught:
        read(path)
    sentence = str(caught.value)
    assert str(path) in sentence and "\n" not in sentence and sentence.endswith(".")


class Subclass(np.ndarray):
    """An array class of somebody's own."""


@pytest.mark.parametrize(
    "value",
    [
        np.array([None, "text"], dtype=object),
        np.array(["text"]),
        np.array([(1, 2.0)], dtype=[("a", int), ("b", float)]),
        np.array(["2018-09-08"], dtype="datetime64[D]"),
        np.arange(3).view(Subclass),
        np.float32(1),
        3,
        {(1, 2): 3},
    ],
    ids=["objects", "text", "structured", "dates", "subclass", "numpy scalar", "number", "tuple as key"],
)
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_other_content_than_arrays(tmp_path, value, protocol):
    refused(read_pickle_arrays, write(tmp_path / "a.p", pickle.dumps(value, protocol)))


@pytest.mark.parametrize("protocol", range(6))
def test_cut_pickles(tmp_path, protocol):
    content = pickle.dumps([ARRAYS["features"][0, 0], ARRAYS["big_endian"]], protocol)
    for length in range(len(content)):
        refused(read_pickle_arrays, write(tmp_path / "a.p", content[:length]))
    refused(read_pickle_arrays, write(tmp_path / "a.p", content + b"."))


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_changed_bytes_never_give_another_exception(tmp_path, protocol):
    content = pickle.dumps([ARRAYS["features"][0, 0], ARRAYS["big_endian"]], protocol)
    for position in range(len(content)):
        changed = content[:position] + bytes([content[position] ^ 0x15]) + content[position + 1 :]
        try:
            read_pickle_arrays(write(tmp_path / "a.p", changed))
        except InputError as error:
            assert str(tmp_path) in str(error)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_edits_of_several_bytes_give_the_arrays_or_a_sentence(tmp_path, protocol):
    """Bytes put in, taken out, repeated and replaced by instructions, from a seed."""
    rng, content = random.Random(protocol), pickle.dumps([ARRAYS["features"][0, 0], {"a": (1, "b")}], protocol)
    instructions = b"()t0].bRQ\x81\x85\x87q\x01h\x01Nuaes\x94\x8f\x93\x82"
    decisions = set()
    for _ in range(100):
        start, length = rng.randrange(len(content)), rng.randrange(1, 8)
        new = rng.choice((b"", 2 * content[start : start + length], bytes(rng.choices(instructions, k=length))))
        path = write(tmp_path / "a.p", content[:start] + new + content[start + length * (rng.random() < 0.5) :])
        try:
            decisions.add(type(read_pickle_arrays(path)))
        except InputError as error:
            decisions.add(InputError)
            assert str(path) in str(error)
    assert decisions >= {list, InputError}


def test_sizes_that_the_file_does_not_have(tmp_path):
    """2**40 values claimed in a few bytes: refused before anything of that size is made."""
    dtype = call("numpy.dtype", text("f4"), b"\x89", b"\x88")
    empty = call("numpy.core.multiarray._reconstruct", name("numpy.ndarray"), sequence(number(0)), text("b"))
    state = sequence(number(1), sequence(number(2**40)), dtype, b"\x89", b"C\x040123")
    sized = [
        code + struct.pack("<Q", size) + b"x." for code in (b"\x8d", b"\x8e", b"\x96") for size in (2**36, 2**64 - 1)
    ]
    with peak_below(1_000_000):
        for content in (empty + state + b"b.", *sized):
            refused(read_pickle_arrays, write(tmp_path / "a.p", content), "damaged")


@contextlib.contextmanager
def peak_below(limit: int):
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


def test_an_index_of_the_memory_is_no_size(tmp_path):
    content = b"]r" + struct.pack("<I", 2**32 - 1) + b"0j" + struct.pack("<I", 2**32 - 1) + b"."
    with peak_below(1_000_000):
        assert read_pickle_arrays(write(tmp_path / "a.p", content)) == []


@pytest.mark.parametrize("instruction", [b"\x8f", b"(", b"\x94", b"]"], ids=["sets", "marks", "memory", "lists"])
def test_what_single_bytes_make_is_bounded(tmp_path, instruction):
    """Two million bytes that would make 100 to 200 bytes each."""
    path = write(tmp_path / "a.p", b"N" + instruction * 2_000_000 + b".")
    with peak_below(1.2 * pickles.MEMORY):
        refused(read_pickle_arrays, path, "unfold")


def test_long_text_of_wide_characters(tmp_path):
    """One of them makes every character take four bytes."""
    wide = "x" * 2_000_000 + "\N{GRINNING FACE}"
    for protocol in (0, 2, 4):
        path = write(tmp_path / "a.p", pickle.dumps([wide], protocol))
        with peak_below(7_000_000):
            refused(read_pickle_arrays, path, "very long text")
    # Each of the shorter ones takes 2.7 MB more than its 0.9 MB in the file, which counts twice.
    path = write(tmp_path / "a.p", b"](" + text(wide[-900_000:]) * 130 + b"e.")
    with peak_below(4 * path.stat().st_size):
        refused(read_pickle_arrays, path, "unfold")


def test_a_key_that_would_be_hashed_for_ever(tmp_path):
    refused(read_pickle_arrays, write(tmp_path / "a.p", b"})" + b"2\x86" * 60 + b"Ns."), "a tuple as a key")


def test_deep_nesting_is_data(tmp_path):
    value = read_pickle_arrays(write(tmp_path / "a.p", b"]" * 100_000 + b"a" * 99_999 + b"."))
    assert len(value) == 1


def test_one_text_copied_many_times(tmp_path):
    """100 kB encoded 10,000 times would be a gigabyte."""
    encode = name("_codecs.encode") + b"q\x01" + text("x" * 100_000) + text("latin1") + b"\x86q\x02R"
    refused(read_pickle_arrays, write(tmp_path / "a.p", b"](" + encode + b"h\x01h\x02R" * 10_000 + b"e."), "unfold")


# Pickles that try to run code. Each, given to Python's own pickle, makes the folder `target`.

EXTENSION = 200


def attacks(target: str) -> dict[str, bytes]:
    argument, function = text(target), name("os.mkdir")
    called = argument + b"\x85R"
    code = text(f"__import__('os').mkdir({target!r})")
    setter = b"}" + text("__setstate__") + function + b"s"
    return {
        "REDUCE of protocol 0": b"cos\nmkdir\n(S" + repr(target).encode() + b"\ntR",
        "REDUCE": function + called,
        "REDUCE from the memo": function + b"q\x050h\x05" + called,
        "REDUCE of eval": name("builtins.eval") + code + b"\x85R",
        "STACK_GLOBAL": text("os") + text("mkdir") + b"\x93" + called,
        "STACK_GLOBAL of a dotted name": b"\x80\x04" + text("shutil") + text("os.mkdir") + b"\x93" + called,
        "INST": b"(" + argument + b"ios\nmkdir\n",
        "OBJ": b"(" + function + argument + b"o",
        "BUILD": name("types.SimpleNamespace") + b")\x81" + setter + b"b" + argument + b"b",
        "EXT1": b"\x82" + bytes([EXTENSION]) + called,
        "EXT2": b"\x83" + struct.pack("<H", EXTENSION) + called,
        "EXT4": b"\x84" + struct.pack("<i", EXTENSION) + called,
    }


NAMED = {"REDUCE of eval": "builtins.eval", "BUILD": "types.SimpleNamespace"}
NAMED["STACK_GLOBAL of a dotted name"] = "shutil.os.mkdir"
KINDS = list(attacks(""))


@pytest.fixture
def target(tmp_path):
    """A folder that exists only after an attack has succeeded; extension codes are registered meanwhile."""
    copyreg.add_extension("os", "mkdir", EXTENSION)
    yield tmp_path / "it-ran"
    copyreg.remove_extension("os", "mkdir", EXTENSION)
    copyreg.clear_extension_cache()


@pytest.mark.parametrize("kind", KINDS)
def test_the_attacks_are_real(target, kind):
    pickle.loads(attacks(str(target))[kind] + b".")
    assert target.is_dir()


@pytest.mark.parametrize("kind", KINDS)
def test_attack_in_an_array_pickle(target, tmp_path, kind):
    path = write(tmp_path / "a.p", attacks(str(target))[kind] + b"0" + pickle.dumps(ARRAYS["flags"]))
    refused(read_pickle_arrays, path, NAMED.get(kind, f"{kind}|os.mkdir"))
    assert not target.exists()


@pytest.mark.parametrize("part", range(5))
@pytest.mark.parametrize("kind", KINDS)
def test_attack_in_any_pickle_of_a_legacy_file(target, tmp_path, kind, part):
    values = np.arange(6, dtype=np.float32)
    parts = legacy_parts(state_dict({"w": tensor(storage("7", values), (6,))}), {"7": values})
    parts[part] = attacks(str(target))[kind] + b"0" + parts[part]
    refused(read_network, write(tmp_path / "net.pt", b"".join(parts)), NAMED.get(kind, f"{kind}|os.mkdir"))
    assert not target.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_attack_nested_in_a_zip_file(target, tmp_path, kind):
    values = np.arange(6, dtype=np.float32)
    entries = {"w": tensor(storage("7", values), (6,)), "hook": attacks(str(target))[kind]}
    refused(read_network, write_zip(tmp_path / "net.pt", state_dict(entries), {"7": values}), "refused")
    assert not target.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_attack_inside_a_network(target, tmp_path, kind):
    root = network("models.att_Net", hook=attacks(str(target))[kind])
    refused(read_network, write_legacy(tmp_path / "net.pt", root, {}), "refused")
    assert not target.exists()


def linear(**attributes: bytes) -> bytes:
    return instance("torch.nn.modules.linear.Linear", attributes)


MISUSES = {
    "calling a network class": call("torch.nn.modules.linear.Linear", text("x")),
    "calling a storage class": call("torch.FloatStorage", number(5)),
    "calling an instance": linear() + b")R",
    "calling text": text("os.mkdir") + b")R",
    "creating with arguments": name("models.att_Net") + sequence(number(1)) + b"\x81",
    "creating from a function": name("torch._utils._rebuild_tensor_v2") + b")\x81",
    "creating with named arguments": name("models.att_Net") + b")}\x92",
    "a module under torch.nn.modules": name("torch.nn.modules.module.os.system"),
    "a name beside torch.nn.modules": name("torch.nn.modulesx.linear.Linear"),
    "a function of torch": name("torch.load"),
    "state of a class": name("models.att_Net") + mapping({}) + b"b",
    "state of text": text("x") + mapping({}) + b"b",
    "state that is no dict": linear() + number(1) + b"b",
    "items into an instance": linear() + text("a") + number(1) + b"s",
    "appending to a class": name("models.att_Net") + number(1) + b"a",
    "an outside object by text": b"Pstorage\n",
    "an outside object of unknown kind": sequence(text("file"), text("/etc/passwd")) + b"Q",
    "a module that is a function": sequence(text("module"), name("torch._utils._rebuild_tensor"), b"NN") + b"Q",
    "an out-of-band buffer": b"\x97",
    "an unknown protocol": b"\x80\x63N",
    "an unknown instruction": b"\xff",
}


@pytest.mark.parametrize("kind", list(MISUSES))
@pytest.mark.parametrize("writer", [write_legacy, write_zip])
def test_misuse_of_what_is_known(tmp_path, kind, writer):
    root = network("models.att_Net", hook=MISUSES[kind])
    refused(read_network, writer(tmp_path / "net.pt", root, {}))


def test_attributes_that_mean_something_to_python_stay_data(tmp_path):
    inner = linear(__class__=name("models.att_Net"), __reduce__=text("x"), __setstate__=text("y"))
    root = network("models.att_Net", **{"__dict__": mapping({"a": number(1)}), "__del__": inner, "size": number(4)})
    file = read_network(write_zip(tmp_path / "net.pt", root, {}))
    assert file.root_class == "models.att_Net" and dict(file.extras) == {"size": 4}
