"""In which precision a session computes, and what is said where it cannot."""

import pytest

from graph_resnet import session
from graph_resnet.errors import UserError


@pytest.fixture(autouse=True)
def cpu(monkeypatch):
    """Sets the flags of the CPU; at first one with bfloat16."""
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)

    def has(*flags):
        monkeypatch.setattr(session, "_cpu_flags", lambda: {"fpu", *flags})

    has("avx512f", "avx512_bf16")
    return has


def test_auto_is_what_the_cpu_computes_in(cpu):
    assert session.choose_precision() == ("bfloat16", "this CPU has avx512_bf16")
    cpu("avx512f", "avx512_bf16", "amx_bf16")
    assert session.choose_precision() == ("bfloat16", "this CPU has amx_bf16")
    cpu("avx512f")
    assert session.choose_precision() == ("float32", "this CPU has no bfloat16 arithmetic")
    assert session.choose_precision("bfloat16") == ("bfloat16", "as asked")
    cpu()
    assert session.choose_precision()[0] == "float32"
    with pytest.raises(UserError, match="precision bfloat16: this CPU has none of avx512f, avx_ne_convert; pass float"):
        session.choose_precision("bfloat16")


def test_a_net_is_evaluated_in_the_precision_of_its_training_where_that_is_to_be_had(cpu):
    assert session.precision_as_trained("bfloat16") == "bfloat16"
    assert session.precision_as_trained("float32") == "float32"
    cpu("avx2")
    assert session.precision_as_trained("bfloat16") == "float32"


def test_without_onednn_there_is_no_bfloat16(monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert session.choose_precision() == ("float32", "TF_ENABLE_ONEDNN_OPTS=0 switches bfloat16 off")
    with pytest.raises(UserError, match="precision bfloat16: TF_ENABLE_ONEDNN_OPTS=0 switches bfloat16 off; pass"):
        session.choose_precision("bfloat16")
    assert session.choose_precision("float32") == ("float32", "as asked")
