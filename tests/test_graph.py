"""A recipe's graph: pixels, updates, schedules, loss, and an effect of every field."""

import dataclasses

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from graph_resnet import net, recipes, tower
from graph_resnet.architectures import ARCHITECTURES
from graph_resnet.data import batches, find
from graph_resnet.data.find import LAYOUTS, Records
from graph_resnet.errors import UserError
from graph_resnet.training import graph as training_graph
from tests.helpers import FLAGS, SOURCES, another

# Fields that a few updates on one machine cannot show: lengths, CIFAR-100's labels, several workers.
NOT_SEEN = {"eval_every", "label", "precise_batch_norm", "sync_batch_norm"}


def trained_variables(recipe, *, seed=0):
    """{name: value} of all variables after three updates."""
    records = find.cifar(recipe.dataset)
    one_thread = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    with tf.Graph().as_default(), tf.Session(config=one_thread) as session:
        graph = training_graph.build(recipe, records, seed=seed)
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        session.run(tf.tables_initializer())
        for _ in range(3):
            session.run(graph.train_op)
        return {v.op.name: session.run(v).tobytes() for v in tf.global_variables()}


def shorten_nets(patch):
    """Keeps one block of each net, because these tests are about the recipe."""
    for name in ("bottleneck", "deep"):
        row = ARCHITECTURES[name]
        block = dataclasses.replace(row.groups[0], units=1)
        patch.setitem(ARCHITECTURES, name, dataclasses.replace(row, groups=(block,)))


@pytest.fixture(scope="module")
def small(cache):
    """(a recipe that uses nearly every feature, its variables after three updates)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        shorten_nets(patch)
        recipe = dataclasses.replace(
            recipes.RECIPES["strong"],
            dataset="synthetic",
            image_size=16,
            batch_size=4,
            towers=1,
            steps=6,
            warmup_steps=1,
        )
        return recipe, trained_variables(recipe)


@pytest.mark.parametrize("f", [f for f in FLAGS if f.name not in NOT_SEEN], ids=lambda f: f.name)
def test_every_field_changes_what_is_trained(f, small, monkeypatch):
    recipe, before = small
    shorten_nets(monkeypatch)
    other = {"net": "deep", "dataset": "synthetic100", "image_size": 24, "batch_size": 5, "warmup_steps": 2, "crop": 3}
    other |= {"cutout": 3, "lookahead": 2, "towers": 2}
    value = other.get(f.name, another(f, getattr(recipe, f.name))[1])
    after = trained_variables(dataclasses.replace(recipe, **{f.name: value}))
    # Only the moving averages depend on their decay.
    kinds = ("moving_mean", "moving_variance") if f.name == "batch_norm_decay" else ("weights",)
    assert any(before.get(name) != found for name, found in after.items() if name.endswith(kinds))


def test_the_seed_changes_what_is_trained(small, monkeypatch):
    recipe, before = small
    shorten_nets(monkeypatch)
    assert trained_variables(recipe) == before
    other = trained_variables(recipe, seed=1)
    assert all(before[name] != other[name] for name in before if name.endswith("/weights"))


@pytest.mark.parametrize(
    ("name", "black", "white"),
    [
        ("resnet18-cifar100", [-0.5] * 3, [0.5] * 3),
        ("resnet18-adam", [-1] * 3, [1] * 3),
        ("resnet18-flip", [-2.117904, -2.035714, -1.804444], [2.248908, 2.428571, 2.64]),
    ],
)
def test_pixels_become(graph, tmp_path, name, black, white):
    """A black and a white image through the input; the third row is (0 or 1 - mean) / std by hand."""
    file = tmp_path / "test.bin"
    np.uint8([[0] + [0] * 3072, [1] + [255] * 3072]).tofile(file)
    one = (file,)
    records = Records("cifar10", one, one, 32, 1, 0, LAYOUTS["cifar10"].labels[0].names, num_train=2, num_test=2)
    recipe = recipes.RECIPES[name]
    with tf.Session() as session:
        pixels = batches.train_and_validation(records, recipe.image_size, 2, mean=recipe.mean, std=recipe.std)[2]
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        session.run(tf.tables_initializer())
        result = session.run(pixels)
    assert result.shape == (2, 32, 32, 3)
    expected = np.reshape([black, white], (2, 1, 1, 3)) * np.ones_like(result)
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def constants_of(op, *indices):
    """Values of an op's constant inputs."""
    return [float(tf.get_static_value(op.inputs[i])) for i in indices]


@pytest.mark.parametrize("name", SOURCES)
def test_optimizer(graph, records, name):
    """The numbers that reach the op which updates a weight."""
    recipe = dataclasses.replace(recipes.RECIPES[name], net="bottleneck", image_size=16, batch_size=2)
    training_graph.build(recipe, records, seed=0)
    ops = [op for op in graph.get_operations() if op.type in ("ResourceApplyAdam", "ResourceApplyMomentum")]
    assert len(ops) == len(tf.trainable_variables()) == 32
    for op in ops:
        if recipe.optimizer == "adam":  # var, m, v, beta1_power, beta2_power, lr, beta1, beta2, epsilon, grad
            assert op.type == "ResourceApplyAdam"
            expected = [recipe.learning_rate, 0.9, 0.999, 1e-7]
            np.testing.assert_allclose(constants_of(op, 5, 6, 7, 8), expected, rtol=1e-6)
        else:  # var, accum, lr, grad, momentum
            assert op.type == "ResourceApplyMomentum"
            np.testing.assert_allclose(constants_of(op, 2, 4), [0.01, 0.9], rtol=1e-6)
            assert op.get_attr("use_nesterov") is False


def rates(total_steps, **values):
    """The learning rate of every update in a run."""
    recipe = dataclasses.replace(recipes.RECIPES["notebook"], learning_rate=1.0, **values)
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.train.get_or_create_global_step()
        rate = training_graph.learning_rate(recipe, step, total_steps)
        session.run(tf.global_variables_initializer())
        result = []
        for _ in range(total_steps):
            result.append(session.run(rate))
            session.run(tf.assign_add(step, 1))
    return result


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1] * 8),
        ("linear", [1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]),
        ("cosine", [(1 + np.cos(np.pi * k / 8)) / 2 for k in range(8)]),
        ("piecewise", [1, 1, 1, 1, 1 / 10, 1 / 10, 1 / 100, 1 / 100]),
        (
            "triangular",
            [0.2, 0.2 + 0.8 * 0.125 / 0.23, *(0.07 + 0.93 * (1 - k / 8) / 0.77 for k in range(2, 8))],
        ),
    ],
)
def test_schedules(schedule, expected):
    np.testing.assert_allclose(rates(8, schedule=schedule), expected, rtol=1e-5)
    warmed = rates(12, schedule=schedule, warmup_steps=4)
    np.testing.assert_allclose(warmed, [1 / 4, 2 / 4, 3 / 4, 1, *expected], rtol=1e-5)


def test_beta_rate_applies_to_beta_only(graph, records):
    """A step of plain gradient descent moves beta by `beta_rate` times its gradient, the rest by its gradient."""
    base = dataclasses.replace(
        recipes.RECIPES["strong"], image_size=16, batch_size=2, towers=1, warmup_steps=0, momentum=0.0
    )
    moved = {}
    for rate in (1.0, 64.0):
        recipe = dataclasses.replace(base, optimizer="momentum", beta_rate=rate)
        with tf.Graph().as_default(), tf.Session() as session:
            built = training_graph.build(recipe, records, seed=0)
            session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
            session.run(tf.tables_initializer())
            before = session.run(tf.trainable_variables())
            session.run(built.train_op)
            after = session.run(tf.trainable_variables())
            names = [v.op.name for v in tf.trainable_variables()]
            moved[rate] = {n: b - a for n, a, b in zip(names, before, after)}
    for name, change in moved[64.0].items():
        factor = 64 if name.endswith("/beta") else 1
        np.testing.assert_allclose(change, factor * moved[1.0][name], rtol=1e-3, atol=1e-5, err_msg=name)


def test_nesterov(graph, records):
    recipe = dataclasses.replace(recipes.RECIPES["strong"], image_size=16, batch_size=2, towers=1)
    training_graph.build(recipe, records, seed=0)
    updates = [op for op in graph.get_operations() if op.type == "ResourceApplyMomentum"]
    assert updates and all(op.get_attr("use_nesterov") for op in updates)


@pytest.mark.parametrize(("precision", "stock"), [("float32", 20), ("bfloat16", 12)])
def test_filter_gradients_of_small_deep_layers(graph, records, precision, stock):
    """In bfloat16, `graph_resnet.training.filter_gradients` computes them for 8 of a ResNet-18's 20 convolutions."""
    recipe = dataclasses.replace(recipes.RECIPES["resnet18-flip"], batch_size=2)
    training_graph.build(recipe, records, seed=0, precision=precision)
    assert sum(op.type == "Conv2DBackpropFilter" for op in graph.get_operations()) == stock


def test_objective_by_hand(graph):
    """Label smoothing and weight decay of a layer with known numbers."""
    recipe = dataclasses.replace(recipes.RECIPES["notebook"], label_smoothing=0.3, weight_decay=0.5)
    logits, labels = tf.constant([[1.0, 2.0, 4.0]]), tf.constant([2])
    with tower.slim.arg_scope(net.resnet_arg_scope(weight_decay=recipe.weight_decay)):
        tower.slim.fully_connected(tf.ones([1, 3]), 2, scope="layer")
    plain, _ = tower.loss_and_accuracy(logits, labels)
    objective = training_graph.objective(recipe, plain, logits, labels)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        (weights, biases), value = session.run([tf.trainable_variables(), objective])
    logarithms = np.array([1, 2, 4]) - np.log(np.exp([1, 2, 4]).sum())
    smoothed = -(logarithms * [0.1, 0.1, 0.8]).sum()
    np.testing.assert_allclose(value, smoothed + 0.5 * (weights**2).sum() / 2, rtol=1e-5)
    assert not biases.any()


def test_weight_decay_applies_to_weights_only(graph, records):
    recipe = dataclasses.replace(recipes.RECIPES["strong"], image_size=16, batch_size=2, towers=1)
    training_graph.build(recipe, records, seed=0)
    penalized = len(tf.losses.get_regularization_losses())
    assert penalized == len([v for v in tf.trainable_variables() if v.op.name.endswith("/weights")]) == 16


def test_images_too_small_for_the_net_are_refused(graph, records):
    recipe = dataclasses.replace(recipes.RECIPES["resnet18-flip"], image_size=2)
    with pytest.raises(UserError, match="image size 2: resnet18 needs at least 3; pass a larger one"):
        training_graph.build(recipe, records, seed=0)


def test_decay_of_a_recipe_reaches_the_moving_averages(graph):
    recipe = dataclasses.replace(recipes.RECIPES["notebook"], batch_norm_decay=0.75)
    x = np.random.default_rng(0).normal(3, 1, (4, 16, 16, 3)).astype(np.float32)
    tower.logits(recipe, tf.constant(x), 10, is_training=True)
    seen = graph.get_tensor_by_name("resnet/block1/conv5_5/Conv2D:0")
    moving_mean = next(v for v in tf.global_variables() if v.op.name == "resnet/block1/conv5_5/BatchNorm/moving_mean")
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        batch, _ = session.run([seen, tf.get_collection(tf.GraphKeys.UPDATE_OPS)])
        moved = session.run(moving_mean)
    np.testing.assert_allclose(moved, 0.25 * batch.mean((0, 1, 2)), rtol=1e-3, atol=1e-5)
