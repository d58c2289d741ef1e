"""`tf.contrib.opt.ScipyOptimizerInterface`: minimizes a graph's loss with scipy.optimize."""

import numpy as np
import tensorflow as tf

_v1 = tf.compat.v1


class ExternalOptimizerInterface:
    """Packs variables into one vector for an optimizer outside the graph.

    Args:
        loss: a scalar tensor.
        var_list: the variables; default all trainable ones.
        equalities, inequalities: lists of scalar tensors that must be 0, or not below 0.
        var_to_bounds: variable -> (lower, upper).
    """

    def __init__(self, loss, var_list=None, equalities=None, inequalities=None, var_to_bounds=None, **optimizer_kwargs):
        self._loss, self.optimizer_kwargs = loss, optimizer_kwargs
        self._vars = list(var_list) if var_list is not None else _v1.trainable_variables()
        self._constraints = {"eq": list(equalities or ()), "ineq": list(inequalities or ())}
        self._gradient = self._pack(_v1.gradients(loss, self._vars))
        self._constraint_gradients = {
            kind: [self._pack(_v1.gradients(c, self._vars)) for c in constraints]
            for kind, constraints in self._constraints.items()
        }
        self._sizes = [v.shape.num_elements() for v in self._vars]
        self._placeholders = [_v1.placeholder(v.dtype.base_dtype, v.shape) for v in self._vars]
        self._assign = tf.group(*[_v1.assign(v, p) for v, p in zip(self._vars, self._placeholders)])
        self._bounds = None if var_to_bounds is None else self._pack_bounds(var_to_bounds)

    def _pack(self, gradients):
        parts = [
            tf.zeros([v.shape.num_elements()], v.dtype.base_dtype)
            if g is None
            else tf.reshape(tf.convert_to_tensor(g), [-1])
            for g, v in zip(gradients, self._vars)
        ]
        return tf.concat(parts, 0)

    def _pack_bounds(self, var_to_bounds):
        bounds = {v.name: b for v, b in var_to_bounds.items()} if isinstance(var_to_bounds, dict) else {}
        packed = []
        for variable in self._vars:
            lower, upper = bounds.get(variable.name, (-np.inf, np.inf))
            shape = variable.shape.as_list()
            packed += zip(np.broadcast_to(lower, shape).ravel(), np.broadcast_to(upper, shape).ravel())
        return packed

    def _feeds(self, vector):
        parts = np.split(vector, np.cumsum(self._sizes)[:-1])
        return {p: np.reshape(x, p.shape.as_list()) for p, x in zip(self._placeholders, parts)}

    def minimize(
        self, session=None, feed_dict=None, fetches=None, step_callback=None, loss_callback=None, **run_kwargs
    ):
        """Minimizes the loss and assigns the best point to the variables."""
        session = session or _v1.get_default_session()
        feed_dict, fetches = feed_dict or {}, fetches or []

        def evaluate(tensors):
            def call(vector):
                session.run(self._assign, self._feeds(vector))
                values = session.run([*tensors, *fetches], feed_dict)
                if loss_callback is not None and tensors[0] is self._loss:
                    loss_callback(*values[len(tensors) :])
                return [np.asarray(value, np.float64) for value in values[: len(tensors)]]

            return call

        start = np.concatenate([np.ravel(value) for value in session.run(self._vars)]).astype(np.float64)
        both = evaluate([self._loss, self._gradient])

        def loss(vector):
            value, gradient = both(vector)
            return float(value), gradient

        constraints = [
            {
                "type": kind,
                "fun": lambda x, t=tensor: float(evaluate([t])(x)[0]),
                "jac": lambda x, t=gradient: evaluate([t])(x)[0],
            }
            for kind in self._constraints
            for tensor, gradient in zip(self._constraints[kind], self._constraint_gradients[kind])
        ]
        result = self._minimize(start, loss, constraints, step_callback)
        session.run(self._assign, self._feeds(result))


class ScipyOptimizerInterface(ExternalOptimizerInterface):
    """The interface to scipy.optimize.minimize: `method` and `options` are scipy's."""

    _DEFAULT_METHOD = "L-BFGS-B"

    def _minimize(self, start, loss, constraints, step_callback):
        from scipy.optimize import minimize

        options = dict(self.optimizer_kwargs)
        method = options.pop("method", "SLSQP" if constraints else self._DEFAULT_METHOD)
        if constraints:
            options["constraints"] = constraints
        result = minimize(loss, start, method=method, jac=True, bounds=self._bounds, callback=step_callback, **options)
        tf.compat.v1.logging.info(f"Optimization terminated with: {result.message}")
        return result.x
