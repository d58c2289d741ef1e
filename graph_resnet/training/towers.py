"""A training step as several towers side by side: each has an equal part of the batch, and its share of the threads.

An op that is split over two threads loses some of the second one: it is short, and ends when the slower thread does.
Two towers on half of the batch each share nothing until their gradients meet, so each runs on a core of its own. The
towers share every variable. Each normalizes by the statistics of its own part, as one worker of several does, and what
a step assigns is the mean over the towers: two towers make the updates of `--workers 2`, bit for bit.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow.compat.v1 as tf

from graph_resnet import tower
from graph_resnet.errors import UserError
from graph_resnet.recipes import Recipe


@dataclass(frozen=True)
class Tower:
    """What one tower adds to a step.

    Attributes:
      loss, accuracy: float32 scalars, means over its part of the batch.
      gradients: pairs of a float32 gradient and its variable.
      update_ops: ops of batch norm, each of which subtracts something from a moving average.
    """

    loss: tf.Tensor
    accuracy: tf.Tensor
    gradients: list[tuple[tf.Tensor, tf.Variable]]
    update_ops: list[tf.Operation]


def check(recipe: Recipe, workers: int = 1) -> None:
    """Refuses a recipe whose step cannot be made of so many towers on each of the workers.

    Raises:
      UserError: the parts would differ in size, or the recipe wants statistics of more than a part.
    """
    if recipe.towers > 1 and recipe.batch_size % (recipe.towers * workers):
        each = f" on each of {workers} workers" if workers > 1 else ""
        raise UserError(
            f"towers {recipe.towers}{each}: a batch of {recipe.batch_size} images does not divide into equal parts; "
            "pass another --batch-size or --towers"
        )
    for name in ("sync_batch_norm", "precise_batch_norm"):
        if recipe.towers > 1 and getattr(recipe, name):
            raise UserError(
                f"towers {recipe.towers}: each normalizes by its own part of the batch, so {name} cannot be had; pass "
                "--towers 1, or leave it out"
            )


def in_step(
    towers: Sequence[Tower],
) -> tuple[list[tuple[tf.Tensor, tf.Variable]], tf.Tensor, tf.Tensor, list[tf.Operation]]:
    """(gradients, loss, accuracy, update_ops) of the whole batch: those of one tower, or the means over several."""
    first = towers[0]
    if len(towers) == 1:
        return first.gradients, first.loss, first.accuracy, first.update_ops
    with tf.name_scope("mean_over_towers"):
        pairs = zip(*(t.gradients for t in towers))
        gradients = [(_mean([g for g, _ in same]), same[0][1]) for same in pairs if same[0][0] is not None]
        updates = [_updated(ops) for ops in zip(*(t.update_ops for t in towers))]
        return gradients, _mean([t.loss for t in towers]), _mean([t.accuracy for t in towers]), updates


def validation_logits(recipe: Recipe, images: tf.Tensor, num_classes: int) -> tf.Tensor:
    """The recipe's net in inference, which exists already: as many towers side by side as in training.

    Args:
      recipe: `recipes.Recipe`.
      images: float32 [B, S, S, 3]; B need not be known.
      num_classes: C.

    Returns:
      float32 [B, C].
    """
    build = functools.partial(tower.logits, recipe, num_classes=num_classes, is_training=False, reuse=True)
    if recipe.towers == 1:
        return build(images)
    ends = [tf.shape(images)[0] * i // recipe.towers for i in range(recipe.towers + 1)]
    # In a batch of fewer images than towers, some parts are empty, which oneDNN's convolution refuses: such a tower
    # gets an image, and its logits are cut off.
    parts = itertools.pairwise(ends)
    logits = [build(images[start : tf.maximum(end, start + 1)])[: end - start] for start, end in parts]
    return tf.concat(logits, 0)


def _mean(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """The mean of float32 tensors, in the order and with the roundings of the all-reduce of several workers."""
    # TensorFlow's rewrite to bfloat16 does not pass a bitcast: the mean is one of float32 numbers.
    parts = [tf.bitcast(tf.bitcast(tensor, tf.int32), tf.float32) * (1 / len(tensors)) for tensor in tensors]
    total = parts[0]
    for part in parts[1:]:
        total += part
    return total


def _updated(ops: Sequence[tf.Tensor | tf.Operation]) -> tf.Operation:
    """The update of one moving average by the mean over towers, from each tower's own update of it.

    Raises:
      ValueError: the ops do not subtract from one variable.
    """
    ops = [item if isinstance(item, tf.Operation) else item.op for item in ops]
    if {op.type for op in ops} - {"AssignSub", "AssignSubVariableOp"} or len({op.inputs[0].ref() for op in ops}) > 1:
        raise ValueError(f"update ops {', '.join(op.name for op in ops)}: no subtractions from one variable")
    (variable,) = (v for v in tf.global_variables() if v.op is ops[0].inputs[0].op)
    return tf.assign(variable, _mean([variable - op.inputs[1] for op in ops])).op
