"""Distributions of `tf.contrib.distributions` that `tf.distributions` lacks, for use without TFP."""

import tensorflow as tf

_v1 = tf.compat.v1
Distribution, Normal, RegisterKL = (getattr(_v1.distributions, n) for n in ("Distribution", "Normal", "RegisterKL"))
FULLY_REPARAMETERIZED = _v1.distributions.FULLY_REPARAMETERIZED
NOT_REPARAMETERIZED = _v1.distributions.NOT_REPARAMETERIZED


class Independent(Distribution):
    """The last dimensions of a distribution's batch as one event, by default all but the first."""

    def __init__(self, distribution, reinterpreted_batch_ndims=None, validate_args=False, name="Independent"):
        parameters = dict(locals())
        if reinterpreted_batch_ndims is None:
            reinterpreted_batch_ndims = distribution.batch_shape.ndims - 1
        self.distribution, self._joined = distribution, reinterpreted_batch_ndims
        super().__init__(
            dtype=distribution.dtype,
            reparameterization_type=distribution.reparameterization_type,
            validate_args=validate_args,
            allow_nan_stats=distribution.allow_nan_stats,
            parameters=parameters,
            name=name,
        )

    def _sum(self, x):
        return tf.reduce_sum(x, list(range(-self._joined, 0)))

    def _batch_shape_tensor(self):
        shape = self.distribution.batch_shape_tensor()
        return shape[: tf.size(shape) - self._joined]

    def _event_shape_tensor(self):
        shape = self.distribution.batch_shape_tensor()
        return tf.concat([shape[tf.size(shape) - self._joined :], self.distribution.event_shape_tensor()], 0)

    def _batch_shape(self):
        shape = self.distribution.batch_shape
        return shape[: shape.ndims - self._joined]

    def _event_shape(self):
        shape = self.distribution.batch_shape
        return shape[shape.ndims - self._joined :].concatenate(self.distribution.event_shape)

    def _sample_n(self, n, seed=None):
        return self.distribution.sample(n, seed)

    def _log_prob(self, x):
        return self._sum(self.distribution.log_prob(x))

    def _entropy(self):
        return self._sum(self.distribution.entropy())

    def _mean(self):
        return self.distribution.mean()

    def _mode(self):
        return self.distribution.mode()

    def _variance(self):
        return self.distribution.variance()

    def _stddev(self):
        return self.distribution.stddev()


@RegisterKL(Independent, Independent)
def _kl_of_independent(a, b, name=None):
    return a._sum(_v1.distributions.kl_divergence(a.distribution, b.distribution))


class MultivariateNormalDiag(Independent):
    """A normal distribution with a diagonal covariance: loc and scale_diag [..., D]."""

    def __init__(
        self,
        loc=None,
        scale_diag=None,
        scale_identity_multiplier=None,
        validate_args=False,
        allow_nan_stats=True,
        name="MultivariateNormalDiag",
    ):
        scale = tf.ones_like(loc) if scale_diag is None else tf.convert_to_tensor(scale_diag)
        scale = scale * (1.0 if scale_identity_multiplier is None else scale_identity_multiplier)
        loc = tf.zeros_like(scale) if loc is None else loc
        scale = scale + tf.zeros_like(loc)
        super().__init__(Normal(loc, scale, validate_args, allow_nan_stats), 1, validate_args, name)
        self.loc, self.scale = self.distribution.loc, tf.linalg.LinearOperatorDiag(scale)

    def _covariance(self):
        return tf.linalg.diag(self.variance())


class MultivariateNormalDiagWithSoftplusScale(MultivariateNormalDiag):
    """`MultivariateNormalDiag` with softplus(scale_diag)."""

    def __init__(self, loc, scale_diag, validate_args=False, allow_nan_stats=True, name="MultivariateNormalDiag"):
        super().__init__(loc, tf.nn.softplus(scale_diag), None, validate_args, allow_nan_stats, name)


class NormalWithSoftplusScale(Normal):
    """`Normal` with softplus(scale)."""

    def __init__(self, loc, scale, validate_args=False, allow_nan_stats=True, name="Normal"):
        super().__init__(loc, tf.nn.softplus(scale), validate_args, allow_nan_stats, name)


class _OfClasses(Distribution):
    """A distribution of vectors [..., C] with an entry for each class.

    Attributes:
        logits, probs: [..., C]; both are known, whichever of them was given.
    """

    def __init__(self, logits, probs, dtype, reparameterization_type, validate_args, allow_nan_stats, parameters, name):
        if (logits is None) == (probs is None):
            raise ValueError("Must pass probs or logits, but not both.")
        self.logits = tf.math.log(probs) if logits is None else tf.convert_to_tensor(logits)
        self.probs = tf.nn.softmax(self.logits) if probs is None else tf.convert_to_tensor(probs)
        super().__init__(
            dtype=dtype or self.logits.dtype,
            reparameterization_type=reparameterization_type,
            validate_args=validate_args,
            allow_nan_stats=allow_nan_stats,
            parameters=parameters,
            name=name,
        )

    event_size = property(lambda self: tf.shape(self.logits)[-1])

    def _batch_shape_tensor(self):
        return tf.shape(self.logits)[:-1]

    def _event_shape_tensor(self):
        return tf.shape(self.logits)[-1:]

    def _batch_shape(self):
        return self.logits.shape[:-1]

    def _event_shape(self):
        return self.logits.shape[-1:]


class OneHotCategorical(_OfClasses):
    """One-hot vectors."""

    def __init__(
        self,
        logits=None,
        probs=None,
        dtype=tf.int32,
        validate_args=False,
        allow_nan_stats=True,
        name="OneHotCategorical",
    ):
        parameters = dict(locals())
        super().__init__(logits, probs, dtype, NOT_REPARAMETERIZED, validate_args, allow_nan_stats, parameters, name)

    def _one_hot(self, labels):
        return tf.one_hot(labels, self.event_size, dtype=self.dtype)

    def _sample_n(self, n, seed=None):
        return self._one_hot(_v1.distributions.Categorical(self.logits).sample(n, seed))

    def _log_prob(self, x):
        return tf.reduce_sum(tf.math.multiply_no_nan(tf.nn.log_softmax(self.logits), tf.cast(x, self.logits.dtype)), -1)

    def _entropy(self):
        return -tf.reduce_sum(tf.math.multiply_no_nan(tf.nn.log_softmax(self.logits), self.probs), -1)

    def _mean(self):
        return self.probs

    def _mode(self):
        return self._one_hot(tf.argmax(self.logits, -1))

    def _variance(self):
        return self.probs * (1 - self.probs)

    def _covariance(self):
        return tf.linalg.diag(self.probs) - self.probs[..., :, None] * self.probs[..., None, :]


@RegisterKL(OneHotCategorical, OneHotCategorical)
def _kl_of_one_hot(a, b, name=None):
    difference = tf.nn.log_softmax(a.logits) - tf.nn.log_softmax(b.logits)
    return tf.reduce_sum(tf.math.multiply_no_nan(difference, a.probs), -1)


class RelaxedOneHotCategorical(_OfClasses):
    """Approximately one-hot samples by the Gumbel-softmax trick (E. Jang et al., 2016; C. Maddison et al., 2016)."""

    def __init__(
        self,
        temperature,
        logits=None,
        probs=None,
        dtype=None,
        validate_args=False,
        allow_nan_stats=True,
        name="RelaxedOneHotCategorical",
    ):
        parameters = dict(locals())
        super().__init__(logits, probs, dtype, FULLY_REPARAMETERIZED, validate_args, allow_nan_stats, parameters, name)
        self.temperature = tf.convert_to_tensor(temperature, self.dtype)

    def _sample_n(self, n, seed=None):
        shape = tf.concat([[n], tf.shape(self.logits)], 0)
        uniform = tf.random.uniform(shape, self.dtype.as_numpy_dtype(2.0**-126), 1.0, self.dtype, seed)
        gumbel = -tf.math.log(-tf.math.log(uniform))
        return tf.nn.softmax((self.logits + gumbel) / self.temperature[..., None])

    def _log_prob(self, x):
        """Maddison et al., definition 1."""
        size, t, log_x = tf.cast(self.event_size, self.dtype), self.temperature, tf.math.log(x)
        start = tf.math.lgamma(size) + (size - 1) * tf.math.log(t)
        energy = self.logits - t[..., None] * log_x
        return start + tf.reduce_sum(energy - log_x, -1) - size * tf.reduce_logsumexp(energy, -1)


def softplus_inverse(x, name=None):
    """log(exp(x) - 1), numerically stable."""
    return x + tf.math.log(-tf.math.expm1(-x))
