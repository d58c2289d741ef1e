"""The one Keras of the process: `tf.keras`, `tf.layers` and the RNN cells are classes of the same library.

It is tf_keras if TensorFlow was told to use it, else the Keras 2 that TensorFlow still contains. Use its modules as
`one_keras.keras`, `one_keras.layers` and `one_keras.rnn_cell`.
"""

import os

from .modules import locate

_TF_KERAS = {"keras": "v1:keras", "layers": "v1:layers", "rnn_cell": "v1:nn.rnn_cell"}
_INSIDE_TENSORFLOW = {"keras": ".keras", "layers": ".layers", "rnn_cell": "tensorflow.python.ops.rnn_cell"}


def is_tf_keras() -> bool:
    """Whether TensorFlow was told to use tf_keras."""
    return os.environ.get("TF_USE_LEGACY_KERAS", "").lower() in ("1", "true")


def __getattr__(name):
    if name not in _TF_KERAS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return locate((_TF_KERAS if is_tf_keras() else _INSIDE_TENSORFLOW)[name])
