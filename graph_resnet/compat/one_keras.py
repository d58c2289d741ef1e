"""The one Keras of the process: `tf.keras`, `tf.layers` and the RNN cells are classes of the same library.

It is tf_keras if TensorFlow was told to use it, else the Keras 2 that TensorFlow still contains. This module has its
`keras`, `version`, `layers`, `rnn_cell` and `LayerRNNCell`, looked up when they are used.
"""

import importlib.util
import os
import types

from .modules import locate

# Name -> its place in tf_keras, and inside TensorFlow.
_PLACES = {
    "keras": ("v1:keras", ".keras"),
    "version": ("tf_keras:__version__", ".keras:__version__"),
    "layers": ("v1:layers", ".layers"),
    "rnn_cell": ("v1:nn.rnn_cell", "tensorflow.python.ops.rnn_cell"),
    "LayerRNNCell": (
        "tf_keras.src.layers.rnn.legacy_cells:LayerRNNCell",
        "tensorflow.python.keras.layers.legacy_rnn.rnn_cell_impl:LayerRNNCell",
    ),
}


def is_tf_keras() -> bool:
    """Whether tf_keras is installed and TensorFlow was told to use it."""
    told = os.environ.get("TF_USE_LEGACY_KERAS", "").lower() in ("1", "true")
    return told and importlib.util.find_spec("tf_keras") is not None


class _LazyKeras(types.ModuleType):
    """`tf.keras`, which is imported when it is used."""

    def __getattr__(self, name):
        return locate(".one_keras:version" if name == "__version__" else f".one_keras:keras.{name}")

    def __dir__(self):
        return dir(locate(".one_keras:keras"))


lazy_keras = _LazyKeras("tensorflow.keras")


def __getattr__(name):
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    in_tf_keras, inside = _PLACES[name]
    return locate(in_tf_keras if is_tf_keras() else inside)
