"""Folds batch norm into the preceding convolution of a frozen GraphDef.

With its moving averages, batch norm is the affine map y = (x - mean) * s + beta, s = gamma / sqrt(variance + epsilon),
channel by channel (S. Ioffe, C. Szegedy: Batch normalization, arXiv:1502.03167, 2015, algorithm 2). After a convolution
x = conv(z, w) + b it can move into weights and bias (B. Jacob et al.: Quantization and training of neural networks,
arXiv:1712.05877, 2017, eq. 14): y = conv(z, w * s) + (b - mean) * s + beta. The net then has one op less per layer and
computes the same up to rounding.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence

import numpy as np
import tensorflow.compat.v1 as tf


def fold_batch_norm(graph_def: tf.GraphDef, outputs: Sequence[str]) -> tf.GraphDef:
    """Folds each inference batch norm that follows a Conv2D (with or without a BiasAdd between) and is the only user of
    its output. Other batch norms are not changed.

    Args:
      graph_def: a GraphDef without variables; it is not changed.
      outputs: names of the nodes to keep, with everything they depend on.

      Returns:
        A GraphDef. A folded batch norm becomes a BiasAdd of the same name.
    """
    folded = tf.GraphDef()
    folded.CopyFrom(graph_def)
    nodes = {node.name: node for node in folded.node}
    inputs = [name for node in folded.node for name in node.input]
    uses = collections.Counter([*map(_producer, inputs), *outputs])
    for norm in list(folded.node):
        if norm.op != "FusedBatchNormV3" or norm.attr["is_training"].b:
            continue
        before = nodes[_producer(norm.input[0])]
        convolution = nodes[_producer(before.input[0])] if before.op == "BiasAdd" else before
        shared = uses[before.name] > 1 or uses[convolution.name] > 1
        statistics = any(f"{norm.name}:{k}" in inputs for k in range(1, 6))
        if convolution.op != "Conv2D" or shared or statistics or _channels_first(norm, convolution):
            continue
        weights = _constant(nodes, convolution.input[1])
        bias = 0.0 if before is convolution else _constant(nodes, before.input[1])
        gamma, beta, mean, variance = (_constant(nodes, name) for name in norm.input[1:5])
        scale = gamma / np.sqrt(variance + norm.attr["epsilon"].f)
        # New constants: another layer may share the old ones.
        convolution.input[1] = _add_constant(folded, f"{norm.name}/weights", weights * scale)
        bias_name = _add_constant(folded, f"{norm.name}/bias", (bias - mean) * scale + beta)
        norm.CopyFrom(tf.NodeDef(name=norm.name, op="BiasAdd", input=[convolution.name, bias_name]))
        norm.attr["T"].type = tf.float32.as_datatype_enum
    return tf.graph_util.extract_sub_graph(folded, list(outputs))


def _producer(name: str) -> str:
    """The name of the node behind a NodeDef's input: 'a' for 'a', 'a:1' and '^a'."""
    return name.removeprefix("^").partition(":")[0]


def _channels_first(*nodes: tf.NodeDef) -> bool:
    return any(node.attr["data_format"].s not in (b"", b"NHWC") for node in nodes)


def _constant(nodes: dict[str, tf.NodeDef], name: str) -> np.ndarray:
    """The value of a constant, also behind Identity nodes: float64."""
    node = nodes[_producer(name)]
    while node.op == "Identity":
        node = nodes[_producer(node.input[0])]
    return tf.make_ndarray(node.attr["value"].tensor).astype(np.float64)


def _add_constant(graph_def: tf.GraphDef, name: str, value: np.ndarray) -> str:
    node = graph_def.node.add(name=name, op="Const")
    node.attr["dtype"].type = tf.float32.as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value.astype(np.float32)))
    return name
