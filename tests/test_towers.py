"""A step of several towers: resumed, refused, and how its session shares the threads.

That two towers make the updates of two workers is in test_cluster.py.
"""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from graph_resnet import tower, training
from graph_resnet.errors import UserError
from graph_resnet.recipes import RECIPES
from graph_resnet.session import session_config
from graph_resnet.training import towers
from tests.helpers import TINY, records_of, run

RECIPE = replace(RECIPES["notebook"], dataset="synthetic", image_size=16, batch_size=8, steps=6, eval_every=6, towers=2)
MACHINE = training.Machine(precision="float32", threads=2)


@pytest.mark.slow
def test_a_resumed_run_ends_as_an_undisturbed_one(tmp_path):
    output, last = training.Output(save_every=3, log_every=1), "model.ckpt-6.data-00000-of-00001"
    for name, lengths in (("whole", [6]), ("resumed", [3, 6])):
        for steps in lengths:
            training.train(replace(RECIPE, steps=steps), tmp_path / name, output=output, machine=MACHINE)
    assert (tmp_path / "whole" / last).read_bytes() == (tmp_path / "resumed" / last).read_bytes()
    losses = [[(r["step"], r["loss"]) for r in records_of(tmp_path / n)] for n in ("whole", "resumed")]
    assert set(losses[0]) < set(losses[1])  # which was also evaluated at step 3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"batch_size": 7},
            "towers 2: a batch of 7 images does not divide into equal parts; pass another --batch-size",
        ),
        ({"precise_batch_norm": 2}, "precise_batch_norm cannot be had; pass --towers 1"),
        ({"sync_batch_norm": True}, "sync_batch_norm cannot be had; pass --towers 1"),
    ],
)
def test_what_cannot_be_had_is_refused(fields, message, tmp_path):
    with pytest.raises(UserError, match=message):
        training.train(replace(RECIPE, **fields), tmp_path / "run", machine=MACHINE)
    assert list(tmp_path.iterdir()) == []


def test_a_batch_that_the_workers_towers_cannot_share_is_refused_before_they_join(tmp_path):
    cluster = {"cluster": {"worker": ["127.0.0.1:9", "127.0.0.1:19"]}, "task": {"type": "worker", "index": 0}}
    status, _, err = run(
        *TINY,
        "--batch-size",
        10,
        "--towers",
        2,
        "--train-dir",
        tmp_path,
        env={**os.environ, "TF_CONFIG": json.dumps(cluster)},
    )
    assert (status, err) == (
        1,
        "error: towers 2 on each of 2 workers: a batch of 10 images does not divide into equal parts; pass another "
        "--batch-size or --towers\n",
    )


@pytest.mark.parametrize("images", [1, 3, 4, 11])
def test_a_validation_batch_of_few_images_has_the_logits_of_one_tower(images):
    """Four towers: some get no image of one or three."""
    with tf.Graph().as_default(), tf.Session(config=session_config(threads=1, at_once=4)) as session:
        batch = tf.constant(np.random.default_rng(0).normal(size=(images, 16, 16, 3)).astype(np.float32))
        whole = tower.logits(RECIPE, batch, 10, is_training=False)
        parts = towers.validation_logits(
            replace(RECIPE, towers=4), tf.placeholder_with_default(batch, [None, 16, 16, 3]), 10
        )
        session.run(tf.global_variables_initializer())
        whole, parts = session.run([whole, parts])
    assert parts.shape == (images, 10)
    np.testing.assert_allclose(parts, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("threads", "parts", "of_one_op", "ops"), [(2, 1, 2, 1), (2, 2, 1, 2), (8, 2, 4, 2), (1, 2, 1, 1)]
)
def test_towers_share_the_threads(threads, parts, of_one_op, ops):
    config = session_config(threads=threads, at_once=parts)
    assert (config.intra_op_parallelism_threads, config.inter_op_parallelism_threads) == (of_one_op, ops)
