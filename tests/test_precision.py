"""The precision of a run: requested, recorded, or measured."""

import dataclasses

import pytest

from graph_resnet import machine
from graph_resnet.errors import UserError
from graph_resnet.recipes import RECIPES
from graph_resnet.session import has_bfloat16, session_config
from graph_resnet.training import precision
from graph_resnet.training.work import costliest_group, step_work, threads_and_ops

STRONG = RECIPES["strong"]


@pytest.fixture
def measured(monkeypatch):
    """Sets whether the CPU has bfloat16 and what the measurement returns; counts the measurements."""
    calls = []

    def set(has=True, **seconds):
        monkeypatch.setattr(precision, "has_bfloat16", lambda: has)
        monkeypatch.setattr(precision, "measure", lambda recipe, threads: calls.append(recipe) or seconds)
        return calls

    return set


def test_auto_chooses_the_faster_one_and_reports_both_times(measured):
    measured(bfloat16=0.012, float32=0.02)
    assert precision.choose_precision("auto", STRONG) == (
        "bfloat16",
        "a block takes 12 ms of CPU time, 20 ms in float32",
    )
    measured(bfloat16=0.02, float32=0.0125)
    assert precision.choose_precision("auto", STRONG) == (
        "float32",
        "a block takes 12.5 ms of CPU time, 20 ms in bfloat16",
    )


@pytest.mark.parametrize("asked", ["auto", "float32"])
def test_nothing_is_measured_without_a_choice(measured, asked):
    calls = measured(has=False)
    assert precision.choose_precision(asked, STRONG)[0] == "float32"
    assert not calls


def test_a_resumed_run_keeps_its_precision(measured):
    calls = measured(bfloat16=0.01, float32=0.02)
    assert precision.choose_precision("auto", STRONG, recorded="float32") == ("float32", "as this run began")
    assert precision.choose_precision("float32", STRONG, recorded="bfloat16") == ("float32", "as asked")
    assert not calls


def test_a_recorded_bfloat16_is_refused_on_a_cpu_without_it(monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    with pytest.raises(UserError, match="precision bfloat16: TF_ENABLE_ONEDNN_OPTS=0 switches bfloat16 off; pass"):
        precision.choose_precision("auto", STRONG, recorded="bfloat16")


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [("notebook", (12, "block3")), ("strong", (6, "block3")), ("resnet18-adam", (8, "block3"))],
)
def test_the_most_expensive_block(recipe, expected):
    """For ResNet-18 at 32x32, 30 * 30 * 64^2 is less than 8 * 8 * 256^2; the VALID stem makes the sizes odd."""
    recipe = RECIPES[recipe]
    side, group = costliest_group(recipe.architecture, recipe.image_size)
    assert (side, group.scope) == expected


@pytest.mark.skipif(not has_bfloat16(), reason="this CPU has no bfloat16 arithmetic")
@pytest.mark.parametrize("recipe", ["notebook", "resnet18-adam"])
def test_a_measurement_times_both(recipe):
    seconds = precision.measure(RECIPES[recipe], threads=1)
    assert set(seconds) == {"bfloat16", "float32"} and all(
        1e-3 < value < 5 for value in seconds.values()
    )  # the graph is not empty


def test_ops_of_small_steps_have_one_thread_where_a_second_costs_more(monkeypatch):
    """At 96x96: 2 units x (24^2 x 17,408 + 12^2 x 278,528) products, times 2 operations, 3 passes, 64 images."""
    notebook = RECIPES["notebook"]
    assert step_work(notebook) == 2 * (24**2 * 17_408 + 12**2 * 278_528) * 2 * 3 * 64
    sizes = [(96, 64), (48, 64), (32, 64), (32, 16)]
    recipes = [dataclasses.replace(notebook, image_size=side, batch_size=batch) for side, batch in sizes]
    towers = [dataclasses.replace(recipe, towers=2) for recipe in recipes]
    monkeypatch.setattr(machine, "cores", lambda: 8)
    monkeypatch.setattr(machine, "cpu_flags", lambda: {"avx2"})
    assert [threads_and_ops(recipe) for recipe in recipes + towers] == [(8, 1)] * 4 + [(8, 2)] * 4
    monkeypatch.setattr(machine, "cpu_flags", lambda: {"avx2", "avx512f"})
    assert [threads_and_ops(recipe) for recipe in recipes] == [(8, 1), (8, 1), (2, 2), (2, 2)]
    assert [threads_and_ops(recipe) for recipe in towers] == [(8, 2), (4, 4), (4, 4), (4, 4)]
    assert [threads_and_ops(recipe, 3) for recipe in recipes] == [(3, 1), (3, 1), (3, 3), (3, 3)]  # --threads 3
    monkeypatch.setattr(machine, "cores", lambda: 1)
    assert threads_and_ops(towers[3]) == (1, 1)
    settings = session_config(threads=4, at_once=4)
    assert (settings.intra_op_parallelism_threads, settings.inter_op_parallelism_threads) == (1, 4)
