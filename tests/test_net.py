"""The blocks compared with numpy, the bottleneck net's numbers, and batch norm's moving averages."""

import collections
import dataclasses
import json
import math
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from graph_resnet import net, recipes
from graph_resnet.architectures import ARCHITECTURES
from graph_resnet.net import (
    ACTIVATIONS,
    ResNet,
    basic_block,
    gelu,
    identity_initializer,
    pooled_block,
    residual_block,
    resnet_arg_scope,
    subsample,
)
from graph_resnet.session import session_config
from graph_resnet.training import graph as training_graph

# isort: split
import tf_slim as slim

ROOT = pathlib.Path(__file__).parents[1]
EPSILON = {None: 0, "BatchNorm": 1e-3, "GroupNorm": 1e-6}  # slim's defaults
GROUPS = 2  # of the group norm

# The bottleneck net's convolutions, all with batch norm.
CONVOLUTIONS = ["block1/conv5_5"] + [
    f"{block}/{unit}/{conv}"
    for block in ("block2", "block3")
    for unit, convs in (
        ("residual_block1", ("shortcut", "conv1", "conv2", "conv3")),
        ("residual_block2", ("conv1", "conv2", "conv3")),
    )
    for conv in convs
]


def images(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def random_values(session, seed=1):
    """Assigns a random value to every variable, positive ones to variances: {name: float32 array}."""
    rng = np.random.default_rng(seed)
    values = {}
    for variable in tf.global_variables():
        value = rng.normal(size=variable.shape)
        if variable.op.name.endswith("moving_variance"):
            value = 0.5 + value**2
        values[variable.op.name] = value.astype(np.float32)
    initializers = {v.op.name: v.initializer for v in tf.global_variables()}
    session.run(initializers, {op.inputs[1]: values[name] for name, op in initializers.items()})
    return values


# The reference implementation in numpy.


def conv_same(x, weights, stride=1):
    """A SAME convolution: x [B, H, W, C], weights [k, k, C, D]. Of odd padding, the larger part is at the end."""
    size = len(weights)
    out = [-(-n // stride) for n in x.shape[1:3]]
    padding = [max((o - 1) * stride + size - n, 0) for o, n in zip(out, x.shape[1:3])]
    x = np.pad(x, [(0, 0), *((p // 2, p - p // 2) for p in padding), (0, 0)])
    result = 0
    for i in range(size):
        for j in range(size):
            seen = x[:, i : i + stride * out[0] : stride, j : j + stride * out[1] : stride]
            result = result + seen[:, : out[0], : out[1]] @ weights[i, j]
    return result


def normalized(x, norm, values, scope):
    """Batch norm of a training batch, or group norm, or, without either, the bias."""
    if norm is None:
        return x + values[f"{scope}/biases"]
    if norm == "BatchNorm":
        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    else:
        grouped = x.reshape(*x.shape[:3], GROUPS, -1)
        spread = np.ones_like(grouped)
        mean = (spread * grouped.mean((1, 2, 4), keepdims=True)).reshape(x.shape)
        variance = (spread * grouped.var((1, 2, 4), keepdims=True)).reshape(x.shape)
    gamma = values.get(f"{scope}/{norm}/gamma", 1)
    return gamma * (x - mean) / np.sqrt(variance + EPSILON[norm]) + values[f"{scope}/{norm}/beta"]


def reference_block(x, values, scope, strides, norm):
    """A residual block whose convolutions have `strides`: ReLU between them and after the sum."""
    x = x.astype(np.float64)

    def conv(y, name, stride):
        return normalized(conv_same(y, values[f"{scope}/{name}/weights"], stride), norm, values, f"{scope}/{name}")

    stride = max(strides)
    shortcut = x[:, ::stride, ::stride]
    if f"{scope}/shortcut/weights" in values:
        shortcut = conv(x, "shortcut", stride)
    residual = x
    for i, each in enumerate(strides, 1):
        residual = conv(residual, f"conv{i}", each)
        residual = np.maximum(residual, 0) if i < len(strides) else residual
    return np.maximum(shortcut + residual, 0)


def norm_scope(norm):
    if norm == "GroupNorm":
        return slim.arg_scope([slim.conv2d], normalizer_fn=slim.group_norm, normalizer_params={"groups": GROUPS})
    return slim.arg_scope([slim.conv2d], normalizer_fn=slim.batch_norm if norm else None)


def norm_variables(norm):
    if norm == "BatchNorm":
        return {"BatchNorm/beta", "BatchNorm/moving_mean", "BatchNorm/moving_variance"}
    return {"GroupNorm/beta", "GroupNorm/gamma"} if norm else {"biases"}


@pytest.mark.parametrize("norm", EPSILON)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("in_depth", [8, 6], ids=["identity", "projection"])
def test_residual_block_is_the_reference(graph, in_depth, stride, norm):
    x = images(3, 8, 7, in_depth)
    with norm_scope(norm), tf.Session() as session:
        y = residual_block(tf.constant(x), bottleneck_depth=4, out_depth=8, stride=stride, scope="unit")
        values = random_values(session)
        result = session.run(y)
    convs = ["conv1", "conv2", "conv3"] + ["shortcut"] * (in_depth != 8)
    assert set(values) == {f"unit/{c}/{v}" for c in convs for v in {"weights"} | norm_variables(norm)}
    assert y.shape == (3, -(-8 // stride), -(-7 // stride), 8)
    expected = reference_block(x, values, "unit", (1, stride, 1), norm)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)
    assert 0.05 < np.mean(expected == 0) < 0.95  # the ReLU changes something


@pytest.mark.parametrize("norm", [None, "BatchNorm"])
@pytest.mark.parametrize(("in_depth", "stride"), [(8, 1), (8, 2), (6, 1), (6, 2)])
def test_basic_block_is_the_reference(graph, in_depth, stride, norm):
    x = images(3, 8, 7, in_depth)
    with norm_scope(norm), tf.Session() as session:
        y = basic_block(tf.constant(x), 8, stride, scope="unit")
        values = random_values(session)
        result = session.run(y)
    assert ("unit/shortcut/weights" in values) == ((in_depth, stride) != (8, 1))
    expected = reference_block(x, values, "unit", (stride, 1), norm)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("norm", [None, "BatchNorm"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("shortcut", [True, False])
def test_pooled_block_is_the_reference(graph, shortcut, activation, norm):
    """On 7x9 images: the pools drop the last row and column."""
    x = images(3, 7, 9, 5)
    with (
        norm_scope(norm),
        slim.arg_scope([slim.conv2d], activation_fn=ACTIVATIONS[activation]),
        tf.Session() as session,
    ):
        y = pooled_block(tf.constant(x), 8, scope="unit", shortcut=shortcut)
        values = random_values(session)
        result = session.run(y)
    assert set(values) == {f"unit/{c}/{v}" for c in ("conv1", "conv2") for v in {"weights"} | norm_variables(norm)}
    act = {"relu": lambda a: np.maximum(a, 0), "gelu": lambda a: a / (1 + np.exp(-1.702 * a))}[activation]
    wide = conv_same(x.astype(np.float64), values["unit/conv1/weights"])
    wide = wide if norm else wide + values["unit/conv1/biases"]
    small = wide[:, :6, :8].reshape(3, 3, 2, 4, 2, 8).max((2, 4))
    first = act(normalized(small, norm, values, "unit/conv1") if norm else small)
    second = normalized(conv_same(first, values["unit/conv2/weights"]), norm, values, "unit/conv2")
    np.testing.assert_allclose(result, act(first + second if shortcut else second), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("inputs", "outputs"), [(4, 6), (6, 4)])
def test_identity_filters_pass_their_input_on(graph, inputs, outputs):
    x = images(2, 5, 5, inputs)
    filters = identity_initializer([3, 3, inputs, outputs])
    with tf.Session() as session:
        y, values = session.run([tf.nn.conv2d(x, filters, 1, "SAME"), filters])
    passed = min(inputs, outputs)
    np.testing.assert_array_equal(y[..., :passed], x[..., :passed])
    drawn = values[..., passed:]
    assert drawn.shape[3] == outputs - passed and np.all(np.abs(drawn) <= 1 / 6 + 1e-6)
    assert drawn.size == 0 or 0.08 < drawn.std() < 0.11  # 1 / sqrt(3 * 3 * 4) / sqrt(3) is 0.096


def test_pooled_block_refuses_what_it_cannot_do(graph):
    with pytest.raises(ValueError, match="unit: pool must be positive, got 0"):
        pooled_block(tf.zeros([1, 4, 4, 2]), 8, 0, scope="unit")


def test_gelu_is_close_to_the_exact_function_and_has_its_gradient(graph):
    x = np.linspace(-6, 6, 241, dtype=np.float32)
    exact = [v / 2 * (1 + math.erf(v / math.sqrt(2))) for v in x.tolist()]
    placeholder = tf.constant(x)
    y = gelu(placeholder)
    with tf.Session() as session:
        value, gradient = session.run([y, tf.gradients(y, placeholder)[0]])
    assert 0.01 < np.abs(value - exact).max() < 0.021
    np.testing.assert_allclose(gradient[1:-1], (value[2:] - value[:-2]) / (x[2:] - x[:-2]), atol=2e-3)


def test_the_fast_net(graph, capsys):
    """Its stages' sizes, its parameters, and its frozen stem."""
    row = ARCHITECTURES["fast"]
    with slim.arg_scope(resnet_arg_scope(activation=row.activation, weight_decay=1e-3)):
        net.build(row, tf.zeros([2, 32, 32, 3]), 10, is_training=True, verbose=True)
    assert capsys.readouterr().out.splitlines()[1:] == [
        "stem: (2, 31, 31, 24)", "block1: (2, 15, 15, 64)", "block2: (2, 7, 7, 256)", "block3: (2, 3, 3, 256)",
        "logit: (2, 10)",
    ]  # fmt: skip
    assert sum(v.shape.num_elements() for v in tf.trainable_variables()) == 1_971_362
    stem = [v.op.name for v in tf.global_variables("fast/stem")]
    assert stem == ["fast/stem/conv1/weights", "fast/stem/conv1/biases"]
    assert "fast/stem/conv1/weights" not in {v.op.name for v in tf.trainable_variables()}
    assert len(tf.losses.get_regularization_losses()) == 7  # six convolutions and the last layer


def test_basic_block_without_shortcut_normalization(graph):
    with norm_scope("BatchNorm"):
        basic_block(tf.zeros([2, 8, 8, 6]), 8, stride=2, scope="unit", normalize_shortcut=False)
    shortcut = {v.op.name for v in tf.global_variables("unit/shortcut")}
    assert shortcut == {"unit/shortcut/weights", "unit/shortcut/biases"}


# The blocks in other people's graphs.


def test_block_in_a_graph_of_unknown_sizes(graph):
    """Unknown batch, height and width, inside another scope, with another activation."""
    x = tf.placeholder(tf.float32, [None, None, None, 6])
    with tf.variable_scope("mine"), slim.arg_scope([slim.conv2d], activation_fn=tf.nn.elu):
        y = residual_block(x, 4, 8, stride=2)
    assert y.shape.as_list() == [None, None, None, 8]
    names = {v.op.name for v in tf.trainable_variables()}
    assert names == {
        f"mine/residual_block/{conv}/{variable}"
        for conv in ("shortcut", "conv1", "conv2", "conv3")
        for variable in ("weights", "biases")
    }
    assert collections.Counter(op.type for op in graph.get_operations())["Elu"] == 2
    with tf.Session() as session:
        random_values(session)
        for shape, out in (((2, 8, 7, 6), (2, 4, 4, 8)), ((1, 5, 12, 6), (1, 3, 6, 8))):
            assert session.run(y, {x: images(*shape)}).shape == out


def test_two_images_alone_or_in_a_batch_are_the_same(graph):
    x = tf.placeholder(tf.float32, [None, 9, 9, 8])
    y = residual_block(x, 4, 8)
    assert y.shape.as_list() == [None, 9, 9, 8]
    batch = images(2, 9, 9, 8)
    with tf.Session() as session:
        random_values(session)
        both = session.run(y, {x: batch})
        one = [session.run(y, {x: batch[i : i + 1]})[0] for i in (0, 1)]
    np.testing.assert_allclose(both, one, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("factor", [2, 3])
def test_subsample_keeps_every_nth(graph, factor):
    x = images(2, 7, 8, 3)
    with tf.Session() as session:
        np.testing.assert_array_equal(session.run(subsample(tf.constant(x), factor)), x[:, ::factor, ::factor])


def test_subsample_by_one_is_the_tensor_itself(graph):
    x = tf.zeros([2, 4, 4, 3])
    assert subsample(x, 1) is x


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: subsample(x, 0), "subsample: factor must be at least 1, got 0"),
        (lambda x: subsample(x, -2), "subsample: factor must be at least 1, got -2"),
        (lambda x: residual_block(x, 4, 8, stride=0, scope="a"), "a: stride must be at least 1, got 0"),
        (lambda x: residual_block(x, 4, 0, scope="b"), "b: out_depth must be positive, got 0"),
        (lambda x: residual_block(x, -4, 8, scope="c"), "c: bottleneck_depth must be positive, got -4"),
        (lambda x: basic_block(x, 8, stride=-1, scope="d"), "d: stride must be at least 1, got -1"),
        (lambda x: basic_block(x, -8, scope="e"), "e: out_depth must be positive, got -8"),
    ],
)
def test_arguments_out_of_range_are_named(graph, call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call(tf.zeros([2, 4, 4, 3]))


@pytest.mark.parametrize(
    "block", [lambda x: residual_block(x, 4, 8, scope="a"), lambda x: basic_block(x, 8, scope="a")]
)
@pytest.mark.parametrize(
    ("shape", "shown"), [([2, 4, 4, None], "(2, 4, 4, None)"), ([4, 4, 3], "(4, 4, 3)"), (None, "<unknown>")]
)
def test_unknown_depth_is_refused(graph, block, shape, shown):
    message = f"a: input must be [batch, height, width, depth] with a known depth, got {shown}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        block(tf.placeholder(tf.float32, shape))


BLOCKS = {
    "residual_block": lambda x, **options: residual_block(x, **{"bottleneck_depth": 4, "out_depth": 8, **options}),
    "basic_block": lambda x, **options: basic_block(x, **{"out_depth": 8, **options}),
}


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize(
    "options",
    [
        {"x": images(2, 5, 7, 3).astype(np.float64)},
        {"x": images(2, 5, 7, 3).tolist()},
        {"stride": [2, 2]},
        {"stride": (2, 2)},
        {"stride": np.int64(2)},
        {"stride": 2.0},
        {"out_depth": lambda: tf.constant(8)},
        {"out_depth": tf.Dimension(8)},
        {"scope": None},
        {"padding": "VALID"},
    ],
    ids=lambda options: f"{next(iter(options))}",
)
def test_unambiguous_arguments_work(graph, block, options):
    """Each call has the output and variables of the plain one."""
    plain = {"x": tf.constant(images(2, 5, 7, 3)), "stride": 2, "scope": block}
    options = {name: value() if callable(value) else value for name, value in options.items()}
    padding = options.pop("padding", "SAME")

    def built(**options):
        with (
            tf.variable_scope("net", reuse=tf.AUTO_REUSE),
            slim.arg_scope([slim.conv2d, slim.max_pool2d], padding=padding),
        ):
            return BLOCKS[block](**options)

    wanted, got = built(**plain), built(**{**plain, **options})
    assert got.shape.as_list() == [2, 3, 4, 8]
    assert {v.op.name.split("/")[1] for v in tf.global_variables()} == {block}
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        np.testing.assert_allclose(*session.run([wanted, got]), rtol=1e-5)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": [1, 2]}, "stride must be one whole number, got [1, 2]"),
        ({"stride": 1.5}, "stride must be one whole number, got 1.5"),
        ({"stride": "2"}, "stride must be one whole number, got '2'"),
        ({"stride": None}, "stride must be one whole number, got None"),
        ({"stride": True}, "stride must be one whole number, got True"),
        ({"out_depth": [8, 8]}, "out_depth must be one whole number, got [8, 8]"),
        ({"out_depth": lambda: tf.placeholder(tf.int32, [], "d")}, "out_depth must be a number, got the tensor d:0"),
        ({"out_depth": float("nan")}, "out_depth must be one whole number, got nan"),
        ({"x": lambda: tf.zeros([2, 4, 4, 3], tf.uint8)}, "input must be of a float type, got uint8; pass tf.cast("),
        ({"data_format": "NCHW"}, "data_format 'NCHW' of the arg_scope: the block needs NHWC; transpose its input"),
        ({"rate": 2, "stride": 2}, "rate 2 of the arg_scope needs stride 1, not 2"),
        ({"rate": [2, 1], "stride": 2}, "rate [2, 1] of the arg_scope needs stride 1, not 2"),
    ],
)
def test_invalid_arguments_give_one_line_with_block_and_argument(graph, block, options, message):
    options = {"x": lambda: tf.zeros([2, 4, 4, 3]), "scope": "a", **options}
    options = {name: value() if callable(value) else value for name, value in options.items()}
    scope = {name: options.pop(name) for name in ("data_format", "rate") if name in options}
    with slim.arg_scope([slim.conv2d], **scope), pytest.raises(ValueError) as error:
        BLOCKS[block](**options)
    assert str(error.value).startswith(f"a: {message}") and "\n" not in str(error.value)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_rate_without_a_stride_works(graph, block):
    with slim.arg_scope([slim.conv2d], rate=2):
        assert BLOCKS[block](tf.zeros([2, 9, 9, 3])).shape.as_list() == [2, 9, 9, 8]


# The bottleneck net.


def build(x, reuse=None, is_training=True, decay=0.99, verbose=False):
    with slim.arg_scope(resnet_arg_scope(decay)):
        return ResNet(x, num_classes=10, reuse=reuse, is_training=is_training, verbose=verbose)


def test_parameters_and_variable_names(graph):
    build(tf.zeros([2, 96, 96, 3]))
    trained = {f"resnet/{conv}/{name}" for conv in CONVOLUTIONS for name in ("weights", "BatchNorm/beta")}
    trained |= {"resnet/classification/logit/weights", "resnet/classification/logit/biases"}
    moving = {f"resnet/{conv}/BatchNorm/moving_{name}" for conv in CONVOLUTIONS for name in ("mean", "variance")}
    assert {v.op.name for v in tf.trainable_variables()} == trained
    assert {v.op.name for v in tf.global_variables()} == trained | moving
    assert sum(v.shape.num_elements() for v in tf.trainable_variables()) == 619_402


def test_verbose_prints_the_shapes(graph, capsys):
    build(tf.zeros([64, 96, 96, 3]), verbose=True)
    assert capsys.readouterr().out.splitlines() == [
        "input: (64, 96, 96, 3)",
        "block1: (64, 48, 48, 32)",
        "block2: (64, 24, 24, 128)",
        "block3: (64, 12, 12, 512)",
        "classification: (64, 10)",
    ]


def test_it_prints_nothing_without_verbose(graph, capsys):
    logits = build(tf.zeros([3, 33, 41, 3]))
    assert logits.shape == (3, 10)
    assert capsys.readouterr().out == ""


def test_two_towers_share_every_variable(graph):
    x = tf.constant(images(2, 16, 16, 3))
    first = build(x, is_training=False)
    before = [v.ref() for v in tf.global_variables()]
    second = build(x, reuse=True, is_training=False)
    assert [v.ref() for v in tf.global_variables()] == before
    with tf.Session() as session:
        random_values(session)
        a, b = session.run([first, second])
    np.testing.assert_array_equal(a, b)


def test_a_second_net_without_reuse_is_refused(graph):
    x = tf.zeros([2, 16, 16, 3])
    build(x)
    with pytest.raises(ValueError, match="resnet/block1/conv5_5/weights already exists"):
        build(x)


def is_training_as(kind):
    """(is_training, feed for True, feed for False); the feeds may be None."""
    if kind == "placeholder":
        tensor = tf.placeholder(tf.bool, [], name="is_training")
        return tensor, {tensor: True}, {tensor: False}
    if kind == "placeholder_with_default":
        tensor = tf.placeholder_with_default(False, [], name="is_training")
        return tensor, {tensor: True}, None
    return kind == "True", None, None


def values_of_variables(session):
    return session.run({v.op.name: v for v in tf.global_variables()})


def check_moved(before, after, seen, decay):
    """Checks that a batch norm's moving averages went 1 - decay of the way to its input's statistics."""
    after = dict(after)
    for name, x in seen.items():
        n = x.size // x.shape[-1]
        x = x.astype(np.float64)
        # The fused op returns the unbiased variance.
        for statistic, value in (("mean", x.mean((0, 1, 2))), ("variance", x.var((0, 1, 2)) * n / (n - 1))):
            variable = f"resnet/{name}/BatchNorm/moving_{statistic}"
            moved = after.pop(variable) - before[variable]
            expected = (1 - decay) * (value - before[variable])
            np.testing.assert_allclose(moved, expected, rtol=1e-4, atol=1e-5 * np.abs(value).max(), err_msg=variable)
    check_same(after, before)


def check_same(some, values):
    for name, value in some.items():
        np.testing.assert_array_equal(value, values[name], err_msg=name)


@pytest.mark.parametrize(
    ("kind", "decay"), [("True", 0.99), ("True", 0.9), ("placeholder", 0.99), ("placeholder_with_default", 0.99)]
)
def test_update_ops_move_the_averages_in_training_only(graph, kind, decay):
    x = images(4, 16, 16, 3)
    is_training, true, false = is_training_as(kind)
    logits = build(tf.constant(x), is_training=is_training, decay=decay)
    update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    # With a normalizer, convolutions have no bias, so batch norm's input is their output.
    inputs = {name: graph.get_tensor_by_name(f"resnet/{name}/Conv2D:0") for name in CONVOLUTIONS}
    with tf.Session() as session:
        before = random_values(session)
        if kind != "True":
            session.run([logits, update_ops], false)
            check_same(before, values_of_variables(session))
        seen, _ = session.run([inputs, update_ops], true)
        after = values_of_variables(session)
    stem = conv_same(x, before["resnet/block1/conv5_5/weights"], stride=2)
    np.testing.assert_allclose(seen["block1/conv5_5"], stem, rtol=1e-3, atol=1e-4)
    assert len(seen) == 15
    check_moved(before, after, seen, decay)


def test_a_static_inference_tower_updates_nothing(graph):
    logits = build(tf.constant(images(4, 16, 16, 3)), is_training=False)
    with tf.Session() as session:
        before = random_values(session)
        session.run([logits, tf.get_collection(tf.GraphKeys.UPDATE_OPS)])
        check_same(before, values_of_variables(session))


def test_a_placeholder_gives_the_logits_of_the_static_towers(graph):
    x = tf.constant(images(4, 16, 16, 3))
    expected = {True: build(x, is_training=True), False: build(x, reuse=True, is_training=False)}
    is_training, true, false = is_training_as("placeholder_with_default")
    logits = build(x, reuse=True, is_training=is_training)
    with tf.Session() as session:
        random_values(session)
        expected = session.run(expected)
        for training, feed in ((True, true), (False, false)):
            np.testing.assert_allclose(session.run(logits, feed), expected[training], rtol=1e-3)
    assert np.abs(expected[True] - expected[False]).max() > 0.1 * np.abs(expected[False]).max()


# Execution of the training graph.


def ops_that_ran(fetch, feed=None, initialize=(), precision="float32"):
    """Counter of the op types in the graph that TensorFlow optimized for a fetch."""
    with tf.Session(config=session_config(precision)) as session:
        for op in (tf.global_variables_initializer(), *initialize):
            session.run(op)
        options, metadata = tf.RunOptions(output_partition_graphs=True), tf.RunMetadata()
        session.run(fetch, feed, options=options, run_metadata=metadata)
    return collections.Counter(node.op for part in metadata.partition_graphs for node in part.node)


CONDITIONALS = {"If", "StatelessIf", "Switch", "Merge"}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_training_graph_is_fused_and_has_no_conditional(graph, records, precision):
    recipe = dataclasses.replace(recipes.RECIPES["notebook"], image_size=16, batch_size=4)
    built = training_graph.build(recipe, records, seed=0, precision=precision)
    tables = [tf.local_variables_initializer(), tf.tables_initializer()]
    ops = ops_that_ran(built.train_op, initialize=tables, precision=precision)
    assert ops["ResourceApplyMomentum"] == len(tf.trainable_variables())
    assert not CONDITIONALS & set(ops)
    if not any(name.startswith("_Mkl") for name in ops):
        pytest.skip("TensorFlow fuses batch norm and ReLU in training with oneDNN only, which is off on this machine")
    # The stem, and two of three in each of four blocks: those followed by a ReLU.
    assert sum(count for name, count in ops.items() if name.endswith("FusedBatchNormEx")) == 9


def test_a_placeholder_adds_conditionals(graph):
    is_training = tf.placeholder(tf.bool, [])
    with slim.arg_scope(resnet_arg_scope()), slim.arg_scope([slim.batch_norm], is_training=is_training):
        block = residual_block(tf.constant(images(2, 16, 16, 8)), 4, 8)
    ops = ops_that_ran([block, tf.get_collection(tf.GraphKeys.UPDATE_OPS)], {is_training: True})
    assert CONDITIONALS & set(ops)
    assert not any(name.endswith("FusedBatchNormEx") for name in ops)


# Effects of importing.

SCRIPT = """
import json, sys
facts = {}
import graph_resnet
facts["tensorflow after graph_resnet"] = "tensorflow" in sys.modules
from graph_resnet import residual_block
import tensorflow.compat.v1 as tf
facts["eager after residual_block"] = tf.executing_eagerly()

tf.disable_v2_behavior()  # as many a v1 program begins
import tf_slim as slim
from graph_resnet import ResNet, resnet_arg_scope
try:
    residual_block(tf.placeholder(tf.float32, [2, 4, 4, None]), 4, 8)
except ValueError as error:
    facts["unknown depth"] = str(error)
is_training = tf.placeholder_with_default(False, [])
with slim.arg_scope(resnet_arg_scope()):
    logits = ResNet(tf.ones([2, 16, 16, 3]), 10, is_training=is_training)
    block = residual_block(tf.ones([2, 4, 4, 8]), 4, 8)
facts["variables"] = type(tf.global_variables()[0]).__name__
facts["parameters"] = sum(v.shape.num_elements() for v in tf.trainable_variables("resnet/"))
facts["identity"] = not tf.global_variables("residual_block/shortcut")
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    facts["finite"] = bool((abs(session.run(logits)) < 1e9).all())
print(json.dumps(facts))
"""


@pytest.fixture(scope="module")
def facts():
    """Facts about a new process."""
    result = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_importing_the_package_does_not_import_tensorflow(facts):
    assert facts["tensorflow after graph_resnet"] is False


def test_importing_a_block_leaves_eager_execution_on(facts):
    assert facts["eager after residual_block"] is True


def test_in_a_program_that_disabled_v2_behavior(facts):
    """With reference variables, old control flow, and shapes of `Dimension`."""
    assert facts["variables"] == "RefVariable"
    assert facts["parameters"] == 619_402
    assert facts["identity"] and facts["finite"]
    assert facts["unknown depth"].endswith("with a known depth, got (2, 4, 4, ?)")


def test_an_unknown_name_of_the_package():
    import graph_resnet

    with pytest.raises(AttributeError, match="module 'graph_resnet' has no attribute 'resnet1001'"):
        graph_resnet.resnet1001  # noqa: B018


@pytest.mark.parametrize("depth", [3, 8])
def test_updates_of_a_strided_block_on_few_channels(depth):
    """In a process of its own: with slim's strided 1x1 convolution it dies of a corrupted heap on some CPUs."""
    program = f"""
import tensorflow.compat.v1 as tf
from graph_resnet import residual_block

tf.disable_eager_execution()
output = residual_block(tf.random.normal([25, 16, 16, {depth}]), 8, 16, stride=2)
update = tf.train.GradientDescentOptimizer(1e-3).minimize(tf.reduce_mean(output**2))
with tf.Session(config=tf.ConfigProto(intra_op_parallelism_threads=2)) as session:
    session.run(tf.global_variables_initializer())
    for _ in range(100):
        session.run(update)
"""
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr[-500:]
