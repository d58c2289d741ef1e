"""How a session computes: threads, and bfloat16 where the machine has it in hardware."""

import os
from pathlib import Path

from graph_resnet.errors import UserError

PRECISIONS = ("auto", "bfloat16", "float32")
IN_HARDWARE = ("amx_bf16", "avx512_bf16")
EMULATED = {"avx512f", "avx_ne_convert"}  # oneDNN has bfloat16 kernels for CPUs with either of them


def choose_precision(precision="auto"):
    """Resolves 'auto', and refuses a bfloat16 that TensorFlow would silently compute as float32.

    Returns:
      ('bfloat16' or 'float32', why), the reason as a phrase.

    Raises:
      UserError: bfloat16 is asked for where there is none.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if precision == "float32":
        return precision, "as asked"
    flags, missing = _cpu_flags(), None
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0":
        missing = "TF_ENABLE_ONEDNN_OPTS=0 switches bfloat16 off"
    elif flags and not flags & EMULATED:
        missing = "this CPU has none of " + ", ".join(sorted(EMULATED))
    if precision == "bfloat16":
        if missing:
            raise UserError(f"precision bfloat16: {missing}; pass float32, or auto")
        return precision, "as asked"
    found = next((flag for flag in IN_HARDWARE if flag in flags), None)
    if found and not missing:
        return "bfloat16", f"this CPU has {found}"
    return "float32", missing or "this CPU has no bfloat16 arithmetic"


def precision_as_trained(precision):
    """In which to evaluate a net that was trained in `precision`: the same, where this machine can."""
    return choose_precision("auto" if precision == "bfloat16" else precision)[0]


def _cpu_flags():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return set()
    return {flag for line in lines if line.startswith("flags") for flag in line.partition(":")[2].split()}


def session_config(precision="float32", *, threads=None):
    """A `ConfigProto`.

    Args:
      precision: 'bfloat16' has TensorFlow's graph rewrite run convolutions, matrix products and what lies between
        them in bfloat16; variables, loss and softmax stay float32.
      threads: CPU threads of one op, the number of cores where None. Ops run one after the other: two at once
        share the same cores and were slower.
    """
    import tensorflow.compat.v1 as tf

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    config = tf.ConfigProto(intra_op_parallelism_threads=threads or cores, inter_op_parallelism_threads=1)
    if precision == "bfloat16":
        # 1 is RewriterConfig.ON; the enum's module is not public.
        config.graph_options.rewrite_options.auto_mixed_precision_onednn_bfloat16 = 1
    return config
