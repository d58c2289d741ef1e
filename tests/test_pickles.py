"""The pickled Python version: read as Python 2 wrote it, and trusted only as plain data."""

import os
import pickle
import random
import struct
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph_resnet.data import find, pickles
from graph_resnet.errors import UserError
from tests.helpers import CASES

PIXELS = (np.arange(3 * 3072) % 251).astype(np.uint8).reshape(3, 3072)
NAMES = [f"name_{i}" for i in range(10)]


@pytest.fixture(autouse=True)
def fresh_cache(tmp_path, monkeypatch):
    monkeypatch.delenv("CIFAR_DATA_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return tmp_path / "xdg" / "graph_resnet"


def python2(value):
    """A value in the opcodes of Python 2's cPickle, protocol 2."""
    if isinstance(value, np.ndarray):
        kind = value.dtype.str[1:].encode()
        dtype = b"cnumpy\ndtype\n" + python2(kind) + b"K\x00K\x01\x87R"
        dtype += b"(K\x03" + python2(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        shape = b"(" + b"".join(python2(size) for size in value.shape) + b"t"
        array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + python2(b"b") + b"\x87R"
        return array + b"(K\x01" + shape + dtype + b"\x89" + python2(value.tobytes()) + b"tb"
    if isinstance(value, dict):
        return b"}q\x01(" + b"".join(python2(key) + python2(item) for key, item in value.items()) + b"u"
    if isinstance(value, list):
        return b"]q\x02(" + b"".join(python2(item) for item in value) + b"e"
    if isinstance(value, int):
        return b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value)
    short = len(value) < 256
    return (b"U" + bytes([len(value)]) if short else b"T" + struct.pack("<I", len(value))) + value


def dumps(value):
    return b"\x80\x02" + python2(value) + b"."


def batch(labels=(1, 9, 0), pixels=PIXELS):
    about = {
        b"batch_label": b"training batch 1 of 5",
        b"filenames": [b"a_%d.png" % i for i in range(len(labels))],
    }
    return {**about, b"data": pixels, b"labels": list(labels)}


def write_cifar10(directory, content=None):
    """Six pickles and the names; `content` replaces data_batch_3."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        (directory / name).write_bytes(dumps(batch()))
    (directory / "batches.meta").write_bytes(dumps({b"label_names": [name.encode() for name in NAMES]}))
    if content is not None:
        (directory / "data_batch_3").write_bytes(content)
    return directory


def refused(path):
    """The message with which load() refuses a file: one line that names it."""
    with pytest.raises(UserError) as caught:
        pickles.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message and "--data-dir DIR" in message
    return message


@pytest.mark.parametrize("folder", ["", "cifar-10-batches-py"])
def test_cifar10(tmp_path, fresh_cache, folder):
    write_cifar10(tmp_path / "data" / folder)
    found = find.cifar("cifar10", tmp_path / "data")
    assert (found.num_train, found.num_test, found.class_names) == (15, 3, tuple(NAMES))
    expected = b"".join(bytes([label]) + bytes(PIXELS[i]) for i, label in enumerate((1, 9, 0)))
    assert [path.read_bytes() for path in found.train + found.test] == [expected] * 6
    assert found.train[0].parent.parent == fresh_cache


def test_cifar100(tmp_path):
    content = {b"data": PIXELS, b"fine_labels": [99, 0, 7], b"coarse_labels": [19, 1, 2]}
    for name in ("train", "test"):
        (tmp_path / name).write_bytes(dumps(content))
    fine, coarse = ([b"%s_%d" % (kind, i) for i in range(n)] for kind, n in ((b"f", 100), (b"c", 20)))
    (tmp_path / "meta").write_bytes(dumps({b"fine_label_names": fine, b"coarse_label_names": coarse}))
    found = find.cifar("cifar100", tmp_path)
    label_pairs = ((19, 99), (1, 0), (2, 7))
    expected = b"".join(bytes(pair) + bytes(PIXELS[i]) for i, pair in enumerate(label_pairs))
    assert found.train[0].read_bytes() == expected
    assert (found.class_names[99], found.num_train) == ("f_99", 3)
    assert find.cifar("cifar100", tmp_path, label="coarse").class_names[19] == "c_19"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("text", [str, str.encode])
def test_pickles_of_python_3(tmp_path, protocol, order, text):
    names = [text(f"image {i}\n.png") for i in range(3)]
    content = {text("data"): np.array(PIXELS, order=order), text("labels"): [3, 2, 1], text("filenames"): names}
    write_cifar10(tmp_path, pickle.dumps(content, protocol))
    found = find.cifar("cifar10", tmp_path)
    expected = b"".join(bytes([label]) + bytes(PIXELS[i]) for i, label in enumerate((3, 2, 1)))
    assert found.train[2].read_bytes() == expected


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_whole_batch_of_python_3(tmp_path, protocol):
    """CIFAR-10's keys after loading with encoding="bytes" and saving again."""
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (1_000, 3072), np.uint8), rng.integers(0, 10, 1_000).tolist()
    about = {b"batch_label": b"training batch 1 of 5", b"filenames": [b"image_s_%06d.png" % i for i in range(1_000)]}
    (tmp_path / "batch").write_bytes(pickle.dumps({**about, b"labels": labels, b"data": pixels}, protocol))
    found = pickles.load(tmp_path / "batch")
    assert found["labels"] == labels and found["filenames"] == about[b"filenames"]
    np.testing.assert_array_equal(np.frombuffer(found["data"].state[4], np.uint8), pixels.reshape(-1))


def python2_protocol0(value):
    """Text, numbers, lists and dicts in the opcodes of Python 2's pickle, protocol 0."""
    if isinstance(value, dict):
        return b"(dp1\n" + b"".join(python2_protocol0(key) + python2_protocol0(value[key]) + b"s" for key in value)
    if isinstance(value, list):
        return b"(lp2\n" + b"".join(python2_protocol0(item) + b"a" for item in value)
    if isinstance(value, int):
        return b"I%d\n" % value
    return b"S" + repr(value)[1:].encode() + b"\np3\n"


def test_protocol_0_of_python_2(tmp_path):
    array = b"cnumpy.core.multiarray\n_reconstruct\np4\n(cnumpy\nndarray\np5\n(I0\ntp6\nS'b'\np7\ntp8\nRp9\n"
    array += b"(I1\n(I1\nI3072\ntp10\ncnumpy\ndtype\np11\n(S'u1'\np12\nI0\nI1\ntp13\nRp14\n"
    array += b"(I3\nS'|'\np15\nNNNI-1\nI-1\nI0\ntp16\nbI00\n" + python2_protocol0(bytes(PIXELS[0])) + b"tp17\nb"
    head = python2_protocol0({b"labels": [7], b"batch_label": b"training batch"})
    write_cifar10(tmp_path, head + b"S'data'\np18\n" + array + b"s.")
    found = find.cifar("cifar10", tmp_path)
    assert found.train[2].read_bytes() == b"\7" + bytes(PIXELS[0])


MODULUS = sys.hash_info.modulus  # every multiple of it has the hash 0


@pytest.mark.parametrize("form", ["SETITEMS", "SETITEM", "DICT", "chunks"])
def test_keys_that_collide(tmp_path, form):
    pairs = [b"\x8a\x0c" + (i * MODULUS).to_bytes(12, "little") + b"N" for i in range(1, 20_000)]
    content = {
        "SETITEMS": b"}(" + b"".join(pairs) + b"u",
        "SETITEM": b"}" + b"".join(pair + b"s" for pair in pairs),
        "DICT": b"(" + b"".join(pairs) + b"d",
        "chunks": b"".join(b"}(" + b"".join(pairs[i : i + 10]) + b"u0" for i in range(0, 20_000, 10)) + b"}",
    }[form].replace(b"u0", b"uq\x01(h\x01" if form == "chunks" else b"u0")
    (tmp_path / "batch").write_bytes(b"\x80\x02" + content + b".")
    start = time.monotonic()
    assert "its dicts have more than 20 keys; a batch has 5" in refused(tmp_path / "batch")
    assert time.monotonic() - start < 3


def test_tuples_that_take_too_long_to_hash(tmp_path):
    """Each holds the previous one three times: the last contains 3 ** 80."""
    content = b"\x80\x02})q\x01" + b"".join(b"h\x01h\x01h\x01\x87q\x01" for _ in range(80)) + b"Ns."
    (tmp_path / "batch").write_bytes(content)
    assert "a tuple is a key of its dict" in refused(tmp_path / "batch")


def test_a_pickle_with_out_of_band_buffers(tmp_path):
    content = pickle.dumps({"data": PIXELS, "labels": [1]}, 5, buffer_callback=lambda buffer: None)
    (tmp_path / "batch").write_bytes(content)
    assert "the pickle operation NEXT_BUFFER" in refused(tmp_path / "batch")


def test_only_a_changed_pickle_is_converted_again(tmp_path):
    directory = write_cifar10(tmp_path / "data")
    first = find.cifar("cifar10", directory)
    written = first.train[0].stat().st_mtime_ns
    assert find.cifar("cifar10", directory) == first
    assert first.train[0].stat().st_mtime_ns == written
    write_cifar10(directory, dumps(batch(labels=(5, 5, 5))))
    second = find.cifar("cifar10", directory)
    assert second.train[2].parent != first.train[2].parent
    assert second.train[2].read_bytes()[:1] == b"\x05"


def test_missing_names_and_missing_batch(tmp_path, fresh_cache):
    directory = write_cifar10(tmp_path / "data")
    (directory / "batches.meta").unlink()
    assert find.cifar("cifar10", directory).class_names[0] == "airplane"
    (directory / "data_batch_5").unlink()
    with pytest.raises(match=r"data_batch_5: .*No such file"):
        pickles.convert(directory, find.CIFAR10, fresh_cache)
    with pytest.raises(match=f"data_dir {directory}: holds no CIFAR-10"):
        find.cifar("cifar10", directory)


class Call:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    ("function", "argument", "name"),
    [
        (os.system, "touch {}", "system"),
        (eval, "open({!r}, 'w')", "eval"),
        (exec, "open({!r}, 'w')", "exec"),
        (open, "{}", "open"),
        (os.mkdir, "{}", "mkdir"),
        (np.lib.format.open_memmap, "{}", "open_memmap"),
    ],
)
def test_a_hostile_pickle_runs_nothing(tmp_path, fresh_cache, protocol, function, argument, name):
    made = tmp_path / "made"
    hostile = Call(function, argument.format(str(made)), *(["w"] if function is open else []))
    directory = write_cifar10(tmp_path / "data", pickle.dumps({"data": hostile, "labels": [1]}, protocol))
    with pytest.raises(UserError) as caught:
        find.cifar("cifar10", directory)
    message = str(caught.value)
    assert message.startswith(f"{directory / 'data_batch_3'}: ") and "\n" not in message
    assert f".{name}'" in message
    assert not made.exists()
    assert not list(fresh_cache.iterdir())


def stack_global(module, name):
    return b"\x80\x04\x8c" + bytes([len(module)]) + module + b"\x8c" + bytes([len(name)]) + name + b"\x93."


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\x80\x02(S'touch x'\nios\nsystem\n.", "'os.system'"),
        (b"\x80\x02(S'x'\ninumpy\nndarray\n.", "INST"),
        (b"\x80\x02(ios\nsystem\n.", "'os.system'"),
        (b"\x80\x02cos\nsystem\n.", "'os.system'"),
        (b"\x80\x02c__builtin__\neval\n.", "'__builtin__.eval'"),
        (stack_global(b"os", b"system"), "'os.system'"),
        (stack_global(b"numpy", b"core.multiarray._reconstruct"), "a type, not a dict"),
        (stack_global(b"numpy", b"ndarray.tofile"), "'numpy.ndarray.tofile'"),
        (b"\x80\x02cnumpy.core.multiarray\nscalar\n.", "'numpy.core.multiarray.scalar'"),
        (b"\x80\x02ca\x1b[31m\r\nb\n.", "'a"),
        (b"\x80\x02c" + b"m" * 5000 + b"\nf\n.", "'mmmm"),
        (b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00xX\x03\x00\x00\x00hex\x86R.", "the codec 'hex'"),
        (b"\x80\x02cnumpy\nndarray\n(K\x01K\x02t\x81.", "NEWOBJ"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"\x80\x02Pid\n.", "PERSID"),
        (b"\x80\x02cnumpy\ndtype\n}b.", "missing 1 required positional argument"),
        (b"\x80\x02c_codecs\nencode\n}b.", "missing 1 required positional argument"),
        (b"\x80\x02]}U\x01ab.", "not one of CIFAR's pickles"),
        (b"\x80\x02}r\xff\xff\xff\x7f.", "numbers an object 2,147,483,647"),
        (b"\x80\x02" + b"N" * 1_000_001 + b".", "more complex"),
        (b"\x80\x02})" + b"\x85" * 100_000 + b"Ns.", "a tuple is a key of its dict"),
        (b"\x80\x02]" + b"]" * 100_000 + b"a" * 100_000 + b".", "a list, not a dict"),
        (b"\x80\x02T\xff\xff\xff\x7fabc.", "expected 2147483647 bytes"),
        (b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7fabc.", "expected"),
        (b"\x80\x04\x95" + b"\xff" * 7 + b"\x7f}.", "not one of CIFAR's pickles"),
        (b"\x80\x02h\x05.", "Memo value not found at index 5"),
        (b"\x80\x02}", "it ends without a STOP"),
        (b"\xffgarbage", "unknown"),
        (dumps(batch())[:-1000], "expected"),
        (dumps([1, 2]), "a list, not a dict"),
    ],
    ids=range(30),
)
def test_refused(tmp_path, content, expected):
    (tmp_path / "batch").write_bytes(content)
    message = refused(tmp_path / "batch")
    assert expected in message
    assert len(message) < 400 + len(str(tmp_path)) and message.isprintable()


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


class Claim:
    """Pickles as a numpy array with any state."""

    def __init__(self, *state):
        self.state = state

    def __reduce__(self):
        return np.zeros(0, np.uint8).__reduce__()[0], (np.ndarray, (0,), b"b"), self.state


U1 = np.dtype("u1")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"labels": [1]}, "no array under 'data'"),
        ({"data": [1, 2], "labels": [1]}, "no array under 'data'"),
        ({"data": np.ndarray, "labels": [1]}, "no array under 'data'"),
        (batch(pixels=PIXELS.astype(np.float32)), "'data' is of type 'f4', not uint8"),
        (batch(pixels=np.array([[os.PathLike]] * 3, object)), "it asks for 'os.PathLike'"),
        (batch(pixels=np.array([[[]] * 2], object)), "'data' is of type 'O8', not uint8"),
        (batch(pixels=PIXELS.reshape(-1)), "no shape of two numbers"),
        (batch(pixels=PIXELS[:, :3071]), "'data' is (3, 3071), not (up to 10000, 3072)"),
        (batch(pixels=PIXELS[:0], labels=()), "'data' is (0, 3072)"),
        ({"data": Claim(1, (3, 3072), U1, False, b"x"), "labels": [1]}, "does not hold its 3 images"),
        ({"data": Claim(1, (10001, 3072), U1, False, b"x"), "labels": [1]}, "'data' is (10001, 3072)"),
        ({"data": Claim(1, (2**60, 3072), U1, False, b"x"), "labels": [1]}, f"'data' is ({2**60}, 3072)"),
        ({"data": Claim(1, (-1, 3072), U1, False, b""), "labels": [1]}, "'data' is (-1, 3072)"),
        ({"data": Claim(1, (3, deep(50)), U1, False, b""), "labels": [1]}, "no shape of two numbers"),
        ({"data": Claim(1, (1, 3072), U1, False, deep(50)), "labels": [1]}, "does not hold its 1 images"),
        ({"data": Claim(1, (1, 3072), deep(50), False, b""), "labels": [1]}, "of type a list, not uint8"),
        ({"data": Claim(1, 2), "labels": [1]}, "no array under 'data'"),
        ({"data": PIXELS}, "no list of 3 labels under 'labels'"),
        ({"data": PIXELS, "labels": b"123"}, "no list of 3 labels under 'labels'"),
        (batch(labels=(1, 2)), "no list of 3 labels under 'labels'"),
        (batch(labels=(1, 2, 10)), "'labels' holds 10, not 0 to 9"),
        (batch(labels=(1, 2, -1)), "'labels' holds -1, not 0 to 9"),
        (batch(labels=(1, 2, 10**40)), f"'labels' holds {10**40}, not 0 to 9"),
        (batch(labels=(1, 2, "3")), "'labels' holds '3', not 0 to 9"),
        (batch(labels=(1, 2, deep(50))), "'labels' holds a list, not 0 to 9"),
        ({"data": PIXELS, "fine_labels": [1, 2, 3]}, "no list of 3 labels under 'labels'"),
    ],
    ids=range(26),
)
def test_plain_data_that_is_not_a_batch(tmp_path, fresh_cache, content, expected):
    directory = write_cifar10(tmp_path / "data", pickle.dumps(content, 4))
    with pytest.raises(UserError) as caught:
        find.cifar("cifar10", directory)
    message = str(caught.value)
    assert message.startswith(f"{directory / 'data_batch_3'}: ") and "\n" not in message
    assert expected in message
    assert not list(fresh_cache.iterdir())


def test_a_list_of_any_depth_has_a_short_error(tmp_path):
    nested = b"]" * 100_000 + b"a" * 99_999
    content = b"\x80\x02}(U\x04data" + python2(PIXELS[:1]) + b"U\x06labels](" + nested + b"eu."
    directory = write_cifar10(tmp_path / "data", content)
    with pytest.raises(match="'labels' holds a list, not 0 to 9"):
        find.cifar("cifar10", directory)


@pytest.mark.parametrize(
    "names",
    [
        None,
        7,
        [],
        NAMES[:9],
        [*NAMES[:9], 3],
        [*NAMES[:9], ""],
        [*NAMES[:9], "two\nlines"],
        [*NAMES[:9], deep(50)],
    ],
    ids=range(8),
)
def test_wrong_names(tmp_path, names):
    directory = write_cifar10(tmp_path / "data")
    (directory / "batches.meta").write_bytes(pickle.dumps({"label_names": names}, 2))
    with pytest.raises(match=r"batches.meta: .*no list of 10 names under 'label_names'"):
        find.cifar("cifar10", directory)


@pytest.mark.parametrize("size", [0, 200_000_001])
def test_size(tmp_path, size):
    directory = write_cifar10(tmp_path / "data")
    with (directory / "data_batch_4").open("wb") as file:
        file.truncate(size)
    with pytest.raises(match=f"data_batch_4: .*{size:,} bytes, not 1 to 200,000,000"):
        find.cifar("cifar10", directory)


def loads_or_refuses(path):
    try:
        assert isinstance(pickles.load(path), dict)
    except UserError as error:
        assert str(path) in str(error) and str(error).isprintable()


CODES = b"\x80\x02(.0]})}aesuNKJMTUXcRbqhrt\x85\x86\x87\x88\x89\x8c\x93\x94\x95"
OPCODES = [bytes([value]) for value in CODES]
PARTS = [
    b"cnumpy\nndarray\n",
    b"cnumpy\ndtype\n",
    b"c_codecs\nencode\n",
    b"cos\nsystem\n",
    b"K\x01",
    b"U\x01a",
]
PARTS += [b"X\x06\x00\x00\x00latin1", b"cnumpy.core.multiarray\n_reconstruct\n"]


@settings(max_examples=CASES, deadline=None)
@given(content=st.binary(max_size=60) | st.lists(st.sampled_from(OPCODES + PARTS), max_size=25).map(b"".join))
def test_any_bytes_give_a_dict_or_a_user_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "batch"
    for tail in (content, content + b".", b"}" + content + b"."):
        path.write_bytes(b"\x80\x02" + tail)
        loads_or_refuses(path)


def test_any_damage_gives_a_batch_or_an_error(tmp_path):
    draws = random.Random(3)
    good = dumps(batch(labels=(1,), pixels=PIXELS[:1]))
    head = good.index(PIXELS[:1].tobytes())
    for _ in range(CASES):
        content = bytearray(good)
        for _ in range(draws.randint(1, 3)):  # bytes outside the pixels, in which any value is valid
            at = draws.randrange(head) if draws.random() < 0.7 else draws.randrange(head + 3072, len(good))
            content[at] = draws.randrange(256)
        directory = write_cifar10(tmp_path / "data", bytes(content))
        converted = tmp_path / "converted"
        converted.mkdir(exist_ok=True)
        try:
            pickles.write_records(directory, find.CIFAR10, converted)
        except UserError as error:
            assert str(directory / "data_batch_3") in str(error)
        else:
            assert (converted / "data_batch_3.bin").stat().st_size == 3073
            assert (converted / "data_batch_3.bin").read_bytes()[0] < 10
