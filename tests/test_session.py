"""The precisions that a session supports, and the error for those it does not."""

import os
import subprocess
import sys

import pytest

from graph_resnet import machine, session
from graph_resnet.errors import UserError


@pytest.fixture(autouse=True)
def cpu(monkeypatch):
    """Sets the flags of the CPU, initially one with bfloat16."""
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    monkeypatch.setattr(session, "_uses_onednn", lambda: True)

    def has(*flags):
        monkeypatch.setattr(machine, "cpu_flags", lambda: {"fpu", *flags})

    has("avx512f", "avx512_bf16")
    return has


@pytest.mark.parametrize(
    ("flags", "has"),
    [
        (("avx512f", "avx512_bf16"), True),
        (("avx512f", "avx512_bf16", "amx_bf16"), True),
        (("avx512f",), False),  # emulated: allowed, but slow
        (("avx2",), False),
    ],
    ids=["avx512_bf16", "amx", "emulated", "none"],
)
def test_whether_the_cpu_has_bfloat16(cpu, flags, has):
    cpu(*flags)
    assert session.has_bfloat16() == has
    assert session.precision_as_trained("bfloat16") == ("bfloat16" if has else "float32")
    assert session.precision_as_trained("float32") == "float32"


def test_bfloat16_is_refused_where_it_would_run_as_float32(cpu):
    cpu("avx512f")
    session.check_precision("bfloat16")
    cpu("avx2")
    with pytest.raises(UserError, match="precision bfloat16: this CPU has none of avx512f, avx_ne_convert; pass float"):
        session.check_precision("bfloat16")
    session.check_precision("float32")
    with pytest.raises(ValueError, match="precision must be one of auto, bfloat16, float32, got 'half'"):
        session.check_precision("half")


@pytest.mark.parametrize("told", ["0", "False"])  # as TensorFlow reads it
def test_without_onednn_there_is_no_bfloat16(monkeypatch, told):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", told)
    assert not session.has_bfloat16()
    with pytest.raises(UserError, match=f"bfloat16: TF_ENABLE_ONEDNN_OPTS={told} switches bfloat16 off; pass"):
        session.check_precision("bfloat16")


@pytest.mark.parametrize(
    ("flags", "asked", "set_to"),
    [(("avx2",), None, "1"), (("avx2", "avx512f"), "0", "0"), (("avx",), None, None)],
    ids=["a CPU with AVX2", "the user says no", "an old CPU"],
)
def test_onednn_is_on_where_tensorflow_leaves_it_off(cpu, monkeypatch, flags, asked, set_to):
    cpu(*flags)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setattr(os, "environ", {} if asked is None else {"TF_ENABLE_ONEDNN_OPTS": asked})
    session.use_onednn()
    assert os.environ.get("TF_ENABLE_ONEDNN_OPTS") == set_to


@pytest.mark.parametrize(
    "start",
    [
        "from graph_resnet import cli; cli.import_tensorflow()",
        "from graph_resnet import inference; inference.evaluate; import tensorflow",
        "from graph_resnet import training; training.train; import tensorflow",
        "import graph_resnet.tf1, tensorflow",
    ],
    ids=["command", "inference", "training", "tf1"],
)
def test_onednn_is_asked_for_before_tensorflow_is_imported(start):
    """TensorFlow reads the variable once, in its import."""
    program = f"""
import os, sys
from graph_resnet import machine
machine.cpu_flags = lambda: {{"avx2"}}
class Finder:
    def find_spec(self, name, *rest):
        if name == "tensorflow":
            print(os.environ.get("TF_ENABLE_ONEDNN_OPTS"), flush=True)
            os._exit(0)
sys.meta_path.insert(0, Finder())
{start}
"""
    environment = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.stdout == "1\n", done.stderr


def test_after_tensorflow_is_imported_its_choice_stands(cpu, monkeypatch):
    import tensorflow  # noqa: F401

    cpu("avx2", "avx512f")
    session.use_onednn()
    assert "TF_ENABLE_ONEDNN_OPTS" not in os.environ
    monkeypatch.setattr(session, "_uses_onednn", lambda: False)
    with pytest.raises(UserError, match="bfloat16: TensorFlow was imported without oneDNN; set TF_ENABLE_ONEDNN_OPTS"):
        session.check_precision("bfloat16")


@pytest.mark.skipif("avx2" not in machine.cpu_flags(), reason="oneDNN is not asked for on this CPU")
@pytest.mark.parametrize(("told", "uses"), [("0", "False"), ("1", "True")])
def test_whether_tensorflow_uses_onednn(told, uses):
    program = "import tensorflow; from graph_resnet import session; print(session._uses_onednn())"
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": told}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.stdout == f"{uses}\n", done.stderr


def test_garbage_collection_passes_over_tensorflow_and_over_nothing_else():
    code = (
        "import gc; from graph_resnet import cli; cli.import_tensorflow(); first = gc.get_freeze_count();"
        "cli.import_tensorflow(); print(gc.isenabled(), first > 100_000, gc.get_freeze_count() == first)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "True True True\n", result.stderr
