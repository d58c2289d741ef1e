"""Optimizers of `tf.contrib.opt`, on the optimizers of `tf.train`."""

import tensorflow as tf
from tensorflow.python.training import optimizer as _optimizer

_v1 = tf.compat.v1
_train = _v1.train


class DecoupledWeightDecayExtension:
    """Weight decay decoupled from the gradient (I. Loshchilov, F. Hutter, 2017); a mixin for an optimizer.

    Args:
        weight_decay: before its update, each variable loses this fraction of its value.
    """

    def __init__(self, weight_decay, **kwargs):
        self._decay_var_list, self._weight_decay = None, weight_decay
        super().__init__(**kwargs)

    def minimize(self, loss, *args, decay_var_list=None, **kwargs):
        self._decay_var_list = decay_var_list and {v.name for v in decay_var_list}
        return super().minimize(loss, *args, **kwargs)

    def apply_gradients(self, grads_and_vars, global_step=None, name=None, decay_var_list=None):
        if decay_var_list is not None:
            self._decay_var_list = {v.name for v in decay_var_list}
        grads_and_vars = list(grads_and_vars)
        decay = self._weight_decay() if callable(self._weight_decay) else self._weight_decay
        decays = [
            self._decay(decay, g, v)
            for g, v in grads_and_vars
            if g is not None and (self._decay_var_list is None or v.name in self._decay_var_list)
        ]
        with tf.control_dependencies(decays):
            return super().apply_gradients(grads_and_vars, global_step=global_step, name=name)

    @staticmethod
    def _decay(decay, gradient, variable):
        """Shrinks a variable; for a sparse gradient, only its rows."""
        decay = tf.cast(decay, variable.dtype.base_dtype)
        if isinstance(gradient, tf.IndexedSlices):
            rows, _ = tf.unique(gradient.indices)
            return _v1.scatter_sub(variable, rows, decay * tf.gather(variable, rows))
        return variable.assign_sub(decay * variable)


def extend_with_decoupled_weight_decay(base_optimizer):
    """An optimizer class with decoupled weight decay: `weight_decay` is its first argument."""

    class OptimizerWithDecoupledWeightDecay(DecoupledWeightDecayExtension, base_optimizer):
        def __init__(self, weight_decay, *args, **kwargs):
            base_optimizer.__init__(self, *args, **kwargs)
            self._decay_var_list, self._weight_decay = None, weight_decay

    return OptimizerWithDecoupledWeightDecay


class AdamWOptimizer(DecoupledWeightDecayExtension, _train.AdamOptimizer):
    """Adam with decoupled weight decay."""

    def __init__(
        self, weight_decay, learning_rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8, use_locking=False, name="AdamW"
    ):
        super().__init__(
            weight_decay,
            learning_rate=learning_rate,
            beta1=beta1,
            beta2=beta2,
            epsilon=epsilon,
            use_locking=use_locking,
            name=name,
        )


class MomentumWOptimizer(DecoupledWeightDecayExtension, _train.MomentumOptimizer):
    """Momentum with decoupled weight decay."""

    def __init__(self, weight_decay, learning_rate, momentum, use_locking=False, name="MomentumW", use_nesterov=False):
        super().__init__(
            weight_decay,
            learning_rate=learning_rate,
            momentum=momentum,
            use_locking=use_locking,
            name=name,
            use_nesterov=use_nesterov,
        )


class LazyAdamOptimizer(_train.AdamOptimizer):
    """Adam that, for a sparse gradient, updates only the moments of its rows."""

    def _apply_sparse(self, grad, var):
        beta1_power, beta2_power = (tf.cast(p, var.dtype.base_dtype) for p in self._get_beta_accumulators())
        rate = tf.cast(self._lr_t, var.dtype.base_dtype) * tf.sqrt(1 - beta2_power) / (1 - beta1_power)
        beta1, beta2 = (tf.cast(b, var.dtype.base_dtype) for b in (self._beta1_t, self._beta2_t))
        epsilon = tf.cast(self._epsilon_t, var.dtype.base_dtype)
        m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
        rows, values = grad.indices, grad.values
        new_m = beta1 * tf.gather(m, rows) + (1 - beta1) * values
        new_v = beta2 * tf.gather(v, rows) + (1 - beta2) * tf.square(values)
        step = rate * new_m / (tf.sqrt(new_v) + epsilon)
        return tf.group(
            _v1.scatter_update(m, rows, new_m), _v1.scatter_update(v, rows, new_v), _v1.scatter_sub(var, rows, step)
        )

    def _resource_apply_sparse(self, grad, var, indices):
        return self._apply_sparse(tf.IndexedSlices(grad, indices), var)


class _OneStep:
    """Mixed in before an optimizer: the update of a variable is `_step(gradient, variable)`, the gradient dense."""

    def _apply_dense(self, grad, var):
        return self._step(grad, var)

    def _resource_apply_dense(self, grad, var):
        return self._step(grad, var)

    def _apply_sparse(self, grad, var):
        return self._step(tf.convert_to_tensor(grad), var)

    def _resource_apply_sparse(self, grad, var, indices):
        return self._step(tf.convert_to_tensor(tf.IndexedSlices(grad, indices, tf.shape(var))), var)


class _DenseOptimizer(_OneStep, _optimizer.Optimizer):
    """An optimizer with nothing but a learning rate."""

    def __init__(self, learning_rate, use_locking, name):
        super().__init__(use_locking, name)
        self._lr = learning_rate

    def _prepare(self):
        rate = self._lr() if callable(self._lr) else self._lr
        self._lr_t = tf.convert_to_tensor(rate, name="learning_rate")

    def _rate(self, var):
        return tf.cast(self._lr_t, var.dtype.base_dtype)


class _AdamVariant(_OneStep, _train.AdamOptimizer):
    """An optimizer with Adam's slots and beta powers."""

    def _apply_sparse(self, grad, var):
        return self._step_of_rows(grad.indices, grad.values, var)

    def _resource_apply_sparse(self, grad, var, indices):
        return self._step_of_rows(indices, grad, var)

    def _hyper(self, var):
        return (tf.cast(t, var.dtype.base_dtype) for t in (self._lr_t, self._beta1_t, self._beta2_t, self._epsilon_t))


class AdaMaxOptimizer(_AdamVariant):
    """AdaMax (D. Kingma, J. Ba, Adam, 2014, section 7.1)."""

    def __init__(self, learning_rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8, use_locking=False, name="AdaMax"):
        super().__init__(learning_rate, beta1, beta2, epsilon, use_locking, name)

    def _power(self):
        graph = None if tf.executing_eagerly() else _v1.get_default_graph()
        return self._get_non_slot_variable("beta1_power", graph=graph)

    def _create_slots(self, var_list):
        first = min(var_list, key=lambda x: x.name)
        self._create_non_slot_variable(initial_value=self._beta1, name="beta1_power", colocate_with=first)
        for var in var_list:
            self._zeros_slot(var, "m", self._name)
            self._zeros_slot(var, "v", self._name)

    def _step(self, grad, var):
        rate, beta1, beta2, epsilon = self._hyper(var)
        m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
        m = m.assign(beta1 * m + (1 - beta1) * grad)
        v = v.assign(tf.maximum(beta2 * v, tf.abs(grad)))
        return var.assign_sub(rate / (1 - tf.cast(self._power(), var.dtype.base_dtype)) * m / (v + epsilon))

    def _step_of_rows(self, rows, grad, var):
        rate, beta1, beta2, epsilon = self._hyper(var)
        m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
        new_m = beta1 * tf.gather(m, rows) + (1 - beta1) * grad
        new_v = tf.maximum(beta2 * tf.gather(v, rows), tf.abs(grad))
        step = rate / (1 - tf.cast(self._power(), var.dtype.base_dtype)) * new_m / (new_v + epsilon)
        return tf.group(
            _v1.scatter_update(m, rows, new_m), _v1.scatter_update(v, rows, new_v), _v1.scatter_sub(var, rows, step)
        )

    def _finish(self, update_ops, name_scope):
        with tf.control_dependencies(update_ops):
            update = self._power().assign(self._power() * self._beta1_t)
        return tf.group(*update_ops, update, name=name_scope)


class NadamOptimizer(_AdamVariant):
    """Adam with Nesterov momentum (T. Dozat, 2016)."""

    def _step(self, grad, var):
        m, v, update = self._moments(grad, var)
        return tf.group(update, var.assign_sub(self._change(m, v, grad, var)))

    def _step_of_rows(self, rows, grad, var):
        m, v, update = self._moments(tf.convert_to_tensor(tf.IndexedSlices(grad, rows, tf.shape(var))), var)
        change = self._change(tf.gather(m, rows), tf.gather(v, rows), grad, var)
        return tf.group(update, _v1.scatter_sub(var, rows, change))

    def _moments(self, grad, var):
        _, beta1, beta2, _ = self._hyper(var)
        m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
        new_m, new_v = beta1 * m + (1 - beta1) * grad, beta2 * v + (1 - beta2) * tf.square(grad)
        return new_m, new_v, tf.group(m.assign(new_m), v.assign(new_v))

    def _change(self, m, v, grad, var):
        rate, beta1, _, epsilon = self._hyper(var)
        power1, power2 = (tf.cast(p, var.dtype.base_dtype) for p in self._get_beta_accumulators())
        rate = rate * tf.sqrt(1 - power2) / (1 - power1)
        return rate * (beta1 * m + (1 - beta1) * grad) / (tf.sqrt(v) + epsilon)


class LARSOptimizer(_DenseOptimizer):
    """Layer-wise adaptive rates (Y. You et al., 2017)."""

    def __init__(
        self,
        learning_rate,
        momentum=0.9,
        weight_decay=0.0001,
        eeta=0.001,
        epsilon=0.0,
        name="LARSOptimizer",
        skip_list=None,
        use_nesterov=False,
    ):
        super().__init__(learning_rate, False, name)
        self._momentum, self._weight_decay, self._eeta, self._epsilon = momentum, weight_decay, eeta, epsilon
        self._skip, self._use_nesterov = skip_list or (), use_nesterov

    def _create_slots(self, var_list):
        for var in var_list:
            self._zeros_slot(var, "momentum", self._name)

    def _step(self, grad, var):
        rate = self._rate(var)
        if not any(part in var.name for part in self._skip):
            weight, gradient = tf.norm(var), tf.norm(grad)
            ratio = self._eeta * weight / (gradient + self._weight_decay * weight + self._epsilon)
            rate = rate * tf.where((weight > 0) & (gradient > 0), ratio, tf.ones_like(ratio))
        slot = self.get_slot(var, "momentum")
        moment = slot.assign(self._momentum * slot + grad)
        return var.assign_sub(rate * (grad + self._momentum * moment if self._use_nesterov else moment))

    def _apply_sparse(self, grad, var):
        """Plain momentum for the gradient's rows."""
        slot, rows = self.get_slot(var, "momentum"), grad.indices
        moment = self._momentum * tf.gather(slot, rows) + grad.values
        return tf.group(_v1.scatter_update(slot, rows, moment), _v1.scatter_sub(var, rows, self._rate(var) * moment))

    def _resource_apply_sparse(self, grad, var, indices):
        return self._apply_sparse(tf.IndexedSlices(grad, indices), var)


class _SignOptimizer(_DenseOptimizer):
    """Shared by AddSign and PowerSign (I. Bello et al., Neural Optimizer Search, 2017)."""

    def __init__(self, learning_rate, strength, beta, sign_decay_fn, use_locking, name):
        super().__init__(learning_rate, use_locking, name)
        self._strength, self._beta, self._sign_decay_fn = strength, beta, sign_decay_fn
        self._decay = 1.0

    def _create_slots(self, var_list):
        for var in var_list:
            self._zeros_slot(var, "m", self._name)

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        if self._sign_decay_fn is not None:
            self._decay = self._sign_decay_fn(tf.cast(global_step, tf.float32))
        return super().apply_gradients(grads_and_vars, global_step=global_step, name=name)

    def _step(self, grad, var):
        slot = self.get_slot(var, "m")
        m = slot.assign(self._beta * slot + (1 - self._beta) * grad)
        agreement = self._decay * tf.sign(grad) * tf.sign(m)
        return var.assign_sub(self._rate(var) * self._factor(agreement) * grad)


class AddSignOptimizer(_SignOptimizer):
    """Multiplies the gradient by alpha + sign(g) sign(m)."""

    def __init__(
        self, learning_rate=0.1, alpha=1.0, beta=0.9, sign_decay_fn=None, use_locking=False, name="AddSignOptimizer"
    ):
        super().__init__(learning_rate, alpha, beta, sign_decay_fn, use_locking, name)

    def _factor(self, agreement):
        return self._strength + agreement


class PowerSignOptimizer(_SignOptimizer):
    """Multiplies the gradient by base ** (sign(g) sign(m))."""

    def __init__(
        self,
        learning_rate=0.1,
        base=2.718281828,
        beta=0.9,
        sign_decay_fn=None,
        use_locking=False,
        name="PowerSignOptimizer",
    ):
        super().__init__(learning_rate, base, beta, sign_decay_fn, use_locking, name)

    def _factor(self, agreement):
        return tf.pow(tf.cast(self._strength, agreement.dtype), agreement)
