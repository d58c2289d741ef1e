"""Mixtures of distributions, for `tf.contrib.distributions` without TFP. Mixture density networks use them.

mixture = Mixture(Categorical(logits=logits), [Normal(m, s) for m, s in components])
loss = -tf.reduce_mean(mixture.log_prob(y))
"""

import tensorflow as tf

_v1 = tf.compat.v1


class _Mixture(_v1.distributions.Distribution):
    """A choice `categories` among K components; `_event` is the component whose event and dtype the mixture has."""

    def __init__(self, categories, event, validate_args, allow_nan_stats, parameters, name):
        self._categories, self._event = categories, event
        super().__init__(
            dtype=event.dtype,
            reparameterization_type=_v1.distributions.NOT_REPARAMETERIZED,
            validate_args=validate_args,
            allow_nan_stats=allow_nan_stats,
            parameters=parameters,
            name=name,
        )

    def _event_shape(self):
        return self._event.event_shape

    def _event_shape_tensor(self):
        return self._event.event_shape_tensor()

    def _weigh(self, values, weights):
        """The sum over the components of values [..., K, event] times weights [..., K]."""
        rank = self.event_shape.ndims
        return tf.reduce_sum(values * tf.cast(weights[(..., *[None] * rank)], values.dtype), -1 - rank)

    def _sample_n(self, n, seed=None):
        values = self._of_components("sample", n, seed)  # [n, ..., K, event]
        chosen = self._categories.sample(n, seed)
        if self._categories.batch_shape.ndims == 0:  # one choice for the whole batch, as in TensorFlow 1.15
            chosen = tf.reshape(chosen, [-1, *[1] * self.batch_shape.ndims])
        return self._weigh(values, tf.one_hot(chosen, tf.shape(self._categories.logits)[-1]))

    def _log_prob(self, x):
        return tf.reduce_logsumexp(self._log_probs(x) + tf.nn.log_softmax(self._categories.logits), -1)

    def _mean(self):
        return self._weigh(self._of_components("mean"), self._categories.probs)

    def _variance(self):
        squares = self._of_components("variance") + tf.square(self._of_components("mean"))
        return self._weigh(squares, self._categories.probs) - tf.square(self._mean())


class Mixture(_Mixture):
    """A mixture of a list of distributions.

    Args:
        cat: a `Categorical` with K classes, with the batch shape of the components.
        components: K distributions of one batch and event shape.
        use_static_graph: has no effect; all components are always sampled.
    """

    def __init__(
        self, cat, components, validate_args=False, allow_nan_stats=True, use_static_graph=False, name="Mixture"
    ):
        self._components = list(components)
        classes = _v1.dimension_value(cat.logits.shape[-1])
        if not self._components or classes not in (None, len(self._components)):
            raise ValueError(f"cat has {classes} classes, so as many components are needed, not {len(components)}.")
        parameters = {"cat": cat, "components": components}
        super().__init__(cat, self._components[0], validate_args, allow_nan_stats, parameters, name)

    cat = property(lambda self: self._categories)
    components = property(lambda self: self._components)
    num_components = property(lambda self: len(self._components))

    def _batch_shape(self):
        return tf.broadcast_static_shape(self._categories.batch_shape, self._event.batch_shape)

    def _batch_shape_tensor(self):
        return self._event.batch_shape_tensor()

    def _of_components(self, method, *args):
        return tf.stack([getattr(c, method)(*args) for c in self._components], -1 - self.event_shape.ndims)

    def _log_probs(self, x):
        return tf.stack([component.log_prob(x) for component in self._components], -1)


class MixtureSameFamily(_Mixture):
    """A mixture of distributions that are one object.

    Args:
        mixture_distribution: a `Categorical` with K classes.
        components_distribution: a distribution of the batch shape [..., K].
    """

    def __init__(
        self,
        mixture_distribution,
        components_distribution,
        validate_args=False,
        allow_nan_stats=True,
        name="MixtureSameFamily",
    ):
        parameters = {
            "mixture_distribution": mixture_distribution,
            "components_distribution": components_distribution,
        }
        super().__init__(
            mixture_distribution, components_distribution, validate_args, allow_nan_stats, parameters, name
        )

    mixture_distribution = property(lambda self: self._categories)
    components_distribution = property(lambda self: self._event)

    def _batch_shape(self):
        return self._event.batch_shape[:-1]

    def _batch_shape_tensor(self):
        return self._event.batch_shape_tensor()[:-1]

    def _of_components(self, method, *args):
        return getattr(self._event, method)(*args)

    def _log_probs(self, x):
        return self._event.log_prob(tf.expand_dims(x, -1 - self.event_shape.ndims))
