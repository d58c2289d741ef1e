"""A length in minutes: by hand-worked numbers, kept on resume, refused."""

import dataclasses
import json

import pytest

from graph_resnet import recipes
from graph_resnet.errors import UserError
from graph_resnet.training import duration
from graph_resnet.training.options import Show
from graph_resnet.training.start import Job
from tests.helpers import TINY, run

RECIPE = dataclasses.replace(recipes.RECIPES["notebook"], steps=None, eval_every=20, batch_size=5)


def test_by_hand(records, monkeypatch):
    """Two minutes less 10 s for the last evaluation, over 0.5 s a step and a 20th of the 10 s of an evaluation."""
    monkeypatch.setattr(duration, "_seconds", lambda *args: (0.5, 10.0))
    said = []
    recipe = duration.within(Job(RECIPE, records, None, minutes=2, show=Show(said.append)), "float32", None)
    assert recipe == dataclasses.replace(RECIPE, steps=110)
    assert said == ["[minutes]: 110 steps fit into 2: 0.500 s a step, 10.0 s an evaluation"]
    with pytest.raises(UserError, match="minutes 0.1: a step takes 0.50 s and an evaluation 10 s; pass more minutes"):
        duration.within(Job(RECIPE, records, None, minutes=0.1), "float32", None)


@pytest.mark.slow
def test_the_command_counts_its_steps_once(tmp_path):
    command = [*TINY, "--eval-every", "10000", "--train-dir", tmp_path, "--minutes"]
    status, lines, err = run(*command, "0.5")
    assert status == 0, err
    steps = json.loads((tmp_path / "config.json").read_text())["recipe"]["steps"]
    assert lines[-1].startswith(f"[final]: step {steps} ") and steps > 1
    status, again, err = run(*command, "0.5")
    assert (status, again[-1]) == (0, lines[-1]), err
    assert not any(line.startswith("[minutes]") for line in again)
