"""tf-slim 1.1.0, the newest release, and 1.2.0 from its repository, on TensorFlow 2.16 to 2.21, without tf_keras.

Without this module, tf-slim 1.1.0 imports on TensorFlow 2.21, but `slim.batch_norm`, and all nets that use it, fail: it
needs the Keras 2 layer, which TensorFlow no longer contains. Other names have moved inside TensorFlow. 1.2.0 fails on
import because of `tf.layers`. After `import graph_resnet`, this module runs whenever slim is imported. It restores the
missing names and directs `slim.batch_norm` to slim's own code, which needs no Keras. It changes nothing else in
TensorFlow, and also works if slim was imported before.

    import graph_resnet.compat.slim  # noqa: F401
    import tf_slim as slim

    net = slim.conv2d(images, 32, 3, normalizer_fn=slim.batch_norm)

Three features of `slim.batch_norm` raise a ValueError: `renorm`, `adjustment`, and half precision inputs for which the
fused op cannot be used. Installing tf_keras would not help: TensorFlow does not look for its `legacy_tf_layers` where
they are.

slim's own tests: `python -m pytest -p graph_resnet.compat.slim --pyargs tf_slim.ops tf_slim.layers
tf_slim.losses`. 711 of 719 pass on TensorFlow 2.18, 2.20 and 2.21, 710 on 2.16 (numpy 1.26). The others:
- test_dense_to_sparse_tensor_1d_str, ..._1d_str_special_ignore, testNpairsMultiLabel (2.16: 1d_bool too):
  they use `np.object`, `np.float` or `np.bool`, which numpy removed in 1.24 (`np.bool` is back in 2.0).
- testAdjustmentCreated: `adjustment`, see above.
- testWithIsRecomputeKwarg: the test itself builds the Keras layer.
- testLoadPartitionedVariables: `slim.assign_from_checkpoint` indexes an array with a list of slices, an error
  since numpy 1.23; restore partitioned variables with a `tf.compat.v1.train.Saver`.
- testVariableWithReplicaDeviceSetter: expects a test session to place its ops on the CPU, which it no longer does.
- testCreateDropout: expects an op name; the last op of dropout is now a SelectV2 instead of a Mul.

The rest of the suite on TensorFlow 2.21 and numpy 2.4, `tf_slim.data tf_slim.evaluation_test tf_slim.learning_test
tf_slim.metrics tf_slim.summaries_test tf_slim.training`: 506 pass, 44 fail, for reasons in the tests themselves
(evaluation_test needs a module `nose.tools` with `nottest`):
- testDecodeExampleWithRawEncoding, ...WithRAWEncoding, ...FloatDtype: `ndarray.tostring`, removed in numpy 2.3.
- SingleEvaluationTest.testAdditionalHooks: an argument of DumpingDebugHook that TensorFlow removed.
- F1ScoreTest.testSomeCorrect: compares a float32 to 7 places.
- CountTest.testReturnType: expects a tensor and gets a variable.
- StreamingPrecisionRecallAtEqualThresholdsLargeTest: `np.product`, removed in numpy 2.0.
- the other 37, in evaluation_test, learning_test and tf_slim.training: they prepare their data with `int()` of an array
  with one element, an error since numpy 2.4. They pass with an older numpy.

`tf_slim.nets` on TensorFlow 2.21: all tests pass of alexnet (7), inception_v1 (11), inception_v2 (14), inception_v3
(15), overfeat (7), resnet_v1 (15), resnet_v2 (15) and vgg (21). `tf_slim.queues` has none.
"""

import contextlib
import functools
import inspect
import re
import warnings

import tensorflow as tf
from tensorflow.python.layers import normalization

from . import slim_hook
from .moved_names import MOVED_NAMES, restore_moved_names  # noqa: F401  (MOVED_NAMES: for readers of the table here)

UPDATE_OPS = tf.compat.v1.GraphKeys.UPDATE_OPS


def _unsupported(arguments):
    """A phrase about an argument that slim's own batch norm would ignore or get wrong, or None.

    Args:
        arguments: all arguments of `slim.batch_norm` by name; `inputs` is a tensor.
    """
    inputs = arguments["inputs"]
    for name in ("renorm", "adjustment"):
        if arguments[name]:
            return f"{name} is not supported; leave it out"
    fused = arguments["fused"] is not False and inputs.shape.ndims in (2, 4)
    if not fused and inputs.dtype in (tf.float16, tf.bfloat16):
        # slim would keep the moving averages in half precision, in which an update by 1 - decay rounds to nothing.
        return f"{inputs.dtype.name} inputs need rank 2 or 4 and fused=True; cast them to float32"
    return None


def _regularize(param_regularizers):
    """Applies {"beta": ..., "gamma": ...} to the variables created inside; slim's unfused code forgets to."""

    def regularizer(variable):
        name = re.sub(r"/part_\d+$", "", variable.op.name).rpartition("/")[2]
        return param_regularizers[name](variable) if param_regularizers.get(name) else None

    if not param_regularizers:
        return contextlib.nullcontext()
    from tf_slim.ops.arg_scope import arg_scope
    from tf_slim.ops.variables import model_variable

    return arg_scope([model_variable], regularizer=regularizer)


def batch_norm_without_keras(batch_norm):
    """Wraps slim's `batch_norm`, without its `add_arg_scope` decorator, so that it never takes its Keras branch.

    slim takes that branch if `updates_collections is GraphKeys.UPDATE_OPS`. A list of this one collection means the
    same but is another object. Other arguments that avoid the branch are passed on unchanged.
    """
    signature = inspect.signature(batch_norm)

    @functools.wraps(batch_norm)
    def wrapper(*args, **kwargs):
        call = signature.bind(*args, **kwargs)
        call.apply_defaults()
        arguments = call.arguments
        if (
            arguments["updates_collections"] != UPDATE_OPS
            or arguments["batch_weights"] is not None
            or arguments["zero_debias_moving_mean"]
        ):
            return batch_norm(*args, **kwargs)
        arguments["inputs"] = tf.convert_to_tensor(arguments["inputs"])
        problem = _unsupported(arguments)
        if problem:
            raise ValueError(f"slim.batch_norm without Keras: {problem}.")
        arguments["updates_collections"] = [UPDATE_OPS]
        with _regularize(arguments["param_regularizers"]):
            return batch_norm(*call.args, **call.kwargs)

    return wrapper


def _has_keras_layer():
    """Whether TensorFlow or tf_keras has the layer at the place where slim looks for it."""
    from .batch_normalization import BatchNormalization

    if vars(normalization).get("BatchNormalization", BatchNormalization) is not BatchNormalization:
        return True  # getattr would import tf_keras
    layer = getattr(tf.compat.v1.layers, "BatchNormalization", None)
    return layer is not None and layer is not BatchNormalization and not _asks_normalization_module()


def _asks_normalization_module():
    """tf-slim 1.1.0 takes the layer from `tensorflow.python.layers`, 1.2.0 from `tf.layers`."""
    from tf_slim.layers import layers

    return hasattr(layers, "normalization_layers")


def replace_batch_norm():
    """Makes `slim.batch_norm` work without Keras, unless TensorFlow has the layer that slim needs. Runs once.

    The function is replaced inside slim's decorator, so every reference to `slim.batch_norm`, whenever it was imported,
    stays the same object and the same key of an arg_scope.
    """
    from tf_slim.layers import layers

    decorated = layers.batch_norm
    function_cell = decorated.__closure__[decorated.__code__.co_freevars.index("func")]
    if getattr(function_cell.cell_contents, "without_keras", False) or _has_keras_layer():
        return
    wrapper = batch_norm_without_keras(decorated.__wrapped__)
    wrapper._key_op = decorated._key_op
    wrapper.without_keras = True
    function_cell.cell_contents = wrapper


def _is_not_deprecation(record):
    return "is deprecated" not in record.getMessage()


def quiet():
    """Silences deprecation messages of slim and its layers, and TensorFlow's info messages, in this process. For
    commands."""
    warnings.filterwarnings("ignore", category=UserWarning, module=r"tensorflow\.python\.keras\.")
    tf.get_logger().addFilter(_is_not_deprecation)
    tf.get_logger().setLevel("WARNING")  # in a notebook, INFO gives a line for each restored file


slim_hook.install()
import tf_slim  # noqa: E402, F401  (the hook does the rest)
