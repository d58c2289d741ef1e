"""Flax as a peer: the same nets, compiled by XLA for the CPU, in float32 and with bfloat16 layers.

Built from the rows of `graph_resnet.architectures`; JAX's SAME padding is TensorFlow's.
"""

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from benchmarks.speed import ready
from benchmarks.speed.worker import Peer, timed
from graph_resnet.architectures import ARCHITECTURES

VERSIONS = {"JAX": jax.__version__, "Flax": flax.__version__}
NAMES = {
    ("conv", "kernel"): "weights",
    ("conv", "bias"): "biases",
    ("norm", "scale"): "BatchNorm/gamma",
    ("norm", "bias"): "BatchNorm/beta",
    ("norm", "mean"): "BatchNorm/moving_mean",
    ("norm", "var"): "BatchNorm/moving_variance",
    ("dense", "kernel"): "weights",
    ("dense", "bias"): "biases",
}


class Net(nn.Module):
    """A row of ARCHITECTURES. A module's name is its scope in our graph, with dots, and its kind."""

    row: object
    dtype: object
    train: bool

    def convolution(self, x, scope, depth, size, stride=1, *, padding="SAME", norm=True, relu=True):
        """Convolution, batch norm, ReLU."""
        kept = self.row.keras_style
        strides, bias = (stride, stride), kept or not norm
        x = nn.Conv(depth, (size, size), strides, padding, use_bias=bias, dtype=self.dtype, name=f"{scope}.conv")(x)
        if norm:
            options = {"momentum": 0.99, "epsilon": 1e-3, "use_scale": kept, "dtype": self.dtype}
            x = nn.BatchNorm(use_running_average=not self.train, name=f"{scope}.norm", **options)(x)
        return nn.relu(x) if relu else x

    def block(self, x, scope, group, stride):
        """A residual block."""
        depth, inner = group.depth, group.bottleneck
        shortcut = x
        if x.shape[-1] != depth or (stride > 1 and not inner):
            norm = bool(inner) or not self.row.keras_style
            shortcut = self.convolution(x, f"{scope}.shortcut", depth, 1, stride, norm=norm, relu=False)
        if inner:
            y = self.convolution(x, f"{scope}.conv1", inner, 1)
            y = self.convolution(y, f"{scope}.conv2", inner, 3, stride)
            y = self.convolution(y, f"{scope}.conv3", depth, 1, relu=False)
        else:
            y = self.convolution(x, f"{scope}.conv1", depth, 3, stride)
            y = self.convolution(y, f"{scope}.conv2", depth, 3, relu=False)
        return nn.relu(shortcut + y)

    @nn.compact
    def __call__(self, x):
        row, stem = self.row, self.row.stem
        scope = f"{stem.scope}.{stem.conv}"
        x = self.convolution(x, scope, stem.depth, stem.kernel, stem.stride, padding=stem.padding)
        for group in row.groups:
            if group.pool:
                size, stride = group.pool
                x = nn.max_pool(x, (size, size), (stride, stride), "SAME")
            for i in range(1, group.units + 1):
                x = self.block(x, f"{group.scope}.{row.unit_scope}{i}", group, group.stride if i == 1 else 1)
        x = x.mean((1, 2)).astype(jnp.float32)
        return nn.Dense(ready.CLASSES, name=".".join(filter(None, (row.classifier_scope, "logit.dense"))))(x)


def model(recipe, precision):
    """(the net for training, its variables with `ready.weight`s, its facts)."""
    row = ARCHITECTURES[recipe.net]
    dtype = jnp.bfloat16 if precision == "bfloat16" else jnp.float32
    images = ready.batches(recipe, count=1)[0][0, :4]
    exact = Net(row, jnp.float32, train=False)

    def valued(path, leaf):
        *scope, what = path[1].key.split(".")
        return jnp.asarray(ready.weight("/".join([row.scope, *scope, NAMES[what, path[2].key]]), leaf.shape))

    shapes = jax.eval_shape(exact.init, jax.random.key(0), images)
    variables = jax.tree_util.tree_map_with_path(valued, shapes)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    facts = {"parameters": parameters, "logits": np.asarray(jax.jit(exact.apply)(variables, images)).tolist()}
    return Net(row, dtype, train=True), variables, facts


def training(net, precision):
    """Training steps."""
    recipe = ready.recipe(net)
    network, variables, facts = model(recipe, precision)
    images, labels = ready.batches(recipe)
    batches = [(jnp.asarray(x), jnp.asarray(y)) for x, y in zip(images, labels)]
    if recipe.optimizer == "momentum":
        optimizer = optax.sgd(recipe.learning_rate, recipe.momentum)
    else:
        optimizer = optax.adam(recipe.learning_rate, eps=1e-7)

    def loss_of(params, stats, x, y):
        logits, changed = network.apply({"params": params, "batch_stats": stats}, x, mutable=["batch_stats"])
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), changed["batch_stats"]

    @jax.jit
    def update(params, stats, slots, x, y):
        (loss, stats), gradients = jax.value_and_grad(loss_of, has_aux=True)(params, stats, x, y)
        changes, slots = optimizer.update(gradients, slots, params)
        return optax.apply_updates(params, changes), stats, slots, loss

    state = variables["params"], variables["batch_stats"], optimizer.init(variables["params"])
    steps = 0

    def step():
        nonlocal state, steps
        steps += 1
        *state, loss = update(*state, *batches[steps % len(batches)])
        return float(loss)

    step()
    step()
    return Peer({"step": timed(step)}, VERSIONS, facts)
