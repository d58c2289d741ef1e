"""tf-slim through `graph_resnet.compat.slim`: moved names, batch norm without Keras, slim's own tests."""

import importlib
import logging
import os
import pathlib
import re
import subprocess
import sys
import types
import warnings

import numpy as np
import pytest
import tensorflow as tf

from graph_resnet.compat import slim as compat

# isort: split
import tf_slim as slim
from tf_slim.nets import resnet_v1

v1 = tf.compat.v1
UPDATE_OPS = v1.GraphKeys.UPDATE_OPS
ROOT = pathlib.Path(__file__).parents[1]

pytestmark = pytest.mark.filterwarnings("ignore:.*is deprecated and will be removed:UserWarning")


def run_python(*arguments):
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )


def test_a_command_imports_neither_keras_nor_jax():
    """It has no use for them; a net of the user's own may."""
    program = """
import sys
from graph_resnet import cli
tf = cli.import_tensorflow()
print(sorted({"keras", "jax", "tf_keras"} & sys.modules.keys()))
from tensorflow.keras import layers
import keras
print(layers.Dense is keras.layers.Dense is tf.keras.layers.Dense, tf.layers.dense.__module__)
"""
    result = run_python("-c", program)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["[]", "True tensorflow.python.keras.legacy_tf_layers.core"]


def variable_names():
    return {v.op.name for v in v1.global_variables()}


# The table


@pytest.mark.parametrize("row", compat.MOVED_NAMES, ids=lambda row: ".".join(row[:2]))
def test_every_row_resolves_to_the_name_in_its_new_place(row):
    old_module, name, new_module, *new_name = row
    old = importlib.import_module(f"tensorflow.python.{old_module}")
    new = importlib.import_module(f"tensorflow.python.{new_module}")
    assert getattr(old, name) is getattr(new, new_name[0] if new_name else name)


def test_only_missing_names_are_restored(monkeypatch):
    for name in ("house", "house.old", "house.new"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    old, new = sys.modules["house.old"], sys.modules["house.new"]
    old.kept = "mine"
    new.kept, new.moved, new.renamed = "theirs", "moved", "renamed"
    rows = (("old", "kept", "new"), ("old", "moved", "new"), ("old", "former", "new", "renamed"))
    compat.restore_moved_names(rows, package="house")
    assert (old.kept, old.moved, old.former) == ("mine", "moved", "renamed")


IMPORT_SCRIPT = """
import sys, warnings
import tensorflow as tf
from tensorflow.python.ops import array_ops
from tf_slim import batch_norm
array_ops.stack = "mine"
filters = warnings.filters[:], tf.get_logger().filters[:]
import graph_resnet.compat.slim
assert array_ops.stack == "mine"
assert filters == (warnings.filters, tf.get_logger().filters), "silenced something"
assert tf.executing_eagerly()
assert tf.compat.v1.resource_variables_enabled() and tf.compat.v1.control_flow_v2_enabled()
with tf.Graph().as_default():
    batch_norm(tf.zeros([2, 4, 4, 3]))
assert "tf_keras" not in sys.modules
"""


def test_importing_changes_nothing_else():
    """In a new process that imported slim first and in which somebody else had set one of the names."""
    result = run_python("-c", IMPORT_SCRIPT)
    assert result.returncode == 0, result.stderr


# Batch norm


@pytest.mark.parametrize("scale", [False, True])
@pytest.mark.parametrize("collections", ["default", "same object", "equal string", "list"])
def test_conv_with_batch_norm_has_the_usual_variables_and_updates(collections, scale):
    explicit = {
        "same object": UPDATE_OPS,
        "equal string": UPDATE_OPS[:3] + UPDATE_OPS[3:],
        "list": [UPDATE_OPS],
    }
    params = {"scale": scale}
    if collections in explicit:
        params["updates_collections"] = explicit[collections]
    with tf.Graph().as_default():
        slim.conv2d(tf.zeros([2, 8, 8, 3]), 4, 3, normalizer_fn=slim.batch_norm, normalizer_params=params)
        trained = {"Conv/weights", "Conv/BatchNorm/beta"} | ({"Conv/BatchNorm/gamma"} if scale else set())
        assert {v.op.name for v in v1.trainable_variables()} == trained
        assert variable_names() - trained == {f"Conv/BatchNorm/moving_{s}" for s in ("mean", "variance")}
        assert len(v1.get_collection(UPDATE_OPS)) == 2


@pytest.mark.parametrize("is_training", [True, False])
def test_normalizer_fn_without_parameters(is_training):
    """As tutorials write it; a layer that is not training has no updates."""
    with tf.Graph().as_default():
        with slim.arg_scope([slim.batch_norm], is_training=is_training):
            net = slim.conv2d(tf.zeros([2, 8, 8, 3]), 4, 3, normalizer_fn=slim.batch_norm)
            slim.fully_connected(slim.flatten(net), 5, normalizer_fn=slim.batch_norm)
        assert len(v1.get_collection(UPDATE_OPS)) == (4 if is_training else 0)
        assert {"Conv/BatchNorm/beta", "fully_connected/BatchNorm/beta"} <= variable_names()


@pytest.mark.parametrize(
    ("shape", "arguments", "bessel"),
    [
        ((4, 5, 6, 3), {}, True),
        ((4, 5, 6, 3), {"fused": False}, False),
        ((16, 3), {}, True),
        ((4, 7, 3), {}, False),
        ((2, 3, 4, 5, 3), {}, False),
    ],
    ids=["rank 4", "unfused", "rank 2", "rank 3", "rank 5"],
)
def test_output_and_moving_averages(shape, arguments, bessel):
    """The moving averages go 1 - decay of the way; the fused op uses the unbiased variance for them."""
    decay, epsilon = 0.9, 0.001
    x = np.random.RandomState(0).normal(3, 2, shape).astype(np.float32)
    axes = tuple(range(x.ndim - 1))
    mean, variance = x.mean(axes), x.var(axes)
    n = x.size // 3
    with tf.Graph().as_default(), v1.Session() as session:
        y = slim.batch_norm(tf.constant(x), decay=decay, epsilon=epsilon, scope="BatchNorm", **arguments)
        updates = v1.get_collection(UPDATE_OPS)
        moving = [slim.get_unique_variable(f"BatchNorm/moving_{name}") for name in ("mean", "variance")]
        session.run(v1.global_variables_initializer())
        output, _ = session.run([y, updates])
        moving_mean, moving_variance = session.run(moving)
    np.testing.assert_allclose(output, (x - mean) / np.sqrt(variance + epsilon), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(moving_mean, (1 - decay) * mean, rtol=1e-4)
    seen = variance * n / (n - 1) if bessel else variance
    np.testing.assert_allclose(moving_variance, decay + (1 - decay) * seen, rtol=1e-4)


def test_is_training_placeholder():
    x = np.random.RandomState(1).normal(5, 1, (8, 4, 4, 2)).astype(np.float32)
    with tf.Graph().as_default(), v1.Session() as session:
        is_training = v1.placeholder(tf.bool, [])
        y = slim.batch_norm(tf.constant(x), decay=0.5, is_training=is_training, scope="bn")
        updates, moving_mean = v1.get_collection(UPDATE_OPS), slim.get_unique_variable("bn/moving_mean")
        session.run(v1.global_variables_initializer())
        evaluated, _ = session.run([y, updates], {is_training: False})
        np.testing.assert_allclose(evaluated, x / np.sqrt(1.001), rtol=1e-4)
        np.testing.assert_array_equal(session.run(moving_mean), [0, 0])
        trained, _ = session.run([y, updates], {is_training: True})
        np.testing.assert_allclose(trained.mean((0, 1, 2)), [0, 0], atol=1e-4)
        np.testing.assert_allclose(session.run(moving_mean), 0.5 * x.mean((0, 1, 2)), rtol=1e-4)


def test_batch_weights():
    """An example of weight 0 counts neither in the batch mean nor in the moving mean."""
    x = np.float32([[1, 2], [3, 6], [100, 100]])
    with tf.Graph().as_default(), v1.Session() as session:
        slim.batch_norm(tf.constant(x), decay=0.9, batch_weights=tf.constant([1.0, 1.0, 0.0]), scope="bn")
        session.run(v1.global_variables_initializer())
        session.run(v1.get_collection(UPDATE_OPS))
        moving_mean = session.run(slim.get_unique_variable("bn/moving_mean"))
    np.testing.assert_allclose(moving_mean, [0.2, 0.4], rtol=1e-5)


@pytest.mark.parametrize("fused", [True, False])
def test_param_regularizers(fused):
    with tf.Graph().as_default(), v1.Session() as session:
        regularizers = {"beta": lambda beta: tf.reduce_sum(beta) + 7.0}
        slim.batch_norm(tf.zeros([2, 4, 4, 3]), scale=True, fused=fused, param_regularizers=regularizers)
        losses = v1.get_collection(v1.GraphKeys.REGULARIZATION_LOSSES)
        session.run(v1.global_variables_initializer())
        assert session.run(losses) == [7.0]


def test_bfloat16_inputs_keep_float32_variables():
    with tf.Graph().as_default():
        y = slim.batch_norm(tf.zeros([2, 4, 4, 3], tf.bfloat16), scale=True)
        assert y.dtype == tf.bfloat16
        assert {v.dtype.base_dtype for v in v1.global_variables()} == {tf.float32}


@pytest.mark.parametrize(
    ("arguments", "dtype", "message"),
    [
        ({"renorm": True}, tf.float32, "renorm is not supported"),
        ({"adjustment": lambda shape: (1.0, 0.0)}, tf.float32, "adjustment is not supported"),
        ({"fused": False}, tf.float16, "float16 inputs need rank 2 or 4 and fused=True; cast"),
    ],
    ids=["renorm", "adjustment", "half precision"],
)
def test_what_needs_keras_is_refused(arguments, dtype, message):
    with tf.Graph().as_default():
        x = tf.zeros([2, 4, 4, 3], dtype)
        with pytest.raises(ValueError, match=message):
            slim.batch_norm(x, **arguments)


@pytest.mark.parametrize("module", ["tf_slim", "tf_slim.layers", "tf_slim.layers.layers"])
def test_arg_scope_reaches_batch_norm_by_every_name(module):
    key = sys.modules[module].batch_norm
    with tf.Graph().as_default(), slim.arg_scope([slim.conv2d], normalizer_fn=slim.batch_norm):
        with slim.arg_scope([key], scale=True, updates_collections="mine"):
            slim.conv2d(tf.zeros([2, 8, 8, 3]), 4, 3, scope="conv")
        assert "conv/BatchNorm/gamma" in variable_names()
        assert len(v1.get_collection("mine")) == 2
        assert not v1.get_collection(UPDATE_OPS)


# The rest of slim


def test_create_train_op_trains():
    random = np.random.RandomState(2)
    labels = np.arange(32) % 2
    images = (random.normal(0, 0.3, (32, 8, 8, 1)) + labels[:, None, None, None]).astype(np.float32)
    with tf.Graph().as_default(), v1.Session() as session:
        v1.set_random_seed(0)
        layers = [slim.conv2d, slim.fully_connected]
        with slim.arg_scope(layers, weights_regularizer=slim.l2_regularizer(1e-4)):
            net = slim.conv2d(tf.constant(images), 4, 3, normalizer_fn=slim.batch_norm)
            net = slim.avg_pool2d(slim.max_pool2d(net, 2), 2)
            logits = slim.fully_connected(slim.flatten(net), 2, activation_fn=None)
        slim.losses.softmax_cross_entropy(logits, tf.one_hot(labels, 2))
        total_loss = slim.losses.get_total_loss()
        optimizer = v1.train.MomentumOptimizer(0.05, 0.9)
        train_op = slim.learning.create_train_op(total_loss, optimizer, clip_gradient_norm=5.0)
        session.run(v1.global_variables_initializer())
        losses = [session.run(train_op) for _ in range(20)]
        assert losses[-1] < 0.5 * losses[0]
        assert session.run(v1.train.get_global_step()) == 20
        assert np.all(session.run(slim.get_unique_variable("Conv/BatchNorm/moving_mean")) != 0)


@pytest.fixture(scope="module")
def resnet_graph():
    with tf.Graph().as_default() as graph, slim.arg_scope(resnet_v1.resnet_arg_scope()):
        net, end_points = resnet_v1.resnet_v1_50(tf.zeros([2, 33, 33, 3]), num_classes=10, is_training=False)
    return graph, net, end_points


def test_resnet_v1_50_builds(resnet_graph):
    graph, net, end_points = resnet_graph
    assert net.shape.as_list() == [2, 1, 1, 10]
    assert end_points["resnet_v1_50/block4"].shape.as_list() == [2, 2, 2, 2048]
    with graph.as_default():
        assert "resnet_v1_50/block1/unit_1/bottleneck_v1/conv1/weights" in variable_names()
        # 53 convolutions with weights, beta, gamma and two averages; weights and biases of the logits.
        assert len(v1.global_variables()) == 53 * 5 + 2


def test_get_variables_to_restore(resnet_graph):
    with resnet_graph[0].as_default():
        restored = {v.op.name for v in slim.get_variables_to_restore(exclude=["resnet_v1_50/logits"])}
        assert variable_names() - restored == {f"resnet_v1_50/logits/{s}" for s in ("weights", "biases")}


def test_quiet_silences_deprecations_only():
    record = logging.makeLogRecord
    logger, before = tf.get_logger(), tf.get_logger().filters[:]
    with warnings.catch_warnings(record=True) as caught, tf.Graph().as_default():
        warnings.simplefilter("always")
        slim.max_pool2d(tf.zeros([2, 4, 4, 3]), 2)
        assert ["layer.apply" in str(w.message) for w in caught] == [True]
        compat.quiet()
        try:
            slim.max_pool2d(tf.zeros([2, 4, 4, 3]), 2)
            warnings.warn("mine", UserWarning, stacklevel=1)
            assert [str(w.message) for w in caught[1:]] == ["mine"]
            assert not logger.filter(record({"msg": "From a.py: f (from b) is deprecated."}))
            assert logger.filter(record({"msg": "loss is %s", "args": ("nan",)}))
        finally:
            logger.filters[:] = before


def test_slims_own_tests_pass_through_the_plugin(tmp_path):
    """A quick part of the test command in the module docstring."""
    options = ["-q", "--assert=plain", "-c", os.devnull, f"--rootdir={tmp_path}", "-W", "ignore"]
    plugins = ["-p", "graph_resnet.compat.slim", "-p", "no:cacheprovider"]
    chosen = ["-k", "ArgScopeTest or (BatchNormTest and (Default or Reuse))"]
    modules = ["--pyargs", "tf_slim.ops.arg_scope_test", "tf_slim.layers.layers_test"]
    result = run_python("-m", "pytest", *options, *plugins, *chosen, *modules)
    assert result.returncode == 0, result.stdout + result.stderr
    assert int(re.search(r"(\d+) passed", result.stdout)[1]) >= 20
