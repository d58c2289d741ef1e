"""Makes `import tensorflow` give `tensorflow.compat.v1` first, then the real module, as TensorFlow 1 programs need.

`sys.modules["tensorflow"]` stays the real module, so that TensorFlow, Keras and other code for version 2 work. Only
`import tensorflow` in other code gets the facade. The importing module decides, in `builtins.__import__` and
`importlib.import_module`, the two ways to import in Python.
"""

import builtins
import importlib
import importlib.util
import os
import sys
import types
import warnings

from . import booleans, estimator, graph_text, moved_names, tables, v1_names
from .import_hooks import when_imported
from .modules import GoneError, gone_message, gone_reason, is_module, locate, table_module
from .modules import install as install_finder

_own_directories = []  # code below these gets the real module
_facade = None


class TensorFlow1(types.ModuleType):
    """The module `tensorflow` as a TensorFlow 1 program sees it."""

    def __init__(self, real):
        super().__init__("tensorflow", "TensorFlow 1, on today's TensorFlow.")
        vars(self).update({n: v for n, v in vars(real).items() if n.startswith("__") and n != "__all__"})
        vars(self)["_real"] = real

    def __getattr__(self, name):
        value = self._look_up(name)
        vars(self)[name] = value
        return value

    def _look_up(self, name):
        if name in tables.NAMES:
            return locate(tables.NAMES[name])
        if is_module(name):
            return table_module(name)
        for module in (self._real.compat.v1, self._real):
            if hasattr(module, name):
                return getattr(module, name)
        if gone_reason(name):
            raise GoneError(gone_message(name), name=name, obj=self)
        raise AttributeError(f"module 'tensorflow' has no attribute {name!r}", name=name, obj=self)

    @property
    def Tensor(self):  # noqa: N802
        """The class of a graph's tensors, for `type(x) is tf.Tensor`; in eager mode the base class of all tensors."""
        from tensorflow.python.framework import ops

        return self._real.Tensor if self._real.executing_eagerly() else ops.SymbolicTensor

    def __dir__(self):
        return sorted({*super().__dir__(), *dir(self._real.compat.v1), *dir(self._real), "contrib"})

    @property
    def __all__(self):
        return [name for name in dir(self) if not name.startswith("_")]


def _switch_to_v1(real):
    """Switches the real module, just imported, to version 1, and creates the facade. Called once."""
    global _facade
    moved_names.restore_moved_names()
    logger = real.get_logger()
    level = logger.level
    logger.setLevel("ERROR")  # disable_v2_behavior itself calls deprecated functions
    real.compat.v1.disable_v2_behavior()
    logger.setLevel(level)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"tensorflow\.python\.keras\.")
    _facade = TensorFlow1(real)
    v1_names.add()
    v1_names.add_inside()
    v1_names.explain_gone()
    dimension = real.compat.v1.Dimension
    dimension.__truediv__ = dimension.__floordiv__  # as in Python 2; an error without
    booleans.accept_for_integers(real.compat.v1)
    graph_text.accept_float_format()


def facade() -> types.ModuleType:
    """The module that `import tensorflow` gives a TensorFlow 1 program; imports TensorFlow if necessary."""
    importlib.import_module("tensorflow")
    return _facade


def _is_being_imported():
    """Whether TensorFlow is being imported right now; meanwhile it runs code in modules without a name."""
    spec = getattr(sys.modules.get("tensorflow"), "__spec__", None)
    return _facade is None and getattr(spec, "_initializing", False)


def _wants_tensorflow_2(importer) -> bool:
    """Whether the module with these globals is written for TensorFlow 2, part of it, or part of this project."""
    name = (importer or {}).get("__name__") or ""
    if _is_being_imported() or name.partition(".")[0] in tables.TENSORFLOW_2_PACKAGES:
        return True
    file = (importer or {}).get("__file__") or ""
    return any(os.path.abspath(file).startswith(directory) for directory in _own_directories)


def _v1_module(name):
    """A submodule such as `tensorflow.keras.layers` of the facade, or None if the real module is needed."""
    module = facade()
    for part in name.removeprefix("tensorflow.compat.v1.").removeprefix("tensorflow.").split("."):
        module = getattr(module, part, None)
        if not isinstance(module, types.ModuleType):
            return None
    return module


def _of_tf_keras(name):
    """The name below `tf.keras` of a module of Keras that is imported from where TensorFlow 1 had it."""
    parts = name.split(".")
    return ".".join(["tensorflow", *parts[2:]]) if parts[:3] == ["tensorflow", "python", "keras"] else name


def _is_version_neutral(name):
    """Whether a submodule is the same in TensorFlow 1 and 2: TensorFlow's internals, and modules from the tables."""
    part = name.split(".")[1] if "." in name and not name.startswith("tensorflow.compat.v1.keras") else ""
    return part in ("python", "core", "compat", "contrib", "examples", "_api", "tools", "compiler", "lite", "include")


def _wrap_import(original):
    def __import__(name, globals=None, locals=None, fromlist=(), level=0):  # noqa: N807
        __tracebackhide__ = True
        if level or name.partition(".")[0] != "tensorflow":
            return original(name, globals, locals, fromlist, level)
        if _wants_tensorflow_2(globals or sys._getframe(1).f_globals):
            return original(name, globals, locals, fromlist, level)
        ours = facade()
        public = _of_tf_keras(name) if fromlist else name
        if "." in public and not _is_version_neutral(public):
            module = _v1_module(public)
            if module is not None:
                return module if fromlist else ours
        module = original(name, globals, locals, fromlist, level)
        return ours if module is sys.modules["tensorflow"] else module

    return __import__


def _wrap_import_module(original):
    def import_module(name, package=None):
        __tracebackhide__ = True
        if name.partition(".")[0] != "tensorflow" or _wants_tensorflow_2(sys._getframe(1).f_globals):
            return original(name, package)
        ours = facade()
        public = _of_tf_keras(name)
        if not _is_version_neutral(public) and (module := _v1_module(public)) is not None:
            return module
        return ours if name == "tensorflow" else original(name, package)

    return import_module


def holders() -> list[str]:
    """Names of the modules that imported the real TensorFlow before `install`, except those that need it."""
    real = sys.modules.get("tensorflow")
    if real is None:
        return []
    names = []
    for name, module in list(sys.modules.items()):
        scope = getattr(module, "__dict__", {})
        if not _wants_tensorflow_2(scope) and any(value is real for value in list(scope.values())):
            names.append(name)
    return names


def install(own_directories: tuple[str, ...] = ()) -> list[str]:
    """Switches this process to TensorFlow 1. TensorFlow itself is imported when the program asks for it.

    Args:
        own_directories: code below these directories keeps the real module.

    Returns:
        The names of modules that hold the real `tensorflow` already, so it is too late for them.
    """
    _own_directories.extend(
        os.path.join(os.path.abspath(path), "") for path in (os.path.dirname(__file__), *own_directories)
    )
    late = holders()
    if getattr(builtins.__import__, "__qualname__", "").startswith("_wrap_import"):
        return late
    install_finder()
    if "tensorflow" not in sys.modules and importlib.util.find_spec("tf_keras"):
        os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # all of Keras 2, which the program expects
    builtins.__import__ = _wrap_import(builtins.__import__)
    importlib.import_module = _wrap_import_module(importlib.import_module)
    when_imported("tensorflow", _switch_to_v1)
    estimator.install()
    return late
