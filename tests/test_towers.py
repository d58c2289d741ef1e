"""A step of several towers: resumed, refused, and how its session shares the threads.

That two towers make the updates of two workers is in test_cluster.py.
"""

from dataclasses import replace

import pytest

from graph_resnet import training
from graph_resnet.errors import UserError
from graph_resnet.recipes import RECIPES
from graph_resnet.session import session_config
from tests.helpers import records_of

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
        ({"precise_batch_norm": 2}, "towers 2: each normalizes by its own part of the batch, so precise_batch_norm "),
        ({"sync_batch_norm": True}, "towers 2: each normalizes by its own part of the batch, so sync_batch_norm "),
    ],
)
def test_what_cannot_be_had_is_refused(fields, message, tmp_path):
    with pytest.raises(UserError, match=message):
        training.train(replace(RECIPE, **fields), tmp_path / "run", machine=MACHINE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("threads", "towers", "of_one_op", "ops"), [(2, 1, 2, 1), (2, 2, 1, 2), (8, 2, 4, 2), (1, 2, 1, 1)]
)
def test_towers_share_the_threads(threads, towers, of_one_op, ops):
    config = session_config(threads=threads, towers=towers)
    assert (config.intra_op_parallelism_threads, config.inter_op_parallelism_threads) == (of_one_op, ops)
