"""Computes a run's steps from the minutes it may take, so that its schedule ends on time."""

from __future__ import annotations

import dataclasses
import statistics
import time

import tensorflow.compat.v1 as tf

from graph_resnet.errors import UserError
from graph_resnet.recipes import Recipe
from graph_resnet.training import graph
from graph_resnet.training.start import Job

WARM_UP = 3  # untimed steps
SECONDS, MOST = 10, 50  # maximum time and number of steps to measure


def within(job: Job, precision: str, settings: tf.ConfigProto) -> Recipe:
    """The recipe with as many steps as fit into the job's minutes, evaluations included.

    The speed is measured on some steps in a separate graph, whose weights are discarded.

    Args:
      job: the run, with one worker.
      precision, settings: of its sessions; one of them must have been opened before.

    Raises:
      UserError: not even one step fits.
    """
    recipe = dataclasses.replace(job.recipe, steps=MOST)
    step, evaluation = _seconds(recipe, job, precision, settings)
    left = 60 * job.minutes - evaluation  # a run always ends with an evaluation
    steps = int(left / step)
    for _ in range(5):  # a short run is evaluated more often, so the cost depends on the length
        every = dataclasses.replace(recipe, steps=max(1, steps)).eval_steps(job.records.num_train)
        steps = int(left / (step + evaluation / every))
    if steps < 1:
        cost = f"a step takes {step:.2f} s and an evaluation {evaluation:.0f} s"
        raise UserError(f"minutes {job.minutes:g}: {cost}; pass more minutes")
    job.show.line(
        f"[minutes]: {steps:,} steps fit into {job.minutes:g}: {step:.3f} s a step, {evaluation:.1f} s an evaluation"
    )
    return dataclasses.replace(job.recipe, steps=steps)


def _seconds(recipe, job, precision, settings):
    """(seconds per step, seconds per evaluation including precise batch norm)."""
    with tf.Graph().as_default():
        built = graph.build(
            recipe,
            job.records,
            seed=job.seed,
            precision=precision,
            trainable_scopes=job.start.trainable_scopes,
        )
        with tf.Session(config=settings) as session:
            session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
            session.run(tf.tables_initializer())
            steps = _timed(session, built.train_op)
            batches = _timed(session, built.val_loss)
            precise = _timed(session, built.train_loss) if recipe.precise_batch_norm else [0.0]
    evaluation = statistics.median(batches) * -(-job.records.num_val // recipe.batch_size)
    return statistics.median(steps), evaluation + statistics.median(precise) * recipe.precise_batch_norm


def _timed(session, fetch):
    """Seconds of each of several runs of `fetch`."""
    for _ in range(WARM_UP):
        session.run(fetch)
    seconds = []
    while len(seconds) < WARM_UP or (sum(seconds) < SECONDS and len(seconds) < MOST):
        since = time.perf_counter()
        session.run(fetch)
        seconds.append(time.perf_counter() - since)
    return seconds
