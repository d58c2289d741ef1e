"""How a session computes: threads, and bfloat16 where the machine has it in hardware."""

import os
from pathlib import Path

PRECISIONS = ("auto", "bfloat16", "float32")


def choose_precision(precision="auto"):
    """Resolves 'auto'.

    Returns:
      ('bfloat16' or 'float32', why), the reason as a phrase.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if precision != "auto":
        return precision, "as asked"
    flags = _cpu_flags()
    for flag in ("amx_bf16", "avx512_bf16"):
        if flag in flags:
            return "bfloat16", f"this CPU has {flag}"
    return "float32", "this CPU has no bfloat16 arithmetic"


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
