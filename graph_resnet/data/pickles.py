"""CIFAR's pickled Python version -> record files.

`cifar-10-batches-py/{data_batch_1..5,test_batch,batches.meta}` and `cifar-100-python/{train,test,meta}` are
Python 2 pickles of a dict: b"data" uint8 [N, 3072], lists of labels, and more. A pickle is a program, so none
is trusted:

1. every opcode is looked at before anything is loaded: only those that build plain data, and not too many;
2. the names that it imports must be those of a numpy array, and they are met with stand-ins that keep their
   arguments: no function that a file names is ever called, numpy's own included;
3. what comes out must be a dict of the right types and shapes.

Typical use (`find.cifar` does this):

    directory = convert(Path("data/cifar-10-batches-py"), records.CIFAR10, cache)
"""

import io
import os
import pickle
import pickletools
from pathlib import Path

import numpy as np

from graph_resnet.data.archives import new_directory
from graph_resnet.data.records import OTHERWISE, PIXEL_BYTES, DataError, sha256

PICKLE_BYTES = 200_000_000  # CIFAR-100's train is 155,249,918

# The opcodes of plain data in protocols 2 to 4: no sets, classes or extensions, and nothing of protocol 0.
DATA = frozenset(
    str.split("""
    PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 SHORT_BINSTRING BINSTRING
    SHORT_BINUNICODE BINUNICODE SHORT_BINBYTES BINBYTES BINBYTES8 EMPTY_LIST EMPTY_DICT APPEND APPENDS SETITEM
    SETITEMS BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET
    """)
)
# The opcodes of an array. A few will do: thousands of nested tuples overflow the C stack when one is hashed.
STRUCTURE = frozenset(
    str.split("GLOBAL STACK_GLOBAL REDUCE BUILD TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_TUPLE"),
)
MOST_DATA, MOST_STRUCTURE = 500_000, 100  # CIFAR-100's train takes 200,383 and 13


class _Array:
    """Stands in for numpy.ndarray and for `_reconstruct`, which makes one; keeps the state it is given."""

    def __init__(self, *_):
        self.state = None

    def __setstate__(self, state):
        self.state = state  # (version, shape, dtype, is in Fortran order, bytes)


class _DType:
    """Stands in for numpy.dtype."""

    def __init__(self, name, *_):
        self.name = name

    def __setstate__(self, state):
        """Byte order and alignment, which mean nothing for uint8."""


class _Latin1:
    """Stands in for `_codecs.encode`, with which Python 3 writes bytes as text in protocol 2."""

    def __new__(cls, text, encoding):
        if encoding not in ("latin1", b"latin1"):
            raise ValueError(f"it asks for the codec {_show(encoding)}")
        return text.encode("latin1")

    def __setstate__(self, state):
        raise ValueError("it gives a function a state")


STAND_INS = {
    "numpy.core.multiarray._reconstruct": _Array,
    "numpy._core.multiarray._reconstruct": _Array,
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


def convert(source, layout, cache):
    """Writes the record files of the pickles in `source` below `cache` and returns their directory, a path.

    Its name holds a hash of the pickles: unchanged ones are converted once, changed ones anew.

    Args:
        source, cache: pathlib.Path.
        layout: a `records.Layout`.

    Raises:
        DataError: a pickle that is missing, damaged, asks for more than data, or is not of this dataset.
    """
    paths = [source / Path(name).stem for name in layout.files]
    meta = [source / layout.pickle_meta] if os.path.exists(source / layout.pickle_meta) else []
    for path in paths + meta:
        _check_size(path)
    target = cache / f"{layout.folder}-{sha256(*paths, *meta)[:16]}"
    if not target.exists():
        with new_directory(target) as draft:
            for path, name in zip(paths, layout.files):
                _records(path, layout).tofile(draft / name)
            for path in meta:
                for label, names in zip(layout.labels, _class_names(path, layout)):
                    (draft / label.names_file).write_bytes(names)
    return target


def load(path):
    """The dict of one pickle: keys as str if they are text, an array as `_Array`, all else as it is.

    Raises:
        DataError: the file is anything else than a dict of plain data.
    """
    try:
        content = path.read_bytes()
        _check_opcodes(content)
        loaded = _Unpickler(io.BytesIO(content), encoding="bytes").load()
        if not isinstance(loaded, dict):
            raise ValueError(f"{_show(loaded)}, not a dict")
        return {key.decode() if isinstance(key, bytes) else key: value for key, value in loaded.items()}
    except Exception as error:  # a damaged pickle can raise anything
        raise _refusal(path, str(error) or type(error).__name__) from error


def _check_opcodes(content):
    data = structure = 0
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in ("GLOBAL", "INST"):
            _stand_in(argument.replace(" ", "."))
        if opcode.name not in DATA and opcode.name not in STRUCTURE:
            raise ValueError(f"it asks for the pickle operation {opcode.name}")
        data += opcode.name in DATA
        structure += opcode.name in STRUCTURE
        if data > MOST_DATA or structure > MOST_STRUCTURE:
            raise ValueError("it is more complex than any batch")
        if opcode.name == "LONG_BINPUT" and argument > MOST_DATA:  # the unpickler would allocate as many
            raise ValueError(f"it numbers an object {argument:,}")


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
        wrong = [each for each in labels if not isinstance(each, int) or not 0 <= each <= most]
        if wrong:
            raise _refusal(path, f"{label.pickle_key!r} holds {_show(wrong[0])}, not 0 to {most}")
        records[:, offset] = labels
    return records


def _pixels(path, array, layout):
    """uint8 [N, 3072] from what stands under "data"."""
    if not isinstance(array, _Array) or not isinstance(array.state, tuple) or len(array.state) != 5:
        raise _refusal(path, "no array under 'data'")
    _, shape, dtype, fortran, content = array.state
    if not isinstance(dtype, _DType) or dtype.name not in ("u1", b"u1"):
        raise _refusal(path, f"'data' is of type {_show(getattr(dtype, 'name', dtype))}, not uint8")
    if not isinstance(shape, tuple) or len(shape) != 2 or not all(isinstance(each, int) for each in shape):
        raise _refusal(path, "'data' has no shape of two numbers")
    if not 0 < shape[0] <= layout.max_records or shape[1] != PIXEL_BYTES:
        raise _refusal(path, f"'data' is {shape}, not (up to {layout.max_records}, {PIXEL_BYTES})")
    if not isinstance(content, bytes) or len(content) != shape[0] * PIXEL_BYTES:
        raise _refusal(path, f"'data' does not hold its {shape[0]:,} pictures")
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
        raise _refusal(path, error.strerror) from error
    if not 0 < size <= PICKLE_BYTES:
        raise _refusal(path, f"{size:,} bytes, not 1 to {PICKLE_BYTES:,}")


def _show(value):
    """A few characters for `value`; never the repr of a structure, which may be deep without end."""
    if isinstance(value, (str, bytes)):
        return repr(value[:80])
    return str(value) if isinstance(value, int) else f"a {type(value).__name__}"


def _refusal(path, reason):
    return DataError(f"{path}: not one of CIFAR's pickles ({reason}); replace the file, or {OTHERWISE}")
