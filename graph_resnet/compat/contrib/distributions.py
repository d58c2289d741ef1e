"""Distributions of `tf.contrib.distributions` over vectors that `tf.distributions` lacks, for use without TFP.

Categories as one-hot vectors are in `one_hot_categorical.py`.
"""

import tensorflow as tf

_v1 = tf.compat.v1
Distribution, Normal = _v1.distributions.Distribution, _v1.distributions.Normal


class Independent(Distribution):
    """A distribution whose last batch dimensions form one event.

    Args:
        distribution: the distribution of a single variable.
        reinterpreted_batch_ndims: how many dimensions; by default all but the first one.
    """

    def __init__(self, distribution, reinterpreted_batch_ndims=None, validate_args=False, name=None):
        if reinterpreted_batch_ndims is None:
            reinterpreted_batch_ndims = max(0, distribution.batch_shape.ndims - 1)
        self._distribution, self._ndims = distribution, reinterpreted_batch_ndims
        super().__init__(
            dtype=distribution.dtype,
            reparameterization_type=distribution.reparameterization_type,
            validate_args=validate_args,
            allow_nan_stats=distribution.allow_nan_stats,
            parameters={"distribution": distribution, "reinterpreted_batch_ndims": reinterpreted_batch_ndims},
            name=name or f"Independent{distribution.name}",
        )

    distribution = property(lambda self: self._distribution)
    reinterpreted_batch_ndims = property(lambda self: self._ndims)

    def _batch_rank(self):
        return self._distribution.batch_shape.ndims - self._ndims

    def _batch_shape(self):
        return self._distribution.batch_shape[: self._batch_rank()]

    def _event_shape(self):
        return self._distribution.batch_shape[self._batch_rank() :].concatenate(self._distribution.event_shape)

    def _batch_shape_tensor(self):
        return self._distribution.batch_shape_tensor()[: self._batch_rank()]

    def _event_shape_tensor(self):
        of_batch = self._distribution.batch_shape_tensor()[self._batch_rank() :]
        return tf.concat([of_batch, self._distribution.event_shape_tensor()], 0)

    def _sum(self, x):
        return tf.reduce_sum(x, list(range(-self._ndims, 0)))

    def _sample_n(self, n, seed=None):
        return self._distribution.sample(n, seed)

    def _log_prob(self, x):
        return self._sum(self._distribution.log_prob(x))

    def _entropy(self):
        return self._sum(self._distribution.entropy())

    def _mean(self):
        return self._distribution.mean()

    def _mode(self):
        return self._distribution.mode()

    def _variance(self):
        return self._distribution.variance()

    def _stddev(self):
        return self._distribution.stddev()


@_v1.distributions.RegisterKL(Independent, Independent)
def _kl_independent(a, b, name=None):
    """KL(a || b), [...]: the sum over the event of the variables' divergences."""
    return a._sum(_v1.distributions.kl_divergence(a.distribution, b.distribution))


def _diagonal(loc, scale_diag, multiplier):
    """The standard deviations [..., D]: the sum of `scale_diag` [..., D] and `multiplier` [...], 1 without both."""
    if multiplier is None:
        return tf.ones_like(loc) if scale_diag is None else tf.convert_to_tensor(scale_diag)
    return tf.convert_to_tensor(multiplier)[..., None] + (tf.zeros_like(loc) if scale_diag is None else scale_diag)


class MultivariateNormalDiag(Independent):
    """A normal distribution with a diagonal covariance.

    Args:
        loc: the mean [..., D]; 0 if it is None.
        scale_diag: the standard deviations [..., D].
        scale_identity_multiplier: a number [...] to add to them, or instead of them.
    """

    def __init__(
        self,
        loc=None,
        scale_diag=None,
        scale_identity_multiplier=None,
        validate_args=False,
        allow_nan_stats=True,
        name="MultivariateNormalDiag",
    ):
        if loc is None and scale_diag is None:
            raise ValueError(f"{name} needs loc or scale_diag, which say how many variables there are.")
        scale = _diagonal(loc, scale_diag, scale_identity_multiplier)
        loc = tf.zeros_like(scale) if loc is None else tf.convert_to_tensor(loc)
        normal = Normal(loc, scale + tf.zeros_like(loc), validate_args, allow_nan_stats)
        super().__init__(normal, 1, validate_args, name)

    loc = property(lambda self: self.distribution.loc)
    scale = property(lambda self: tf.linalg.LinearOperatorDiag(self.distribution.scale))

    def _covariance(self):
        return tf.linalg.diag(self.distribution.variance())


class MultivariateNormalDiagWithSoftplusScale(MultivariateNormalDiag):
    """`MultivariateNormalDiag` with softplus(scale_diag)."""

    def __init__(
        self,
        loc,
        scale_diag,
        validate_args=False,
        allow_nan_stats=True,
        name="MultivariateNormalDiagWithSoftplusScale",
    ):
        scale = tf.nn.softplus(scale_diag)
        super().__init__(loc, scale, validate_args=validate_args, allow_nan_stats=allow_nan_stats, name=name)
