"""Restores names that `tensorflow.compat.v1` has lost, such as `layers` and `nn.rnn_cell`.

There are two such modules: the attribute `tf.compat.v1`, and the one that `import tensorflow.compat.v1` executes again.
"""

import functools
import importlib
import importlib.metadata
import sys

from . import gone, modules, one_keras, tables
from .import_hooks import when_imported


def _add_to(v1, names):
    for name in names:
        *parents, child = name.split(".")
        holder = functools.reduce(getattr, parents, v1)
        if _is_lost(holder, child, tables.ADDED_TO_V1[name]):
            place = tables.NAMES.get(name)
            setattr(holder, child, modules.locate(place) if place else modules.table_module(name))


def _is_lost(holder, child, probe):
    """Whether a name is not there, or is TensorFlow's module that only says that Keras 3 does not have `probe`."""
    try:
        value = getattr(holder, child)
        if probe is None:
            return False
        # Asking that module for anything imports Keras, which takes a second. Its version says the same.
        if type(value).__name__ == "KerasLazyLoader" and _keras_is_3():
            return True
        getattr(value, probe)
    except AttributeError:
        return True
    return False


def _keras_is_3():
    """Whether TensorFlow would take Keras 3 for its Keras."""
    if one_keras.is_tf_keras():
        return False
    try:
        return importlib.metadata.version("keras").startswith("3.")
    except importlib.metadata.PackageNotFoundError:
        return False


def add(names=tuple(tables.ADDED_TO_V1)):
    """Adds the missing ones of `names`. With tf_keras in use none is missing."""
    if "tensorflow" not in sys.modules:
        importlib.import_module("tensorflow")
    when_imported("tensorflow.compat.v1", lambda v1: _add_to(v1, names))
    _add_to(sys.modules["tensorflow"].compat.v1, names)


def _add_inside(module):
    for (name, attribute), place in tables.ADDED_INSIDE.items():
        if name == module.__name__ and attribute not in vars(module):
            setattr(module, attribute, modules.locate(place))


def add_inside():
    """Adds `tables.ADDED_INSIDE` to its modules, now or when they are imported."""
    for name in {name for name, _ in tables.ADDED_INSIDE}:
        when_imported(name, _add_inside)


def explain_gone():
    """Lets the modules of `tensorflow.compat.v1` say what to use instead of the names that they have lost."""
    v1 = sys.modules["tensorflow"].compat.v1
    for parent in {name.rpartition(".")[0] for name in gone.GONE}:
        if parent and not modules.is_module(parent) and parent.partition(".")[0] not in ("contrib", "keras", "python"):
            modules.explain_gone(functools.reduce(getattr, parent.split("."), v1), parent)


def add_layers():
    """Adds only `tf.layers`, which tf-slim 1.2.0 needs."""
    add(("layers",))
