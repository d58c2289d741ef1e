"""Modules defined by tables: each name is looked up at its current place, on first use.

A place is a string, so that a table costs nothing until a name is used:

    "tf_slim.layers"              a module
    "tf_slim.layers:batch_norm"   a name in a module
    "v1:train.Saver"              below `tensorflow.compat.v1`
    "tf:data.experimental"        below `tensorflow`
    ".rnn:NASCell"                a module in this package
"""

import contextlib
import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types

from . import deep_modules, tables
from .gone import GONE, GONE_MODULES


class GoneError(AttributeError):
    """A name of TensorFlow 1 that today's TensorFlow lacks; the message names the alternative."""


def gone_reason(name: str) -> str | None:
    """The alternative to a name that is gone, or None. `name` is dotted, such as "contrib.tpu.RunConfig"."""
    for full in (name, public_name(name)):
        parts = full.split(".")
        for end in range(len(parts), 0, -1):
            if ".".join(parts[:end]) in GONE:
                return GONE[".".join(parts[:end])]
    return None


def gone_message(name: str) -> str:
    """The one-line message for the use of a gone name."""
    return f"tf.{name} is not available on today's TensorFlow: {gone_reason(name)}."


def explain_gone(module: types.ModuleType, name: str):
    """Lets a module of TensorFlow say what to use instead of the names below `tf.<name>` that it has lost."""
    original = vars(module).get("__getattr__")

    def __getattr__(child):  # noqa: N807
        full = f"{name}.{child}"
        if full in GONE:
            raise GoneError(gone_message(full), name=child, obj=module)
        if original is not None:
            return original(child)
        raise AttributeError(f"module 'tensorflow.{name}' has no attribute {child!r}", name=child, obj=module)

    module.__getattr__ = __getattr__


def locate(place: str):
    """The object at a place (see the module's docstring).

    Raises:
        ImportError: the module is not installed.
        AttributeError: the module has no such name.
    """
    module, _, path = place.partition(":")
    if module == "v1":
        value = importlib.import_module("tensorflow").compat.v1
    elif module == "tf":
        value = importlib.import_module("tensorflow")
    else:
        value = importlib.import_module(module, __package__)
    return functools.reduce(getattr, path.split("."), value) if path else value


class TableModule(types.ModuleType):
    """A module below `tensorflow` whose names come from the tables.

    Attributes:
        tf1_name: the dotted name below `tensorflow`, such as "contrib.layers".
    """

    def __init__(self, tf1_name: str):
        super().__init__(f"tensorflow.{tf1_name}", f"tensorflow.{tf1_name} of TensorFlow 1, on today's TensorFlow.")
        self.tf1_name = tf1_name
        self.__path__ = []  # makes it a package

    def __getattr__(self, name):
        if name == "__all__":
            return [n for n in dir(self) if not n.startswith("_") and n != "tf1_name"]
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        value = self._look_up(name)
        if name not in vars(self):  # importing a submodule sets it already
            setattr(self, name, value)
        return value

    def _look_up(self, name):
        full = f"{self.tf1_name}.{name}"
        place = tables.NAMES.get(full) or tables.NAMES.get(public_name(full))
        if place:
            with contextlib.suppress(ModuleNotFoundError):
                return locate(place)
        if is_module(full):
            return table_module(full)
        for source in module_sources(self.tf1_name):
            with contextlib.suppress(AttributeError, ModuleNotFoundError):
                return getattr(locate(source), name)
        if gone_reason(full):
            raise GoneError(gone_message(full), name=name, obj=self)
        if self.tf1_name in deep_names():  # `from tensorflow.contrib.rnn.python.ops.rnn_cell import math_ops`
            for package in ("framework", "ops", "util"):
                with contextlib.suppress(ModuleNotFoundError):
                    return importlib.import_module(f"tensorflow.python.{package}.{name}")
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}", name=name, obj=self)

    def __dir__(self):
        names = set(super().__dir__())
        prefix = self.tf1_name + "."
        for table in (tables.NAMES, tables.MODULES):
            names.update(n[len(prefix) :] for n in table if n.startswith(prefix) and "." not in n[len(prefix) :])
        for source in module_sources(self.tf1_name):
            try:
                names.update(n for n in dir(locate(source)) if not n.startswith("_"))
            except ImportError:
                continue
        return sorted(names)


@functools.cache
def deep_names() -> frozenset[str]:
    """The full names of `deep_modules.DEEP_MODULES`: "contrib.rnn.python.ops.core_rnn_cell" and so on."""
    names = {f"{public}.python" for public in deep_modules.DEEP_MODULES}
    return frozenset(
        names | {f"{k}.python.{path}" for k, paths in deep_modules.DEEP_MODULES.items() for path in paths.split()}
    )


def public_name(name: str) -> str:
    """A name of a deep module as the public one has it: "contrib.rnn.python.ops.rnn_cell.X" is "contrib.rnn.X"."""
    module, _, child = name.rpartition(".")
    while module and module not in deep_names():
        module, _, parent = module.rpartition(".")
        child = f"{parent}.{child}"
    return f"{module.partition('.python')[0]}.{child}" if module else name


def is_module(name: str) -> bool:
    """Whether the tables define a module `tensorflow.<name>`. A gone module counts: using it gives the message."""
    return name in tables.MODULES or name in GONE_MODULES or name in deep_names()


def _may_be_imported(name):
    """Whether `import tensorflow.<name>` works, also for a submodule of a gone module if it looks like one."""
    parts = name.split(".")
    is_deep = len(parts) > 2 and "python" in parts and ".".join(parts[:2]) in GONE_MODULES
    return is_module(name) or (is_deep and parts[-1].islower())


def module_sources(name: str) -> tuple[str, ...]:
    """The places where the names of module `name` are looked up, in order."""
    if name in tables.MODULES:
        return tables.MODULES[name]
    sources = [
        home + name[len(deep) :] for deep, home in deep_modules.HOMES.items() if f"{name}.".startswith(f"{deep}.")
    ]
    public = name.partition(".python")[0]
    return (*sources, *tables.MODULES.get(public, ()))


def table_module(name: str) -> types.ModuleType:
    """The table module `tensorflow.<name>`. Works without the finder installed."""
    full = f"tensorflow.{name}"
    if full not in sys.modules:
        spec = TableFinder().find_spec(full)
        sys.modules[full] = importlib.util.module_from_spec(spec)
    return sys.modules[full]


class TableFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds `tensorflow.contrib.*` and the other TensorFlow 1 modules in the tables."""

    def find_spec(self, fullname, path=None, target=None):
        if not fullname.startswith("tensorflow."):
            return None
        name = fullname.removeprefix("tensorflow.")
        if _may_be_imported(name):
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        if gone_reason(name):  # `from tensorflow.contrib.tpu import RunConfig` gets here after the attribute failed
            raise ImportError(gone_message(name), name=fullname)
        return None

    def create_module(self, spec):
        return TableModule(spec.name.removeprefix("tensorflow."))

    def exec_module(self, module):
        pass


def install():
    """Inserts the finder at the front of `sys.meta_path`, once."""
    if not any(isinstance(finder, TableFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, TableFinder())
