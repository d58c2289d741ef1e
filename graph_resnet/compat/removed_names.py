"""Restores names that numpy, scipy, Pillow, TensorBoard and Python have removed since TensorFlow 1.

Only in processes that ask for it. Each row says what replaced the name. Existing names are not changed, and nothing is
imported: the names are added when the program imports the module.
"""

import collections
import importlib
import importlib.abc
import importlib.machinery
import math  # noqa: F401  (for the expressions below)
import sys
import warnings

from .import_hooks import when_imported

# Module, name -> its replacement: a Python expression in which `m` is the module.
REMOVED = {
    "numpy": {
        "int": "int",
        "float": "float",
        "bool": "bool",
        "object": "object",
        "str": "str",
        "complex": "complex",
        "long": "int",
        "bool8": "m.bool_",
        "unicode": "str",
        "float_": "m.float64",
        "complex_": "m.complex128",
        "unicode_": "m.str_",
        "string_": "m.bytes_",
        "NaN": "m.nan",
        "NAN": "m.nan",
        "Inf": "m.inf",
        "Infinity": "m.inf",
        "infty": "m.inf",
        "PINF": "m.inf",
        "NINF": "-m.inf",
        "PZERO": "0.0",
        "NZERO": "-0.0",
        "typeDict": "m.sctypeDict",
        "asscalar": "lambda a: a.item()",
        "alen": "lambda a: len(m.array(a, ndmin=1))",
        "product": "m.prod",
        "cumproduct": "m.cumprod",
        "sometrue": "m.any",
        "alltrue": "m.all",
        "round_": "m.round",
        "in1d": "lambda a, b, assume_unique=False, invert=False: "
        "m.isin(m.ravel(a), b, assume_unique=assume_unique, invert=invert)",
        "row_stack": "m.vstack",
        "trapz": "m.trapezoid",
        "rank": "m.ndim",
        "msort": "lambda a: m.sort(a, axis=0)",
        "find_common_type": "lambda arrays, scalars: m.result_type(*arrays, *scalars)",
        "cast": "_Cast(m)",
        "asfarray": "lambda a, dtype=float: m.asarray(a, dtype=dtype)",
        "mat": "m.asmatrix",
        "float128": "m.longdouble",
        "reshape": "_reshape(m)",
        "array": "_lenient(m, m.array)",
        "asarray": "_lenient(m, m.asarray)",
    },
    "scipy.misc": {
        "imread": "_imread",
        "imsave": "_imsave",
        "imresize": "_imresize",
        "imrotate": "_imrotate",
        "toimage": "_toimage",
        "bytescale": "_bytescale",
        "fromimage": "_fromimage",
        "logsumexp": "__import__('scipy.special').special.logsumexp",
        "comb": "__import__('scipy.special').special.comb",
        "factorial": "__import__('scipy.special').special.factorial",
    },
    "PIL.Image": {
        "ANTIALIAS": "m.LANCZOS",
        "LINEAR": "m.BILINEAR",
        "CUBIC": "m.BICUBIC",
    },
    "scipy.signal": {
        "gaussian": "m.windows.gaussian",
        "hann": "m.windows.hann",
        "hanning": "m.windows.hann",
        "hamming": "m.windows.hamming",
        "blackman": "m.windows.blackman",
    },
    "scipy.integrate": {"trapz": "m.trapezoid", "simps": "m.simpson", "cumtrapz": "m.cumulative_trapezoid"},
    "collections": {
        name: f"m.abc.{name}"
        for name in "Callable Container Hashable Iterable Iterator Mapping MutableMapping MutableSequence MutableSet "
        "Sequence Set Sized Generator".split()
    },
    "builtins": {
        "basestring": "str",
        "long": "int",
        "raw_input": "input",
        "reduce": "__import__('functools').reduce",
        "unichr": "chr",
        "unicode": "str",
        "xrange": "range",
    },
    "itertools": {"ifilter": "filter", "imap": "map", "izip": "zip", "izip_longest": "m.zip_longest"},
    "sys": {"maxint": "m.maxsize"},
    "urllib": {
        "quote": "__import__('urllib.parse').parse.quote",
        "unquote": "__import__('urllib.parse').parse.unquote",
        "urlencode": "__import__('urllib.parse').parse.urlencode",
        "urlopen": "__import__('urllib.request').request.urlopen",
        "urlretrieve": "__import__('urllib.request').request.urlretrieve",
    },
    "tensorboard.summary": {
        name: f"m.v1.{name}"
        for name in "audio_pb custom_scalar custom_scalar_pb histogram_pb image_pb pr_curve pr_curve_pb "
        "pr_curve_raw_data_op pr_curve_raw_data_pb pr_curve_streaming_op scalar_pb text_pb".split()
    },
    "time": {"clock": "m.perf_counter"},
    "fractions": {"gcd": "math.gcd"},
    "inspect": {"getargspec": "_getargspec(m)"},
    "base64": {"decodestring": "m.decodebytes", "encodestring": "m.encodebytes"},
    "string": {
        "letters": "m.ascii_letters",
        "lowercase": "m.ascii_lowercase",
        "maketrans": "str.maketrans",
        "uppercase": "m.ascii_uppercase",
    },
}


# Functions that still exist but accept less than before: the version that changed them.
_CHANGED_SINCE = {("numpy", "reshape"): (2, 1), ("numpy", "array"): (1, 24), ("numpy", "asarray"): (1, 24)}
# Modules that are gone: the module that has their names now.
MOVED_MODULES = {
    "ConfigParser": "configparser",
    "Queue": "queue",
    "cPickle": "pickle",
    "urllib2": "urllib.request",
    "urlparse": "urllib.parse",
    "scipy.sparse.linalg.eigen": "scipy.sparse.linalg",
    "scipy.sparse.linalg.eigen.arpack": "scipy.sparse.linalg",
}


class _Cast(dict):
    """`np.cast[dtype](a)`."""

    def __init__(self, numpy):
        super().__init__()
        self._numpy = numpy

    def __missing__(self, dtype):
        return lambda a: self._numpy.asarray(a).astype(dtype)


def _reshape(numpy):
    """numpy.reshape that accepts `newshape=`, which is called `shape=` since numpy 2.1."""
    original = numpy.reshape

    def reshape(a, *args, newshape=None, **kwargs):
        return original(a, *args, **kwargs) if newshape is None else original(a, newshape, *args, **kwargs)

    return reshape


def _lenient(numpy, original):
    """numpy.array or asarray that turns rows of different lengths into an array of objects, as before numpy 1.24.

    And numpy.array with `copy=False` copies if necessary, as before numpy 2.
    """
    is_numpy_2 = int(numpy.__version__.partition(".")[0]) >= 2

    def array(a, dtype=None, **kwargs):
        if is_numpy_2 and original.__name__ == "array" and kwargs.get("copy") is False:
            kwargs["copy"] = None
        try:
            return original(a, dtype=dtype, **kwargs)
        except ValueError as error:
            if dtype is not None or "inhomogeneous" not in str(error):
                raise
            return original(a, dtype=object, **kwargs)

    array.__name__ = original.__name__
    return array


_ArgSpec = collections.namedtuple("ArgSpec", "args varargs keywords defaults")


def _getargspec(inspect):
    def getargspec(function):
        """The argument names of a function, in the form of Python before 3.11."""
        spec = inspect.getfullargspec(function)
        return _ArgSpec(spec.args, spec.varargs, spec.varkw, spec.defaults)

    return getargspec


def _is_removed(module, name):
    if (module.__name__, name) in _CHANGED_SINCE:
        return tuple(int(part) for part in module.__version__.split(".")[:2]) >= _CHANGED_SINCE[module.__name__, name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return not hasattr(module, name)


def _give_back(module):
    """Adds the missing names of its table to a module."""
    from . import scipy_misc

    scope = {**vars(scipy_misc), **globals(), "m": module}
    for name, replacement in REMOVED[module.__name__].items():
        if _is_removed(module, name):
            try:
                setattr(module, name, eval(replacement, scope))
            except AttributeError:
                continue  # the module is too old for the replacement, so it still has the name in its old meaning


class _MovedFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of `MOVED_MODULES` as packages with the names of the modules that replaced them."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname not in MOVED_MODULES:
            return None
        if "." not in fullname and importlib.machinery.PathFinder.find_spec(fullname):
            return None  # the program's own module of this name
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def exec_module(self, module):
        home = importlib.import_module(MOVED_MODULES[module.__name__])
        vars(module).update({name: value for name, value in vars(home).items() if not name.startswith("__")})


class _MiscFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds `scipy.misc` if scipy is installed without it."""

    def find_spec(self, fullname, path=None, target=None):
        return importlib.machinery.ModuleSpec(fullname, self) if fullname == "scipy.misc" else None

    def exec_module(self, module):
        _give_back(module)


def install():
    """Restores the names of `REMOVED` in the modules that this process has imported or will import. Runs once."""
    if any(isinstance(finder, _MiscFinder) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _MovedFinder())
    sys.meta_path.append(_MiscFinder())
    for name in REMOVED:
        when_imported(name, _give_back)
    when_imported("scipy", _add_misc)


def _add_misc(scipy):
    """Makes `scipy.misc` an attribute of scipy, for programs that use it without importing it themselves."""
    original = getattr(scipy, "__getattr__", None)

    def __getattr__(name):  # noqa: N807
        if name == "misc":
            return importlib.import_module("scipy.misc")
        if original is None:
            raise AttributeError(f"module 'scipy' has no attribute {name!r}")
        return original(name)

    scipy.__getattr__ = __getattr__
