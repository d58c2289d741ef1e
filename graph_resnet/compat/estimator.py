"""What the package tensorflow_estimator 2.15, TensorFlow's own `tf.estimator`, needs of TensorFlow's inside.

TensorFlow 2.16 lost Estimator, and with it the names below. The package is complete without them, except for TPUs and
clusters of a distribution strategy.
"""

import importlib
import importlib.util
import sys
import types

from .import_hooks import when_imported

_API = "estimator"  # the name under which the package registers its own names


def _never(config):
    """`should_run_distribute_coordinator`: a strategy trains in this process."""
    return False


def _init_run_config(config, tf_config):
    """`init_run_config`: a `RunConfig` with a distribution strategy is like one without."""
    config._init_distributed_setting_from_environment_var(tf_config)
    config._maybe_overwrite_session_config_for_distributed_training()


# Modules below tensorflow.python that the package imports, with the names that it calls on a CPU or GPU.
_MODULES = {
    "distribute.estimator_training": {
        "should_run_distribute_coordinator": _never,
        "init_run_config": _init_run_config,
    },
    "tpu.session_support": {},
    "tpu.tpu_embedding": {},
    "tpu.tpu_embedding_gradient": {},
}


class _Absent:
    """A class of TensorFlow's TPU support: nothing is an instance of it."""

    def __init__(self, *args, **kwargs):
        raise NotImplementedError(f"{type(self).__name__}: TensorFlow's TPU support has lost it; use a CPU or GPU")


class _Module(types.ModuleType):
    """A module that is gone. Each other name is a class that cannot be used."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        setattr(self, name, type(name, (_Absent,), {}))
        return vars(self)[name]


def _prepare():
    """Gives TensorFlow what it has lost, before tensorflow_estimator is imported."""
    from tensorflow.python.util import tf_export

    if not hasattr(tf_export, "ESTIMATOR_API_NAME"):
        tf_export.ESTIMATOR_API_NAME = _API
        for table, suffix in ((tf_export.API_ATTRS, ""), (tf_export.API_ATTRS_V1, "_v1")):
            table[_API] = tf_export._Attributes(f"_{_API}_api_names{suffix}", f"_{_API}_api_constants{suffix}")
    for name, contents in _MODULES.items():
        full = f"tensorflow.python.{name}"
        if importlib.util.find_spec(full) is None:
            module = sys.modules[full] = _Module(full)
            vars(module).update(contents)
            parent, _, child = full.rpartition(".")
            setattr(importlib.import_module(parent), child, module)


def _without_advice(module):
    """Has the package's classes and functions not say "Use tf.keras instead." whenever they are used."""
    from tensorflow.python.util import tf_export

    module.estimator_export.__call__ = tf_export.api_export.__call__


def install():
    """Prepares TensorFlow as soon as a program imports tensorflow_estimator, or uses `tf.estimator`."""
    package = "tensorflow_estimator"
    when_imported(package, lambda module: None, before=_prepare)
    when_imported(f"{package}.python.estimator.estimator_export", _without_advice)
