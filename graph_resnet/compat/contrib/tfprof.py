"""`tf.contrib.tfprof.model_analyzer`: counts the parameters and operations of a graph, by `tf.profiler`.

stats = print_model_analysis(tf.get_default_graph(), tfprof_options=TRAINABLE_VARS_PARAMS_STAT_OPTIONS)
print(stats.total_parameters)
"""

import tensorflow as tf

_v1 = tf.compat.v1
_options = _v1.profiler.ProfileOptionBuilder

TRAINABLE_VARS_PARAMS_STAT_OPTIONS = _options.trainable_variables_parameter()
FLOAT_OPS_OPTIONS = _options.float_operation()
PRINT_ALL_TIMING_MEMORY = _options.time_and_memory()


def print_model_analysis(
    graph, run_meta=None, op_log=None, tfprof_cmd="scope", tfprof_options=TRAINABLE_VARS_PARAMS_STAT_OPTIONS
):
    """Prints and returns the profile of a graph; with the default options the trainable parameters by scope.

    Args:
        run_meta: the `RunMetadata` of a step with a full trace, for times and memory.
        tfprof_cmd: "scope", "graph", "op" or "code".
        tfprof_options: a dict of `tf.profiler.ProfileOptionBuilder`.
    """
    return _v1.profiler.profile(graph, run_meta, op_log, tfprof_cmd, tfprof_options)
