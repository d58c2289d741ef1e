"""A length in minutes: numbers worked out by hand, kept on resume, refused."""

import dataclasses
import json

import pytest

from graph_resnet import recipes
from graph_resnet.errors import UserError
from graph_resnet.session import session_config
from graph_resnet.training import duration, start
from graph_resnet.training.options import Show
from graph_resnet.training.start import Job
from tests.helpers import TINY, run

RECIPE = dataclasses.replace(recipes.RECIPES["notebook"], steps=None, eval_every=20, batch_size=5)


def test_by_hand(records, monkeypatch):
    """Two minutes minus 10 s for the last evaluation, over 0.5 s per step plus 1/20 of the 10 s of an evaluation."""
    monkeypatch.setattr(duration, "_seconds", lambda *args: (0.5, 10.0))
    said = []
    recipe = duration.within(Job(RECIPE, records, None, minutes=2, show=Show(said.append)), "float32", None)
    assert recipe == dataclasses.replace(RECIPE, steps=110)
    assert said == ["[minutes]: 110 steps fit into 2: 0.500 s a step, 10.0 s an evaluation"]
    # A run of fewer than 500 steps is evaluated five times: 122 * 0.5 s and 5 * 10 s are less than 2 minutes.
    seldom = Job(dataclasses.replace(RECIPE, eval_every=500), records, None, minutes=2)
    assert duration.within(seldom, "float32", None).steps == 122
    with pytest.raises(UserError, match="minutes 0.1: a step takes 0.50 s and an evaluation 10 s; pass more minutes"):
        duration.within(Job(RECIPE, records, None, minutes=0.1), "float32", None)


def test_an_evaluation_counts_its_precise_batch_norm_batches(graph, records, monkeypatch):
    """7 validation images are two batches of 2 s each; before them, 7 training batches of 3 s each."""
    seconds = {"training": 3.0, "validation": 2.0}
    monkeypatch.setattr(duration, "_timed", lambda session, fetch: [seconds.get(fetch.name.split("/")[0], 5.0)])
    recipe = dataclasses.replace(RECIPE, image_size=16, steps=2, precise_batch_norm=7)
    job = Job(recipe, records, None)
    assert duration._seconds(recipe, job, "float32", session_config(threads=1)) == (5.0, 2 * 2.0 + 7 * 3.0)


def test_the_steps_of_another_start_are_kept_only_with_a_checkpoint(tmp_path):
    """Without one, the same minutes may be for another recipe."""
    (tmp_path / "config.json").write_text(json.dumps({"recipe": {"steps": 9}, "data": {"files": []}, "minutes": 2}))
    assert start._steps_counted(tmp_path, 2) is None
    (tmp_path / "model.ckpt-3.index").touch()
    assert (start._steps_counted(tmp_path, 2), start._steps_counted(tmp_path, 3)) == (9, None)


@pytest.mark.slow
def test_the_command_computes_its_steps_once(tmp_path):
    command = [*TINY, "--eval-every", "10000", "--train-dir", tmp_path, "--minutes"]
    status, lines, err = run(*command, "0.5")
    assert status == 0, err
    steps = json.loads((tmp_path / "config.json").read_text())["recipe"]["steps"]
    assert lines[-1].startswith(f"[final]: step {steps} ") and steps > 1
    status, again, err = run(*command, "0.5")
    assert (status, again[-1]) == (0, lines[-1]), err
    assert not any(line.startswith("[minutes]") for line in again)
