"""CIFAR's pickled Python version -> record files.

`cifar-10-batches-py/{data_batch_1..5,test_batch,batches.meta}` and `cifar-100-python/{train,test,meta}` are pickles of
a dict: b"data" uint8 [N, 3072], lists of labels, and more. Python 2 wrote them; copies written by later versions, in
any protocol, can be read too. A pickle can run code, so none is trusted:

1. Every opcode is checked before anything is loaded: only opcodes of plain data, a limited number of them, and no more
   dict keys than a batch has.
2. The names that it imports must be those of a numpy array. They are replaced by stand-ins that only store their
   arguments: no function named in a file is ever called, not even numpy's.
3. The result must be a dict of the right types and shapes.

Typical use (`find.cifar` does this):

    directory = convert(Path("data/cifar-10-batches-py"), layouts.CIFAR10, cache)
"""

import io
import os
import pickle
import pickletools
from pathlib import Path

import numpy as np

from graph_resnet import files
from graph_resnet.data.archives import new_directory
from graph_resnet.data.layouts import OTHERWISE, PICKLE_BYTES, PIXEL_BYTES, Layout
from graph_resnet.data.records import sha256
from graph_resnet.errors import UserError, reason

# The opcodes of plain data in protocols 0 to 5: no sets, classes, persistent objects or extensions.
ALLOWED = frozenset(
    str.split("""
    PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 STRING SHORT_BINSTRING BINSTRING
    UNICODE SHORT_BINUNICODE BINUNICODE SHORT_BINBYTES BINBYTES BINBYTES8 BYTEARRAY8 LIST EMPTY_LIST DICT EMPTY_DICT
    APPEND APPENDS SETITEM SETITEMS TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_TUPLE GLOBAL STACK_GLOBAL REDUCE BUILD
    PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET
    """)
)
MOST_OPCODES = 1_000_000  # CIFAR-100's train takes 200,396, in protocol 0 601,000
MOST_KEYS = 20  # in all dicts together; a batch has 5


class _Array:
    """Stands in for numpy.ndarray and its constructor `_reconstruct`; stores the state."""

    def __init__(self, *_):
        self.state = None

    def __setstate__(self, state):
        self.state = state  # (version, shape, dtype, whether in Fortran order, bytes)


class _ArrayOfBuffer(_Array):
    """Stands in for numpy's `_frombuffer`, with which protocol 5 makes an array."""

    def __init__(self, content, dtype, shape, order):
        content = bytes(content) if isinstance(content, bytearray) else content
        self.state = (1, shape, dtype, order in ("F", b"F"), content)


class _DType:
    """Stands in for numpy.dtype."""

    def __init__(self, name, *_):
        self.name = name

    def __setstate__(self, state):
        """Ignores byte order and alignment, which mean nothing for uint8."""


class _Latin1:
    """Stands in for `_codecs.encode`, with which Python 3 writes bytes as text in protocols 0 to 2."""

    def __new__(cls, text, encoding):
        if encoding not in ("latin1", b"latin1"):
            raise ValueError(f"it asks for the codec {_show(encoding)}")
        return text.encode("latin1")

    def __setstate__(self, state):
        raise ValueError("it gives a function a state")


STAND_INS = {
    "numpy.core.multiarray._reconstruct": _Array,
    "numpy._core.multiarray._reconstruct": _Array,
    "numpy.core.numeric._frombuffer": _ArrayOfBuffer,
    "numpy._core.numeric._frombuffer": _ArrayOfBuffer,
    "numpy.ndarray": _Array,
    "numpy.dtype": _DType,
    "_codecs.encode": _Latin1,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        return _stand_in(f"{module}.{name}")


def _stand_in(name):
    if name not in STAND_INS:
        raise ValueError(f"it asks for {_show(name)}")
    return STAND_INS[name]


def convert(source: Path, layout: Layout, cache: Path) -> Path:
    """Writes the record files of the pickles in `source` below `cache` and returns their directory.

    The directory's name holds a hash of the pickles, so unchanged pickles are converted once.

    Raises:
        UserError: a pickle is missing, damaged, contains more than data, or belongs to another dataset.
    """
    paths = [source / name for name in layout.pickles if name != layout.pickle_meta or os.path.exists(source / name)]
    for path in paths:
        _check_size(path)
    target = cache / f"{layout.folder}-{sha256(*paths)[:16]}"
    if not os.path.exists(target):
        with new_directory(target) as draft:
            write_records(source, layout, draft)
    return target


def write_records(source: Path, layout: Layout, directory: Path) -> None:
    """Writes the record files of the pickles in `source`, and the files of class names, into `directory`.

    Raises:
        UserError: as `convert`.
    """
    *batches, meta = layout.pickles
    for pickled, name in zip(batches, layout.files):
        _records(source / pickled, layout).tofile(directory / name)
    if os.path.exists(source / meta):
        for label, names in zip(layout.labels, _class_names(source / meta, layout)):
            (directory / label.names_file).write_bytes(names)


def load(path: Path) -> dict:
    """The dict in one pickle: text keys as str, arrays as `_Array`, everything else unchanged.

    Raises:
        UserError: the file is anything but a dict of plain data.
    """
    try:
        content = files.read(path, PICKLE_BYTES)
        _check_opcodes(content)
        loaded = _Unpickler(io.BytesIO(content), encoding="bytes").load()
        if not isinstance(loaded, dict):
            raise ValueError(f"{_show(loaded)}, not a dict")
        return {key.decode() if isinstance(key, bytes) else key: value for key, value in loaded.items()}
    except Exception as error:  # a damaged pickle can raise anything
        raise _refusal(path, reason(error)) from error


def _check_opcodes(content):
    """Refuses opcodes that no batch needs, too many opcodes, and dict keys that take too long to hash."""
    stack = _Stack()
    for number, (opcode, argument) in enumerate(_opcodes(content)):
        if opcode.name in ("GLOBAL", "INST"):
            _stand_in(argument.replace(" ", "."))
        if opcode.name not in ALLOWED:
            raise ValueError(f"it asks for the pickle operation {opcode.name}")
        if number == MOST_OPCODES:
            raise ValueError("it is more complex than any batch")
        if opcode.name in ("PUT", "LONG_BINPUT") and argument > MOST_OPCODES:  # the unpickler would allocate that many
            raise ValueError(f"it numbers an object {argument:,}")
        stack.take(opcode, argument)


def _opcodes(content):
    """Yields (pickletools.OpcodeInfo, argument) of a pickle: pickletools.genops without the text of STRING.

    In protocol 0, Python 2 writes all bytes with STRING, pixels included, but genops accepts only ASCII.
    """
    by_code = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}
    stream, opcode = io.BytesIO(content), None
    while opcode is None or opcode.name != "STOP":
        opcode = by_code.get(stream.read(1))
        if opcode is None:
            ends = stream.tell() == len(content)
            raise ValueError("it ends without a STOP" if ends else "it holds an unknown pickle operation")
        if opcode.name == "STRING":
            stream.readline()
            yield opcode, None
        else:
            yield opcode, opcode.arg.reader(stream) if opcode.arg else None


class _Stack:
    """A model of the unpickler's stack that knows of each object only whether it is a tuple.

    It finds the dict keys of a pickle before anything is loaded. Integers can be chosen to share one hash, so that a
    dict takes quadratic time; hashing nested tuples takes exponential time, or overflows the C stack.
    """

    def __init__(self):
        self.objects, self.memo, self.keys = [], {}, 0  # True for a tuple, None for a mark

    def take(self, opcode, argument):
        """Applies an opcode to the stack."""
        name = opcode.name
        if name in ("GET", "BINGET", "LONG_BINGET"):
            self.objects.append(self.memo.get(argument, False))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.memo[len(self.memo) if argument is None else argument] = bool(self.objects and self.objects[-1])
        else:
            taken = self._taken(opcode.stack_before)
            if name in ("SETITEM", "SETITEMS", "DICT"):
                self._check_keys(taken[1::2])  # [last value, last key, ..., first value, first key]
            for pushed in opcode.stack_after:
                self.objects.append(None if pushed is pickletools.markobject else pushed is pickletools.pytuple)

    def _taken(self, before):
        """What an opcode takes off the stack, top first; for a slice, what is above its mark."""
        taken = []
        if pickletools.markobject not in before:
            while self.objects and len(taken) < len(before):
                taken.append(self.objects.pop())
            return taken
        while self.objects and (top := self.objects.pop()) is not None:
            taken.append(top)
        if before[0] is not pickletools.markobject and self.objects:
            self.objects.pop()  # the list or dict below the mark
        return taken

    def _check_keys(self, keys):
        self.keys += len(keys)
        if self.keys > MOST_KEYS:
            raise ValueError(f"its dicts have more than {MOST_KEYS} keys; a batch has 5")
        if any(keys):
            raise ValueError("a tuple is a key of its dict")


def _records(path, layout):
    """uint8 [N, record_bytes] of one pickled batch."""
    batch = load(path)
    pixels = _pixels(path, batch.get("data"), layout)
    records = np.empty((len(pixels), layout.record_bytes), np.uint8)
    records[:, len(layout.labels) :] = pixels
    for offset, label in enumerate(layout.labels):
        labels = batch.get(label.pickle_key)
        most = len(label.names) - 1
        if not isinstance(labels, list) or len(labels) != len(pixels):
            raise _refusal(path, f"no list of {len(pixels):,} labels under {label.pickle_key!r}")
        wrong = [number for number in labels if not isinstance(number, int) or not 0 <= number <= most]
        if wrong:
            raise _refusal(path, f"{label.pickle_key!r} holds {_show(wrong[0])}, not 0 to {most}")
        records[:, offset] = labels
    return records


def _pixels(path, array, layout):
    """uint8 [N, 3072] from the entry "data"."""
    if not isinstance(array, _Array) or not isinstance(array.state, tuple) or len(array.state) != 5:
        raise _refusal(path, "no array under 'data'")
    _, shape, dtype, fortran, content = array.state
    if not isinstance(dtype, _DType) or dtype.name not in ("u1", b"u1"):
        raise _refusal(path, f"'data' is of type {_show(getattr(dtype, 'name', dtype))}, not uint8")
    if not isinstance(shape, tuple) or len(shape) != 2 or not all(isinstance(length, int) for length in shape):
        raise _refusal(path, "'data' has no shape of two numbers")
    if not 0 < shape[0] <= layout.max_records or shape[1] != PIXEL_BYTES:
        raise _refusal(path, f"'data' is {shape}, not (up to {layout.max_records}, {PIXEL_BYTES})")
    if not isinstance(content, bytes) or len(content) != shape[0] * PIXEL_BYTES:
        raise _refusal(path, f"'data' does not hold its {shape[0]:,} images")
    return np.frombuffer(content, np.uint8).reshape(shape, order="F" if fortran else "C")


def _class_names(path, layout):
    """Yields the content of a file of class names, bytes, for each label of the layout."""
    meta = load(path)
    for label in layout.labels:
        key = label.pickle_key.removesuffix("s") + "_names"
        names = meta.get(key)
        names = names if isinstance(names, list) else []
        names = [name.decode(errors="replace") if isinstance(name, bytes) else name for name in names]
        one_line = all(isinstance(name, str) and len(name.strip().splitlines()) == 1 for name in names)
        if len(names) != len(label.names) or not one_line:
            raise _refusal(path, f"no list of {len(label.names)} names under {key!r}")
        yield "\n".join([*names, ""]).encode(errors="replace")


def _check_size(path):
    try:
        size = path.stat().st_size
    except OSError as error:
        raise _refusal(path, reason(error)) from error
    if not 0 < size <= PICKLE_BYTES:
        raise _refusal(path, f"{size:,} bytes, not 1 to {PICKLE_BYTES:,}")


def _show(value):
    """A short text for `value`; never the repr of a structure, which may be nested without end."""
    if isinstance(value, (str, bytes)):
        return repr(value[:80])
    return f"{value}"[:80] if isinstance(value, int) else f"a {type(value).__name__}"


def _refusal(path, why):
    return UserError(f"{path}: not one of CIFAR's pickles ({why}); replace the file, or {OTHERWISE}")
