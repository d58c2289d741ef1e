"""Categories as one-hot vectors, for `tf.contrib.distributions` without TFP.

Sources: [1] E. Jang et al., Categorical Reparameterization with Gumbel-Softmax, 2016; [2] C. Maddison et al., The
Concrete Distribution, 2016.
"""

import numpy as np
import tensorflow as tf
from tensorflow.python.ops.distributions import util

_v1 = tf.compat.v1


class _Categories(_v1.distributions.Distribution):
    """A distribution over vectors [K], defined by logits or probabilities [..., K]."""

    def __init__(self, logits, probs, dtype, kind, validate_args, allow_nan_stats, parameters, name):
        with _v1.name_scope(name) as scope:
            self._logits, self._probs = util.get_logits_and_probs(
                logits, probs, multidimensional=True, validate_args=validate_args, name=scope
            )
        super().__init__(
            dtype=tf.as_dtype(dtype or self._logits.dtype),
            reparameterization_type=kind,
            validate_args=validate_args,
            allow_nan_stats=allow_nan_stats,
            parameters={"logits": logits, "probs": probs, **parameters},
            graph_parents=[self._logits, self._probs],
            name=scope,
        )

    logits = property(lambda self: self._logits)
    probs = property(lambda self: self._probs)
    event_size = property(lambda self: tf.shape(self._logits)[-1])

    def _batch_shape(self):
        return self._logits.shape[:-1]

    def _event_shape(self):
        return self._logits.shape[-1:]

    def _batch_shape_tensor(self):
        return tf.shape(self._logits)[:-1]

    def _event_shape_tensor(self):
        return tf.shape(self._logits)[-1:]


class OneHotCategorical(_Categories):
    """A categorical distribution whose samples are one-hot vectors; int32 by default."""

    def __init__(
        self,
        logits=None,
        probs=None,
        dtype=tf.int32,
        validate_args=False,
        allow_nan_stats=True,
        name="OneHotCategorical",
    ):
        kind = _v1.distributions.NOT_REPARAMETERIZED
        super().__init__(logits, probs, dtype, kind, validate_args, allow_nan_stats, {"dtype": dtype}, name)

    def _sample_n(self, n, seed=None):
        ids = _v1.distributions.Categorical(logits=self._logits).sample(n, seed)
        return tf.one_hot(ids, self.event_size, dtype=self.dtype)

    def _log_prob(self, x):
        return tf.reduce_sum(tf.cast(x, self._logits.dtype) * tf.nn.log_softmax(self._logits), -1)

    def _entropy(self):
        return -tf.reduce_sum(tf.nn.softmax(self._logits) * tf.nn.log_softmax(self._logits), -1)

    def _mode(self):
        return tf.one_hot(tf.argmax(self._logits, -1), self.event_size, dtype=self.dtype)

    def _mean(self):
        return self._probs

    def _covariance(self):
        return tf.linalg.diag(self._probs) - self._probs[..., None] * self._probs[..., None, :]

    def _variance(self):
        return self._probs * (1 - self._probs)


@_v1.distributions.RegisterKL(OneHotCategorical, OneHotCategorical)
def _kl_one_hot(a, b, name=None):
    """KL(a || b), [...]: the sum over the categories of p_a (log p_a - log p_b)."""
    difference = tf.nn.log_softmax(a.logits) - tf.nn.log_softmax(b.logits)
    return tf.reduce_sum(tf.nn.softmax(a.logits) * difference, -1)


class ExpRelaxedOneHotCategorical(_Categories):
    """The logarithm of a `RelaxedOneHotCategorical`, which does not underflow [2]."""

    def __init__(
        self,
        temperature,
        logits=None,
        probs=None,
        dtype=None,
        validate_args=False,
        allow_nan_stats=True,
        name=None,
    ):
        kind, parameters = _v1.distributions.FULLY_REPARAMETERIZED, {"temperature": temperature, "dtype": dtype}
        name = name or type(self).__name__
        super().__init__(logits, probs, dtype, kind, validate_args, allow_nan_stats, parameters, name)
        self._temperature = tf.cast(temperature, self.dtype)

    temperature = property(lambda self: self._temperature)

    def _sample_n(self, n, seed=None):
        """Logits plus Gumbel noise, divided by the temperature [1]; log-probabilities [n, ..., K]."""
        shape, tiny = tf.concat([[n], tf.shape(self._logits)], 0), np.finfo(self.dtype.as_numpy_dtype).tiny
        gumbel = -tf.math.log(-tf.math.log(tf.random.uniform(shape, tiny, 1.0, self.dtype, seed)))
        return tf.nn.log_softmax((self._logits + gumbel) / self._temperature)

    def _log_prob(self, x):
        """[2], equation 26 of its appendix."""
        size = tf.cast(self.event_size, x.dtype)
        constant = tf.math.lgamma(size) + (size - 1) * tf.math.log(self._temperature)
        return constant + tf.reduce_sum(tf.nn.log_softmax(self._logits - x * self._temperature), -1)


class RelaxedOneHotCategorical(ExpRelaxedOneHotCategorical):
    """Approximately one-hot samples by the Gumbel-softmax trick [1] [2]; the lower the temperature, the nearer."""

    def _sample_n(self, n, seed=None):
        return tf.exp(super()._sample_n(n, seed))

    def _log_prob(self, x):
        """The density of the logarithm, divided by the product of x for the change of variables."""
        return super()._log_prob(tf.math.log(x)) - tf.reduce_sum(tf.math.log(x), -1)
