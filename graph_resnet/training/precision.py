"""Chooses the precision of a run: as requested, as recorded, or the faster one by measurement.

A CPU's flags say what it supports, not what is fast: a Sapphire Rapids with avx512_bf16 but without AMX trains the
bottleneck net at 158 images/s in bfloat16 and 223 in float32; a Zen 4 with the same flag is 1.7 times as fast in
bfloat16. So `auto` times one block of the net, forward and backward, in both.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import tensorflow.compat.v1 as tf

from graph_resnet import net
from graph_resnet.architectures import Architecture, Group
from graph_resnet.recipes import Recipe
from graph_resnet.session import bfloat16_fault, check_precision, has_bfloat16, session_config
from graph_resnet.training import filter_gradients
from graph_resnet.training.work import block_work, costliest_group

import tf_slim as slim  # isort: skip  (graph_resnet.net made it importable)

ROUNDS = 5  # timed rounds, after one to warm up
WORK = 1.5e9  # maximum multiplications and additions of the timed forward pass: about 30 ms a round


def choose_precision(
    asked: str, recipe: Recipe, *, recorded: str | None = None, threads: int | None = None
) -> tuple[str, str]:
    """Resolves `auto`, and refuses a bfloat16 that TensorFlow would silently compute as float32.

    Args:
      asked: 'auto', 'bfloat16' or 'float32'.
      recipe: its net is timed if both precisions are available.
      recorded: the precision in which the run began: `auto` keeps it, so that a resumed run repeats an uninterrupted
        one bit for bit.
      threads: CPU threads of the run, default all cores.

    Returns:
      ('bfloat16' or 'float32', the reason as a phrase).

    Raises:
      UserError: bfloat16 is requested or recorded, but not available.
    """
    if asked != "auto":
        check_precision(asked)
        return asked, "as asked"
    if recorded in ("bfloat16", "float32"):
        check_precision(recorded)
        return recorded, "as this run began"
    if not has_bfloat16():
        return "float32", bfloat16_fault() or "this CPU has no bfloat16 arithmetic"
    seconds = measure(recipe, threads=threads)
    quicker, slower = sorted(seconds, key=seconds.__getitem__)
    quick, slow = (f"{seconds[precision] * 1e3:.3g} ms" for precision in (quicker, slower))
    return quicker, f"a block takes {quick} of CPU time, {slow} in {slower}"


def measure(recipe: Recipe, *, threads: int | None = None) -> dict[str, float]:
    """CPU seconds of one block of the recipe's net, forward and backward: {'bfloat16': ..., 'float32': ...}.

    The block is from the most expensive group, at its resolution, with as many images of a batch as `WORK` allows. The
    precisions take turns; each result is the minimum of `ROUNDS`. It is the time of all threads together: wall time
    depends on other work on the machine, and has chosen the slower precision on a busy one.
    """
    architecture = recipe.architecture
    side, group = costliest_group(architecture, recipe.image_size)
    images = max(1, min(recipe.batch_size, int(WORK / block_work(side, group))))
    with tf.Graph().as_default() as graph:
        steps = {}
        for precision in ("float32", "bfloat16"):
            with tf.variable_scope(precision):
                steps[precision] = _step(architecture, group, [images, side, side, group.depth], precision)
        initializer = tf.global_variables_initializer()
    seconds: dict[str, list[float]] = {precision: [] for precision in steps}
    sessions = {p: tf.Session(graph=graph, config=session_config(p, threads=threads)) for p in steps}
    try:
        runs = {}
        for precision, session in sessions.items():
            session.run(initializer)
            runs[precision] = session.make_callable(steps[precision])
        for _ in range(1 + ROUNDS):
            for precision, run in runs.items():
                seconds[precision].append(_seconds(run))
    finally:
        for session in sessions.values():
            session.close()
    return {precision: min(taken[1:]) for precision, taken in seconds.items()}


def _step(architecture: Architecture, group: Group, shape: list[int], precision: str) -> list[tf.Tensor]:
    """What to fetch to run a block forward and backward so that the graph optimizer removes nothing.

    The images are a variable, because constants would be folded. One number of each gradient is fetched: a group op
    would let the optimizer remove the gradients, and tensors that are fetched whole stay in float32.
    """
    scope = net.resnet_arg_scope(biases=architecture.keras_style, batch_norm_scale=architecture.keras_style)
    images = tf.get_variable("images", shape, initializer=tf.random_normal_initializer())
    with slim.arg_scope(scope), slim.arg_scope([slim.batch_norm], is_training=True):
        with filter_gradients.quickest(precision):
            output = net.unit(images, group, architecture, stride=1, scope="block")
    gradients = tf.gradients(tf.reduce_mean(output), [images, *tf.trainable_variables(f"{precision}/block/")])
    return [tf.reshape(gradient, [-1])[0] for gradient in gradients]


def _seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start
