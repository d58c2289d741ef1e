"""Functions of simple random variables, for `tf.contrib.distributions` without TFP.

Source: [1] C. Maddison et al., The Concrete Distribution, 2016 (`RelaxedBernoulli`).
"""

import math

import tensorflow as tf
from tensorflow.python.ops.distributions import util

_v1 = tf.compat.v1
Distribution, Normal = _v1.distributions.Distribution, _v1.distributions.Normal


class _OfOneVariable(Distribution):
    """A distribution of single numbers whose parameters `loc` and `scale` have the batch's shape."""

    def __init__(self, loc, scale, validate_args, allow_nan_stats, parameters, name):
        loc = tf.convert_to_tensor(loc)
        self._loc, self._scale = loc, tf.convert_to_tensor(scale, loc.dtype)
        super().__init__(
            dtype=loc.dtype,
            reparameterization_type=_v1.distributions.FULLY_REPARAMETERIZED,
            validate_args=validate_args,
            allow_nan_stats=allow_nan_stats,
            parameters=parameters,
            name=name,
        )

    loc = property(lambda self: self._loc)
    scale = property(lambda self: self._scale)

    def _batch_shape(self):
        return tf.broadcast_static_shape(self._loc.shape, self._scale.shape)

    def _batch_shape_tensor(self):
        return tf.broadcast_dynamic_shape(tf.shape(self._loc), tf.shape(self._scale))

    def _event_shape(self):
        return tf.TensorShape([])

    def _event_shape_tensor(self):
        return tf.constant([], tf.int32)


class Logistic(_OfOneVariable):
    """The logistic distribution, whose cumulative function is sigmoid((x - loc) / scale)."""

    def __init__(self, loc, scale, validate_args=False, allow_nan_stats=True, name="Logistic"):
        super().__init__(loc, scale, validate_args, allow_nan_stats, {"loc": loc, "scale": scale}, name)

    def _z(self, x):
        return (x - self._loc) / self._scale

    def _sample_n(self, n, seed=None):
        shape = tf.concat([[n], self.batch_shape_tensor()], 0)
        uniform = tf.random.uniform(shape, self.dtype.as_numpy_dtype(1e-37), 1.0, self.dtype, seed)
        return self._loc + self._scale * (tf.math.log(uniform) - tf.math.log1p(-uniform))

    def _log_prob(self, x):
        z = self._z(x)
        return -z - 2 * tf.nn.softplus(-z) - tf.math.log(self._scale)

    def _cdf(self, x):
        return tf.sigmoid(self._z(x))

    def _entropy(self):
        return 2 + tf.math.log(self._scale) + tf.zeros_like(self._loc)

    def _mean(self):
        return self._loc + tf.zeros_like(self._scale)

    _mode = _mean

    def _stddev(self):
        return self._scale * math.pi / math.sqrt(3) + tf.zeros_like(self._loc)


class LogNormal(_OfOneVariable):
    """The exponential of a normal variable with mean `loc` and standard deviation `scale`."""

    def __init__(self, loc, scale, validate_args=False, allow_nan_stats=True, name="LogNormal"):
        super().__init__(loc, scale, validate_args, allow_nan_stats, {"loc": loc, "scale": scale}, name)
        self._normal = Normal(self._loc, self._scale, validate_args, allow_nan_stats)

    def _sample_n(self, n, seed=None):
        return tf.exp(self._normal.sample(n, seed))

    def _log_prob(self, x):
        return self._normal.log_prob(tf.math.log(x)) - tf.math.log(x)

    def _cdf(self, x):
        return self._normal.cdf(tf.math.log(x))

    def _entropy(self):
        return self._normal.mean() + self._normal.entropy()

    def _mean(self):
        return tf.exp(self._normal.mean() + tf.square(self._scale) / 2)

    def _mode(self):
        return tf.exp(self._normal.mean() - tf.square(self._scale))

    def _variance(self):
        return tf.math.expm1(tf.square(self._scale)) * tf.square(self._mean())


class RelaxedBernoulli(_OfOneVariable):
    """Numbers between 0 and 1, the nearer to a `Bernoulli`'s the lower the temperature [1].

    They are the sigmoid of a logistic variable with loc = logits / temperature and scale = 1 / temperature.
    """

    def __init__(
        self, temperature, logits=None, probs=None, validate_args=False, allow_nan_stats=True, name="RelaxedBernoulli"
    ):
        parameters = {"temperature": temperature, "logits": logits, "probs": probs}
        with _v1.name_scope(name) as scope:
            self._logits, self._probs = util.get_logits_and_probs(logits, probs, validate_args=validate_args)
            self._temperature = tf.convert_to_tensor(temperature, self._logits.dtype)
            loc, scale = self._logits / self._temperature, 1 / self._temperature
        super().__init__(loc, scale, validate_args, allow_nan_stats, parameters, scope)
        self._logistic = Logistic(loc, scale)

    logits = property(lambda self: self._logits)
    probs = property(lambda self: self._probs)
    temperature = property(lambda self: self._temperature)

    def _sample_n(self, n, seed=None):
        return tf.sigmoid(self._logistic.sample(n, seed))

    def _log_prob(self, x):
        """The density of the logistic variable, divided by the slope x (1 - x) of the sigmoid."""
        logs = tf.math.log(x), tf.math.log1p(-x)
        return self._logistic.log_prob(logs[0] - logs[1]) - logs[0] - logs[1]
