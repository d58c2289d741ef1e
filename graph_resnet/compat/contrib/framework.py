"""Functions of `tf.contrib.framework` that are not TF-Slim's, and two more names of TensorFlow 1."""

import types

import tensorflow as tf
from tensorflow.python.client import _pywrap_events_writer, device_lib
from tensorflow.python.ops import confusion_matrix
from tensorflow.python.training import py_checkpoint_reader
from tensorflow.python.util import nest as _nest

_train = tf.compat.v1.train


class _Nest(types.ModuleType):
    """`nest` with its old names: `is_sequence` is called `is_nested` today."""

    is_sequence = staticmethod(getattr(_nest, "is_sequence", None) or _nest.is_nested)

    def __getattr__(self, name):
        return getattr(_nest, name)


nest = _Nest("tensorflow.contrib.framework.nest")
if not hasattr(_nest, "is_sequence"):
    _nest.is_sequence = _Nest.is_sequence

pywrap = types.ModuleType("tensorflow.pywrap_tensorflow")
pywrap.NewCheckpointReader = py_checkpoint_reader.NewCheckpointReader
pywrap.EventsWriter = _pywrap_events_writer.EventsWriter
pywrap.list_devices = device_lib.list_local_devices


tensor_shape = types.SimpleNamespace(  # functions that tensorflow.python.framework.tensor_shape has lost
    scalar=lambda: tf.TensorShape([]),
    vector=lambda length: tf.TensorShape([length]),
    matrix=lambda rows, cols: tf.TensorShape([rows, cols]),
)


def load_checkpoint(filepattern):
    """A reader of a checkpoint, or of the newest one in a directory."""
    return _train.load_checkpoint(filepattern)


def load_variable(checkpoint_dir, name):
    """The value of a variable in a checkpoint, a numpy array."""
    return _train.load_variable(checkpoint_dir, name)


def list_variables(checkpoint_dir):
    """Pairs of name and shape of all variables in a checkpoint."""
    return _train.list_variables(checkpoint_dir)


def init_from_checkpoint(checkpoint_dir, assignment_map):
    """Has variables initialized with their values in a checkpoint."""
    _train.init_from_checkpoint(checkpoint_dir, assignment_map)


def zero_initializer(ref, use_locking=True, name="zero_initializer"):
    """An op that sets a variable to zeros, and its value then."""
    return tf.compat.v1.assign(ref, tf.zeros(ref.shape, ref.dtype.base_dtype), use_locking=use_locking, name=name)


def remove_squeezable_dimensions(predictions, labels, name=None):
    """Predictions and labels, the one of higher rank without its last dimension if that is 1 and the ranks differ by 1.

    TensorFlow's own function of this name has the labels first.
    """
    labels, predictions = confusion_matrix.remove_squeezable_dimensions(labels, predictions, name=name)
    return predictions, labels


def list_devices() -> list[str]:
    """The names of the local devices."""
    return [device.name for device in device_lib.list_local_devices()]


def py_func(func, args=(), kwargs=None, output_types=None, output_shapes=None, stateful=True, name=None):
    """`tf.contrib.framework.py_func`: tf.py_func with keyword arguments, structures of outputs and their shapes.

    Returns:
        Tensors in the structure of `output_types`.
    """
    kwargs = kwargs or {}
    positions = len(args)
    keys = list(kwargs)

    def call(*values):
        result = func(*values[:positions], **dict(zip(keys, values[positions:])))
        return _nest.flatten(result)

    types_ = _nest.flatten(output_types)
    outputs = tf.compat.v1.py_func(call, [*args, *kwargs.values()], types_, stateful=stateful, name=name)
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    if output_shapes is not None:
        for output, shape in zip(outputs, _nest.flatten_up_to(output_types, output_shapes)):
            output.set_shape(shape)
    return _nest.pack_sequence_as(output_types, outputs)


def reduce_sum_n(tensors, name=None):
    """The sum of all elements of all tensors, a scalar."""
    with tf.name_scope(name or "reduce_sum_n"):
        return tf.add_n([tf.reduce_sum(tensor) for tensor in tensors])


def with_shape(expected_shape, tensor):
    """`tensor`, checked to have `expected_shape`: now if the shape is known, else when it is computed."""
    tensor = tf.convert_to_tensor(tensor)
    expected = tf.get_static_value(expected_shape) if tf.is_tensor(expected_shape) else expected_shape
    if expected is not None and tensor.shape.is_fully_defined():
        tensor.shape.assert_is_compatible_with(list(expected))
        return tensor
    check = tf.compat.v1.assert_equal(tf.shape(tensor), expected_shape)
    with tf.control_dependencies([check]):
        tensor = tf.identity(tensor)
    if expected is not None:
        tensor.set_shape([None if size == -1 else size for size in expected])
    return tensor


def with_same_shape(expected_tensor, tensor):
    """`tensor`, checked to have the shape of `expected_tensor`."""
    shape = expected_tensor.shape.as_list() if expected_tensor.shape.is_fully_defined() else tf.shape(expected_tensor)
    return with_shape(shape, tensor)


def assert_scalar_int(tensor, name=None):
    """`tensor`, which must be a scalar of an integer type."""
    tensor = tf.convert_to_tensor(tensor, name=name)
    if not tensor.dtype.is_integer:
        raise ValueError(f"{tensor.name} must be an integer, not {tensor.dtype.name}.")
    return tf.compat.v1.debugging.assert_scalar(tensor)


def strip_name_scope(name: str, export_scope: str) -> str:
    """`name` without the scope before it."""
    return name.removeprefix(f"{export_scope}/") if export_scope else name


def get_placeholders(graph):
    """The placeholder tensors of a graph."""
    return [op.outputs[0] for op in graph.get_operations() if op.type == "Placeholder"]
