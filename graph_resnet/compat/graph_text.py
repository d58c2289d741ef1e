"""Lets TensorFlow 2.20 write a graph as text with protobuf 7, which has lost an argument that TensorFlow passes.

`tf.io.write_graph` needs it, and with it `tf.train.CheckpointSaverHook` and `tf.train.Supervisor`.
"""

import inspect
import types


def accept_float_format() -> None:
    """Drops the argument where TensorFlow passes it to a protobuf that does not know it."""
    from google.protobuf import text_format
    from tensorflow.python.framework import graph_io

    if "float_format" in inspect.signature(text_format.MessageToString).parameters:
        return

    def message_to_string(message, float_format="", **options):
        return text_format.MessageToString(message, **options)

    graph_io.text_format = types.SimpleNamespace(MessageToString=message_to_string)
