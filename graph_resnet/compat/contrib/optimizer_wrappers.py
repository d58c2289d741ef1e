"""Optimizers of `tf.contrib.opt` that wrap another one."""

import tensorflow as tf
from tensorflow.python.training import optimizer as _optimizer

_v1 = tf.compat.v1
_train = _v1.train


class VariableClippingOptimizer(_optimizer.Optimizer):
    """Clips the norms of rows of variables after another optimizer's update.

    Args:
        vars_to_clip_dims: variable -> the dimensions over which the norm is taken.
        max_norm: the maximum norm.
    """

    def __init__(
        self,
        opt,
        vars_to_clip_dims,
        max_norm,
        use_locking=False,
        colocate_clip_ops_with_vars=False,
        name="VariableClipping",
    ):
        super().__init__(use_locking, name)
        self._opt, self._max_norm = opt, max_norm
        self._dims = {var.name: (var, dims) for var, dims in (vars_to_clip_dims.items())}

    def compute_gradients(self, *args, **kwargs):
        return self._opt.compute_gradients(*args, **kwargs)

    def get_slot(self, *args, **kwargs):
        return self._opt.get_slot(*args, **kwargs)

    def get_slot_names(self, *args, **kwargs):
        return self._opt.get_slot_names(*args, **kwargs)

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        with _v1.name_scope(name, self._name):
            update = self._opt.apply_gradients(grads_and_vars, global_step=global_step)
            with tf.control_dependencies([update]):
                clips = [
                    v.assign(tf.clip_by_norm(v.read_value(), self._max_norm, dims)) for v, dims in self._dims.values()
                ]
            return tf.group(update, *clips)


class MovingAverageOptimizer(_optimizer.Optimizer):
    """Wraps an optimizer and keeps moving averages of the variables; `swapping_saver` saves the averages instead."""

    def __init__(self, opt, average_decay=0.9999, num_updates=None, sequential_update=True):
        super().__init__(False, "MovingAverage")
        self._opt, self._ema = opt, _train.ExponentialMovingAverage(average_decay, num_updates=num_updates)
        self._averages = None

    def compute_gradients(self, *args, **kwargs):
        return self._opt.compute_gradients(*args, **kwargs)

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        grads_and_vars = list(grads_and_vars)
        update = self._opt.apply_gradients(grads_and_vars, global_step=global_step, name=name)
        variables = [v for g, v in grads_and_vars if g is not None]
        with tf.control_dependencies([update]):
            average = self._ema.apply(variables)
        self._averages = {v.op.name: self._ema.average(v) for v in variables}
        return tf.group(update, average)

    def swapping_saver(self, var_list=None, name="swapping_saver", **kwargs):
        """A Saver that stores each variable under its average's name, and the average under the variable's."""
        if self._averages is None:
            raise RuntimeError("Must call apply_gradients or minimize before creating the swapping_saver")
        variables = var_list or _v1.global_variables()
        names = {v.op.name: v for v in variables}
        for variable, average in self._averages.items():
            if variable in names and average.op.name in names:
                names[variable], names[average.op.name] = average, names[variable]
        return _train.Saver(names, name=name, **kwargs)


def clip_gradients_by_global_norm(gradients_variables, clip_norm=20.0):
    """Clips the gradients of (gradient, variable) pairs so that their global norm is at most `clip_norm`."""
    gradients, variables = zip(*gradients_variables)
    return list(zip(tf.clip_by_global_norm(gradients, clip_norm)[0], variables))
