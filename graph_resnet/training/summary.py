"""A table of a net's layers like Keras's `model.summary()`, read from the graph.

Typical use:

    with tf.Graph().as_default():
        ResNet(tf.placeholder(tf.float32, [None, 96, 96, 3]), num_classes=10, is_training=False)
        print(summary.text(summary.layers("resnet")))
"""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow.compat.v1 as tf

from graph_resnet import tower
from graph_resnet.data.find import LAYOUTS
from graph_resnet.errors import UserError


@dataclass
class Layer:
    """A row of the table. A convolution's row includes its batch norm and activation.

    Attributes:
      name: the layer's scope.
      kinds: its operations, in order.
      shape: of its output, as text, such as '(None, 30, 30, 64)'.
      parameters: int, all of them, including batch norm's moving averages, as in Keras.
      trainable: int, trainable parameters.
    """

    name: str
    kinds: list[str]
    shape: str
    parameters: int = 0
    trainable: int = 0


# Op type -> its text in the table; other types are not shown.
_KINDS = {
    "Add": lambda op: "sum",
    "AddV2": lambda op: "sum",
    "Conv2D": lambda op: f"{op.inputs[1].shape[0]}x{op.inputs[1].shape[1]} conv{_stride(op)}",
    "FusedBatchNormV3": lambda op: "batch norm",
    "MatMul": lambda op: "dense",
    "MaxPool": lambda op: f"{op.get_attr('ksize')[1]}x{op.get_attr('ksize')[2]} max pool{_stride(op)}",
    "Mean": lambda op: "global mean",
    "Relu": lambda op: "ReLU",
}


def _stride(op):
    stride = op.get_attr("strides")[1]
    return f"/{stride}" if stride > 1 else ""


def layers(scope):
    """The layers under a variable scope of the default graph, built with a Python bool for `is_training`.

    Args:
      scope: str, such as 'resnet18'.

    Returns:
      A list of `Layer` in building order.
    """
    rows = {}
    for op in tf.get_default_graph().get_operations():
        if op.type in _KINDS and op.name.startswith(scope + "/") and "/Initializer/" not in op.name:
            name = op.name if op.type == "Mean" else _layer_of(op.name)
            row = rows.setdefault(name, Layer(name, [], ""))
            row.kinds.append(_KINDS[op.type](op))
            row.shape = str(op.outputs[0].shape)
    trainable = {variable.op.name for variable in tf.trainable_variables(scope + "/")}
    for variable in tf.global_variables(scope + "/"):
        row = rows[_layer_of(variable.op.name)]
        count = variable.shape.num_elements()
        row.parameters += count
        row.trainable += count if variable.op.name in trainable else 0
    return list(rows.values())


def _layer_of(name):
    """The scope of a variable or op: 'resnet18/stem/conv1' for 'resnet18/stem/conv1/BatchNorm/gamma'."""
    return name.rpartition("/")[0].removesuffix("/BatchNorm")


def text(rows):
    """A list of `Layer` as a table with totals."""
    cells = [("layer", "kind", "output", "parameters")]
    cells += [(row.name, ", ".join(row.kinds), row.shape, f"{row.parameters:,}") for row in rows]
    name, kind, shape, parameters = (max(map(len, column)) for column in zip(*cells))
    lines = [f"{a:<{name}}  {b:<{kind}}  {c:<{shape}}  {d:>{parameters}}" for a, b, c, d in cells]
    total, trainable = sum(row.parameters for row in rows), sum(row.trainable for row in rows)
    return "\n".join(
        [*lines, "", f"parameters: {total:,}", f"trainable: {trainable:,}", f"moving averages: {total - trainable:,}"]
    )


def of_recipe(recipe):
    """The table of a recipe's net; needs no data.

    Raises:
      UserError: the dataset has no such labels, or its images are too small for the net.
    """
    tower.check_image_size(recipe)
    if recipe.dataset not in LAYOUTS:
        raise UserError(f"dataset {recipe.dataset!r}: only its folders tell how many classes it has; pass another")
    names = {label.kind: label.names for label in LAYOUTS[recipe.dataset].labels}
    if recipe.label not in names:
        raise UserError(f"label {recipe.label!r}: {recipe.dataset} has only {' and '.join(names)} labels")
    num_classes = len(names[recipe.label])
    with tf.Graph().as_default():
        images = tf.placeholder(tf.float32, [None, recipe.image_size, recipe.image_size, 3])
        tower.logits(recipe, images, num_classes, is_training=False)
        table = text(layers(recipe.architecture.scope))
    size = f"{recipe.image_size}x{recipe.image_size}x3"
    return f"{recipe.name}: {recipe.net_name}, images {size}, {num_classes} classes\n\n{table}"
