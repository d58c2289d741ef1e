"""ResNet-18 and ResNet-34 compared with Keras: parameters, names, logits, gradients, moving averages."""

import collections
import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

from graph_resnet import net
from graph_resnet.architectures import ARCHITECTURES

# isort: split
import tf_slim as slim

keras = tf.keras

UNITS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
BUILDERS = {"resnet18": net.resnet18, "resnet34": net.resnet34}
NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def counts():
    """(number of trainable parameters, number of all) in the default graph."""
    groups = v1.trainable_variables(), v1.global_variables()
    return tuple(sum(v.shape.num_elements() for v in group) for group in groups)


@pytest.mark.parametrize(
    ("name", "num_classes", "trainable", "total"),
    [
        ("resnet18", 10, 11_176_970, 11_184_778),
        ("resnet18", 100, 11_223_140, 11_230_948),
        ("resnet34", 10, 21_288_842, 21_304_074),
        ("resnet34", 100, 21_335_012, 21_350_244),
    ],
)
def test_parameters(graph, name, num_classes, trainable, total):
    logits = BUILDERS[name](tf.zeros([2, 32, 32, 3]), num_classes, is_training=True)
    assert logits.shape == (2, num_classes)
    assert counts() == (trainable, total)


@pytest.mark.parametrize("name", UNITS)
def test_variable_names(graph, name):
    convolutions = ["stem/conv1"]
    bare = ["logit", "block2/unit1/shortcut", "block3/unit1/shortcut", "block4/unit1/shortcut"]
    for block, units in enumerate(UNITS[name], 1):
        for unit in range(1, units + 1):
            convolutions += [f"block{block}/unit{unit}/conv1", f"block{block}/unit{unit}/conv2"]
    expected = {f"{name}/{layer}/{v}" for layer in convolutions + bare for v in ("weights", "biases")}
    expected |= {f"{name}/{layer}/BatchNorm/{v}" for layer in convolutions for v in NORM}
    x = tf.zeros([2, 32, 32, 3])
    BUILDERS[name](x, 10, is_training=True)
    assert {v.op.name for v in v1.global_variables()} == expected
    BUILDERS[name](x, 10, is_training=False, reuse=True)
    assert len(v1.global_variables()) == len(expected)


def test_verbose_prints_the_shapes(graph, capsys):
    net.resnet18(tf.zeros([5, 32, 32, 3]), 10, is_training=False, verbose=True)
    assert capsys.readouterr().out.splitlines() == [
        "input: (5, 32, 32, 3)",
        "stem: (5, 30, 30, 64)",
        "block1: (5, 30, 30, 64)",
        "block2: (5, 15, 15, 128)",
        "block3: (5, 8, 8, 256)",
        "block4: (5, 4, 4, 512)",
        "logit: (5, 10)",
    ]


def test_initial_values_are_those_of_keras(graph):
    """Glorot uniform and zeros; gamma and the moving variance are ones."""
    net.resnet18(tf.zeros([2, 32, 32, 3]), 10, is_training=True)
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        values = session.run({v.op.name: v for v in v1.global_variables()})
    for name, value in values.items():
        kind = name.rpartition("/")[2]
        if kind == "weights":
            fans = np.prod(value.shape[:-2], dtype=int) * (value.shape[-2] + value.shape[-1])
            limit = np.sqrt(6 / fans)
            assert 0.99 * limit < np.abs(value).max() <= limit * (1 + 1e-6), name
            np.testing.assert_allclose(value.std(), limit / np.sqrt(3), rtol=0.05, err_msg=name)
        else:
            assert (value == (kind in ("gamma", "moving_variance"))).all(), name


def test_the_usual_resnet18(graph):
    """Without the redundant biases and with batch norm on the shortcuts: the number usually quoted for CIFAR-10."""
    row = dataclasses.replace(ARCHITECTURES["resnet18"], keras_style=False)
    with slim.arg_scope(net.resnet_arg_scope(biases=row.keras_style, batch_norm_scale=True)):
        net.build(row, tf.zeros([2, 32, 32, 3]), 10, is_training=True)
    assert counts()[0] == 11_173_962
    kinds = collections.Counter(v.op.name.rpartition("/")[2] for v in v1.trainable_variables())
    assert kinds == {"weights": 21, "gamma": 20, "beta": 20, "biases": 1}
    assert {v.op.name.rpartition("/")[2] for v in v1.global_variables("resnet18/block2/unit1/shortcut")} == {
        "weights",
        *NORM,
    }


# The same net in Keras with default options. Layers are named like our scopes, with dots.


def keras_net(units, num_classes):
    layers = keras.layers

    def conv(x, name, depth, size=3, stride=1, padding="same"):
        return layers.Conv2D(depth, size, stride, padding, name=name)(x)

    def norm(x, name):
        return layers.BatchNormalization(name=f"{name}.BatchNorm")(x)

    x = images = keras.Input([32, 32, 3])
    x = layers.ReLU()(norm(conv(x, "stem.conv1", 64, padding="valid"), "stem.conv1"))
    x = layers.MaxPooling2D(2, strides=1, padding="same")(x)
    for block, (depth, count) in enumerate(zip((64, 128, 256, 512), units), 1):
        for unit in range(1, count + 1):
            name = f"block{block}.unit{unit}"
            stride = 2 if block > 1 and unit == 1 else 1
            shortcut = x if stride == 1 else conv(x, f"{name}.shortcut", depth, 1, stride)
            x = layers.ReLU()(norm(conv(x, f"{name}.conv1", depth, 3, stride), f"{name}.conv1"))
            x = norm(conv(x, f"{name}.conv2", depth), f"{name}.conv2")
            x = layers.ReLU()(layers.Add()([shortcut, x]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, layers.Dense(num_classes, name="logit")(x))


def our_names(model, scope):
    """{our variable name: Keras variable}."""
    renamed = {"kernel": "weights", "bias": "biases"}
    return {
        "/".join([scope, *layer.name.split("."), renamed.get(variable.name, variable.name)]): variable
        for layer in model.layers
        for variable in layer.variables
    }


def randomize(variables):
    """Biases, scales and moving averages like those of a trained net; weights as initialized by Keras.

    The gradient of a ReLU jumps at 0, and rounding may put an activation near 0 on either side: with betas around 0,
    one to three such activations changed a net's gradients by 0.5% to 3%. So betas are three gammas away from 0: a
    quarter of the channels inside a block are off, the others on, and few are in between.
    """
    rng = np.random.default_rng(1)
    for name, variable in variables.items():
        kind, shape = name.rpartition("/")[2], variable.shape
        if kind == "gamma":
            variable.assign(rng.uniform(0.2, 0.5, shape))
        elif kind == "beta":
            sides = [-1, 1, 1, 1] if "/conv1/" in name else [1]
            variable.assign(rng.choice(sides, shape) * rng.uniform(1.0, 1.4, shape))
        elif kind == "moving_variance":
            variable.assign(rng.uniform(0.5, 1.5, shape))
        elif kind != "weights":
            variable.assign(rng.normal(0, 0.2, shape))


@dataclasses.dataclass
class Outcome:
    """The results of a net on a batch; dicts by variable name."""

    inference: np.ndarray
    training: np.ndarray
    gradients: dict
    variables: dict  # after the update of the moving averages


def of_keras(model, variables, x, labels):
    inference = model(x, training=False).numpy()
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        loss = tf.reduce_mean(losses)
    trainable = {name: variable.value for name, variable in variables.items() if variable.trainable}
    gradients = {name: gradient.numpy() for name, gradient in tape.gradient(loss, trainable).items()}
    return Outcome(inference, logits.numpy(), gradients, {name: v.numpy() for name, v in variables.items()})


def of_ours(build, values, x, labels):
    with tf.Graph().as_default(), v1.Session() as session:
        images = tf.constant(x)
        logits = build(images, 10, is_training=True)
        update_ops = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
        inference = build(images, 10, is_training=False, reuse=True)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        trainable = {v.op.name: v for v in v1.trainable_variables()}
        gradients = dict(zip(trainable, tf.gradients(tf.reduce_mean(losses), list(trainable.values()))))
        variables = {v.op.name: v for v in v1.global_variables()}
        assert set(variables) == set(values)
        initializers = {name: v.initializer for name, v in variables.items()}
        session.run(initializers, {op.inputs[1]: values[name] for name, op in initializers.items()})
        before = session.run(inference)
        training, gradients, _ = session.run([logits, gradients, update_ops])
        return Outcome(before, training, gradients, session.run(variables))


@dataclasses.dataclass
class Comparison:
    """Both nets on one batch, with the same `values`; `counts` is how many values each batch norm averages."""

    values: dict
    counts: dict
    theirs: Outcome
    ours: Outcome


@pytest.fixture(scope="module", params=list(UNITS))
def both(request):
    assert tf.executing_eagerly(), "an earlier test has turned eager execution off, which Keras needs"
    keras.utils.set_random_seed(0)
    model = keras_net(UNITS[request.param], 10)
    variables = our_names(model, request.param)
    randomize(variables)
    values = {name: variable.numpy() for name, variable in variables.items()}
    rng = np.random.default_rng(2)
    x, labels = rng.normal(size=(4, 32, 32, 3)).astype(np.float32), np.int32([3, 1, 4, 1])
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    numbers = {
        f"{request.param}/{layer.name.replace('.', '/')}": len(x) * layer.output.shape[1] * layer.output.shape[2]
        for layer in norms
    }
    theirs = of_keras(model, variables, x, labels)
    return Comparison(values, numbers, theirs, of_ours(BUILDERS[request.param], values, x, labels))


def test_logits_in_inference(both):
    assert np.abs(both.theirs.inference).max() > 0.1
    np.testing.assert_allclose(both.ours.inference, both.theirs.inference, rtol=0, atol=1e-4)


def test_logits_in_training(both):
    assert np.abs(both.theirs.training - both.theirs.inference).max() > 0.1
    np.testing.assert_allclose(both.ours.training, both.theirs.training, rtol=0, atol=1e-4)


def test_gradients(both):
    ours, theirs = both.ours.gradients, both.theirs.gradients
    assert set(ours) == set(theirs) == {name for name in both.values if "/moving_" not in name}
    for name, gradient in theirs.items():
        if name.endswith("/biases") and name.replace("biases", "BatchNorm/beta") in theirs:
            # Batch norm cancels the bias: its gradient is only rounding errors.
            scale = np.linalg.norm(theirs[name.replace("biases", "BatchNorm/beta")])
            assert np.linalg.norm(gradient) < 1e-4 * scale, name
            assert np.linalg.norm(ours[name]) < 1e-4 * scale, name
        else:
            assert np.linalg.norm(ours[name] - gradient) < 5e-3 * np.linalg.norm(gradient), name


def test_moving_averages(both):
    """Keras's momentum is slim's decay. Keras averages the batch's biased variance, TensorFlow's fused batch norm the
    unbiased one, which is n / (n - 1) times as large."""
    assert len(both.counts) == {"resnet18": 17, "resnet34": 33}[next(iter(both.values)).partition("/")[0]]
    for scope, n in both.counts.items():
        for statistic, factor in (("mean", 1), ("variance", n / (n - 1))):
            name = f"{scope}/moving_{statistic}"
            kept = 0.99 * both.values[name].astype(np.float64)
            expected = kept + factor * (both.theirs.variables[name] - kept)
            np.testing.assert_allclose(both.ours.variables[name], expected, rtol=0, atol=2e-6, err_msg=name)
            assert np.abs(both.ours.variables[name] - both.values[name]).max() > 1e-3, name


def test_nothing_but_the_moving_averages_changes(both):
    for name, value in both.values.items():
        if "/moving_" not in name:
            np.testing.assert_array_equal(both.ours.variables[name], value, err_msg=name)
