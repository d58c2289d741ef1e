"""Session options: oneDNN's kernels, threads, and bfloat16 on CPUs that have it."""

import os
import sys

from graph_resnet import machine
from graph_resnet.errors import UserError

PRECISIONS = ("auto", "bfloat16", "float32")
IN_HARDWARE = ("amx_bf16", "avx512_bf16")
EMULATED = {"avx512f", "avx_ne_convert"}  # oneDNN has bfloat16 kernels for CPUs with either of them


def use_onednn() -> None:
    """Makes TensorFlow use oneDNN's kernels on any CPU with AVX2, unless TF_ENABLE_ONEDNN_OPTS says otherwise.

    TensorFlow reads the variable when it is imported: after that, this does nothing. By default it uses them only on
    CPUs with instructions made for neural nets (avx512_vnni, avx_vnni, AMX). The others gain most from them: on an AMD
    Zen 3 a training step takes 0.5 to 0.7 of the time (docs/speed.md).
    """
    if "tensorflow" not in sys.modules and "avx2" in machine.cpu_flags():
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def check_precision(precision: str) -> None:
    """Refuses a bfloat16 that TensorFlow would silently compute as float32.

    Raises:
      UserError: bfloat16 is not available.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    fault = bfloat16_fault() if precision == "bfloat16" else None
    if fault:
        raise UserError(f"precision bfloat16: {fault}; pass float32, or auto")


def bfloat16_fault() -> str | None:
    """Why TensorFlow cannot compute in bfloat16 here, as a phrase; None if it can."""
    told = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "")
    if told.lower() in ("0", "false"):
        return f"TF_ENABLE_ONEDNN_OPTS={told} switches bfloat16 off"
    flags = machine.cpu_flags()
    if flags and not flags & EMULATED:
        return "this CPU has none of " + ", ".join(sorted(EMULATED))
    if "tensorflow" in sys.modules and not _uses_onednn():
        return "TensorFlow was imported without oneDNN; set TF_ENABLE_ONEDNN_OPTS=1 before that"
    return None


def _uses_onednn() -> bool:
    """Whether TensorFlow, as it was imported, computes with oneDNN's kernels."""
    from tensorflow.python.util import _pywrap_util_port

    return _pywrap_util_port.IsMklEnabled()


def has_bfloat16() -> bool:
    """Whether this CPU has bfloat16 arithmetic that TensorFlow uses. It is not always faster than float32."""
    return bfloat16_fault() is None and bool(machine.cpu_flags() & set(IN_HARDWARE))


def precision_as_trained(precision: str) -> str:
    """The precision to evaluate a net that was trained in `precision`: the same, if this CPU has it."""
    return "bfloat16" if precision in ("auto", "bfloat16") and has_bfloat16() else "float32"


def resolved_precision(precision: str, trained: str) -> str:
    """'bfloat16' or 'float32' for 'auto', which is `precision_as_trained`, or for one of them.

    Raises:
      UserError: it is none of `PRECISIONS`, or bfloat16 where there is none.
    """
    if precision not in PRECISIONS:
        raise UserError(f"precision {precision!r}: not one of {', '.join(PRECISIONS)}")
    if precision == "auto":
        return precision_as_trained(trained)
    check_precision(precision)
    return precision


def session_config(precision="float32", *, threads=None, at_once=1):
    """A `ConfigProto`.

    Args:
      precision: 'bfloat16' lets TensorFlow's graph rewrite run convolutions, matrix products and the ops between them
        in bfloat16; variables, loss and softmax stay float32.
      threads: CPU threads, default the number of cores.
      at_once: ops that run side by side, each with its share of the threads: see `training.work.threads_and_ops`.
    """
    import tensorflow.compat.v1 as tf

    threads = threads or machine.cores()
    config = tf.ConfigProto(
        intra_op_parallelism_threads=max(1, threads // at_once), inter_op_parallelism_threads=min(threads, at_once)
    )
    use_precision(config, precision)
    return config


def use_precision(config, precision: str) -> None:
    """Sets the precision of a `ConfigProto` before its first session: see `session_config`."""
    if precision == "bfloat16":
        # 1 is RewriterConfig.ON; the enum's module is private.
        config.graph_options.rewrite_options.auto_mixed_precision_onednn_bfloat16 = 1
