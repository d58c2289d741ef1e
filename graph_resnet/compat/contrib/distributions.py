"""Distributions of `tf.contrib.distributions` that `tf.distributions` lacks, for use without TFP."""

import numpy as np
import tensorflow as tf

_v1 = tf.compat.v1
Normal = _v1.distributions.Normal


class _Diagonal:
    """A distribution whose last dimension is made of independent variables and forms one event."""

    def __init__(self, distribution, name):
        self._distribution, self.name = distribution, name

    batch_shape = property(lambda self: self._distribution.batch_shape[:-1])
    event_shape = property(lambda self: self._distribution.batch_shape[-1:])
    dtype = property(lambda self: self._distribution.dtype)

    def log_prob(self, value, name="log_prob"):
        return tf.reduce_sum(self._distribution.log_prob(value), -1)

    def prob(self, value, name="prob"):
        return tf.exp(self.log_prob(value))

    def entropy(self, name="entropy"):
        return tf.reduce_sum(self._distribution.entropy(), -1)

    def sample(self, sample_shape=(), seed=None, name="sample"):
        return self._distribution.sample(sample_shape, seed)

    def mean(self, name="mean"):
        return self._distribution.mean()

    def mode(self, name="mode"):
        return self._distribution.mode()

    def variance(self, name="variance"):
        return self._distribution.variance()

    def stddev(self, name="stddev"):
        return self._distribution.stddev()

    def covariance(self, name="covariance"):
        return tf.linalg.diag(self.variance())

    def kl_divergence(self, other, name="kl_divergence"):
        return tf.reduce_sum(_v1.distributions.kl_divergence(self._distribution, other._distribution), -1)


class MultivariateNormalDiag(_Diagonal):
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
        super().__init__(Normal(loc, scale + tf.zeros_like(loc)), name)
        self.loc = self._distribution.loc


class MultivariateNormalDiagWithSoftplusScale(MultivariateNormalDiag):
    """`MultivariateNormalDiag` with softplus(scale_diag)."""

    def __init__(self, loc, scale_diag, validate_args=False, allow_nan_stats=True, name="MultivariateNormalDiag"):
        super().__init__(loc, tf.nn.softplus(scale_diag), name=name)


class NormalWithSoftplusScale(Normal):
    """`Normal` with softplus(scale)."""

    def __init__(self, loc, scale, validate_args=False, allow_nan_stats=True, name="Normal"):
        super().__init__(loc, tf.nn.softplus(scale), name=name)


class Independent(_Diagonal):
    """The last dimension of a distribution as one event."""

    def __init__(self, distribution, reinterpreted_batch_ndims=1, validate_args=False, name="Independent"):
        if reinterpreted_batch_ndims != 1:
            raise NotImplementedError("Independent: only reinterpreted_batch_ndims=1; install tensorflow_probability.")
        super().__init__(distribution, name)
        self.distribution = distribution


class _Gumbel:
    def __init__(self, temperature, logits, name):
        self.temperature, self.logits, self.name = tf.convert_to_tensor(temperature), tf.convert_to_tensor(logits), name

    def _noise(self, shape, seed, dtype):
        uniform = tf.random.uniform(shape, np.finfo(dtype.as_numpy_dtype).tiny, 1.0, dtype, seed)
        return -tf.math.log(-tf.math.log(uniform))


class RelaxedOneHotCategorical(_Gumbel):
    """Approximately one-hot samples by the Gumbel-softmax trick (E. Jang et al., 2016; C. Maddison et al., 2016)."""

    def __init__(self, temperature, logits=None, probs=None, name="RelaxedOneHotCategorical", **unused):
        super().__init__(temperature, tf.math.log(probs) if logits is None else logits, name)

    def sample(self, sample_shape=(), seed=None, name="sample"):
        sample_shape = [sample_shape] if isinstance(sample_shape, int) else list(sample_shape)
        shape = tf.concat([tf.cast(sample_shape, tf.int32), tf.shape(self.logits)], 0)
        return tf.nn.softmax((self.logits + self._noise(shape, seed, self.logits.dtype)) / self.temperature)


class OneHotCategorical(_v1.distributions.Categorical):
    """A Categorical whose samples are one-hot vectors."""

    def sample(self, sample_shape=(), seed=None, name="sample"):
        dtype = self.logits.dtype
        return tf.one_hot(super().sample(sample_shape, seed), _v1.dimension_value(self.logits.shape[-1]), dtype=dtype)

    def log_prob(self, value, name="log_prob"):
        return super().log_prob(tf.argmax(value, -1))


def softplus_inverse(x, name=None):
    """log(exp(x) - 1), numerically stable."""
    return x + tf.math.log(-tf.math.expm1(-x))
