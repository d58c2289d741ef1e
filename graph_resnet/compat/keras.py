"""`tf.keras` of a TensorFlow 1 program where tf_keras is not in use: the Keras 2 that TensorFlow still contains.

TensorFlow keeps it for `tf.layers` and the RNN cells. It works in version 1 graphs, with `compile` and `fit`; Keras 3
does not. Of its layers TensorFlow has removed some; batch normalization is added here.
"""

import importlib

_PACKAGE = "tensorflow.python.keras"


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    package = importlib.import_module(_PACKAGE)
    if hasattr(package, name):
        return getattr(package, name)
    try:
        return importlib.import_module(f"{_PACKAGE}.{name}")
    except ModuleNotFoundError:
        raise AttributeError(f"module 'tensorflow.keras' has no attribute {name!r}") from None
