"""The batch normalization of `tf.layers` [1], on the base layer that TensorFlow still contains.

It creates the variables `gamma`, `beta`, `moving_mean` and `moving_variance`, in this order, in the layer's variable
scope; the updates of the moving averages go to the collection UPDATE_OPS. `renorm`, `virtual_batch_size` and
`adjustment` are not supported and raise an error.

[1] S. Ioffe, C. Szegedy: Batch Normalization, 2015.
"""

import tensorflow as tf
from tensorflow.python.framework.smart_cond import smart_cond
from tensorflow.python.layers.base import InputSpec, Layer

_NOT_SUPPORTED = ("renorm", "virtual_batch_size", "adjustment")


class Normalization:
    """Shared by the batch normalizations of `tf.layers` and `tf.keras`: the variables and the computation.

    Both set `axis`, `momentum`, `epsilon`, `fused`, `center`, `scale` and the initializers, regularizers and
    constraints of the variables.
    """

    def build(self, input_shape):
        shape = tf.TensorShape(input_shape)
        if shape.ndims is None:
            raise ValueError("tf.layers.batch_normalization: the rank of the input must be known.")
        axes = self.axis if isinstance(self.axis, list) else [self.axis]
        self._axes = [axis % shape.ndims for axis in axes]
        sizes = [tf.compat.v1.dimension_value(shape[axis]) for axis in self._axes]
        if None in sizes:
            raise ValueError(f"tf.layers.batch_normalization: axis {self.axis} of the input {shape} must be known.")
        can_be_fused = shape.ndims == 4 and self._axes in ([1], [3])
        if self.fused and not can_be_fused:
            raise ValueError(f"tf.layers.batch_normalization: fused=True needs rank 4 and axis 1 or 3, not {shape}.")
        self.fused = can_be_fused if self.fused is None else self.fused
        self.input_spec = InputSpec(ndim=shape.ndims, axes=dict(zip(self._axes, sizes)))
        # For one axis a vector of its size. For several, broadcast over the input, as TensorFlow 1 stored them.
        self._param_shape = (
            sizes
            if len(sizes) == 1
            else [sizes[self._axes.index(i)] if i in self._axes else 1 for i in range(shape.ndims)]
        )
        dtype = tf.float32 if self.dtype in ("float16", "bfloat16", None) else tf.as_dtype(self.dtype)
        self.gamma = self._parameter("gamma", dtype) if self.scale else None
        self.beta = self._parameter("beta", dtype) if self.center else None
        self.moving_mean, self.moving_variance = (
            self.add_weight(
                name,
                self._param_shape,
                dtype,
                initializer=initializer,
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.MEAN,
            )
            for name, initializer in (
                ("moving_mean", self.moving_mean_initializer),
                ("moving_variance", self.moving_variance_initializer),
            )
        )
        self.built = True

    def _parameter(self, name, dtype):
        return self.add_weight(
            name,
            self._param_shape,
            dtype,
            initializer=getattr(self, f"{name}_initializer"),
            regularizer=getattr(self, f"{name}_regularizer"),
            constraint=getattr(self, f"{name}_constraint"),
            trainable=True,
        )

    def normalize(self, inputs, training):
        """Returns the normalized inputs; in training it also adds the updates of the moving averages."""
        training = (
            tf.cast(training, tf.bool) if tf.is_tensor(training) or isinstance(training, tf.Variable) else training
        )
        if self.fused:
            outputs, mean, variance = self._fused(inputs, training)
        else:
            outputs, mean, variance = self._unfused(inputs, training)
        if training is not False and training is not None:
            self._update_moving_averages(mean, variance, training)
        outputs.set_shape(inputs.shape)
        return outputs

    def _fused(self, inputs, training):
        """Returns (outputs, batch mean, batch variance); the variance is unbiased, as in the kernel."""
        ones, zeros = tf.ones(self._param_shape), tf.zeros(self._param_shape)
        parameters = {
            "x": inputs,
            "scale": ones if self.gamma is None else self.gamma,
            "offset": zeros if self.beta is None else self.beta,
            "epsilon": self.epsilon,
            "data_format": "NCHW" if self._axes == [1] else "NHWC",
        }

        def train():
            return tf.compat.v1.nn.fused_batch_norm(**parameters, is_training=True)

        def infer():
            return tf.compat.v1.nn.fused_batch_norm(
                **parameters, mean=self.moving_mean, variance=self.moving_variance, is_training=False
            )

        return smart_cond(bool(training) if training is None else training, train, infer)

    def _unfused(self, inputs, training):
        rank = inputs.shape.ndims
        reduced = [axis for axis in range(rank) if axis not in self._axes]
        broadcast = [
            tf.compat.v1.dimension_value(inputs.shape[i]) if i in self._axes else 1 for i in range(rank)
        ]  # e.g. [1, 1, C]
        compute = tf.float32 if inputs.dtype in (tf.float16, tf.bfloat16) else inputs.dtype
        values = tf.cast(inputs, compute)

        def batch_moments():
            return tuple(tf.nn.moments(values, reduced, keepdims=len(self._axes) > 1))

        def moving_moments():
            return tf.convert_to_tensor(self.moving_mean), tf.convert_to_tensor(self.moving_variance)

        mean, variance = smart_cond(bool(training) if training is None else training, batch_moments, moving_moments)
        fit = (lambda v: v) if len(self._axes) > 1 or self._axes == [rank - 1] else (lambda v: tf.reshape(v, broadcast))
        outputs = tf.nn.batch_normalization(
            values,
            fit(mean),
            fit(variance),
            None if self.beta is None else fit(self.beta),
            None if self.gamma is None else fit(self.gamma),
            self.epsilon,
        )
        return tf.cast(outputs, inputs.dtype), mean, variance

    def _update_moving_averages(self, mean, variance, training):
        """Adds one update per average, only in training: moving -= (moving - batch) * (1 - momentum)."""
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            decay = tf.convert_to_tensor(1 - self.momentum, dtype=moving.dtype.base_dtype)
            decay = smart_cond(training, lambda d=decay: d, lambda d=decay: tf.zeros_like(d))
            self.add_update(
                tf.compat.v1.assign_sub(
                    moving, (moving - tf.cast(value, moving.dtype.base_dtype)) * decay, name="AssignMovingAvg"
                )
            )


class BatchNormalization(Normalization, Layer):
    """Normalizes over every axis but `axis`; same arguments as in TensorFlow 1.

    Raises:
        NotImplementedError: for `renorm`, `virtual_batch_size` and `adjustment`.
    """

    def __init__(
        self,
        axis=-1,
        momentum=0.99,
        epsilon=1e-3,
        center=True,
        scale=True,
        beta_initializer=tf.compat.v1.zeros_initializer(),  # noqa: B008
        gamma_initializer=tf.compat.v1.ones_initializer(),  # noqa: B008
        moving_mean_initializer=tf.compat.v1.zeros_initializer(),  # noqa: B008
        moving_variance_initializer=tf.compat.v1.ones_initializer(),  # noqa: B008
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        renorm=False,
        renorm_clipping=None,
        renorm_momentum=0.99,
        fused=None,
        trainable=True,
        virtual_batch_size=None,
        adjustment=None,
        name=None,
        **kwargs,
    ):
        super().__init__(trainable=trainable, name=name, **kwargs)
        for argument, value in zip(_NOT_SUPPORTED, (renorm, virtual_batch_size, adjustment)):
            if value:
                raise NotImplementedError(f"tf.layers.batch_normalization: {argument} is not supported; leave it out.")
        self.axis = list(axis) if isinstance(axis, (list, tuple)) else axis
        self.momentum, self.epsilon, self.fused = momentum, epsilon, fused
        self.center, self.scale = center, scale
        self.beta_initializer, self.gamma_initializer = beta_initializer, gamma_initializer
        self.moving_mean_initializer = moving_mean_initializer
        self.moving_variance_initializer = moving_variance_initializer
        self.beta_regularizer, self.gamma_regularizer = beta_regularizer, gamma_regularizer
        self.beta_constraint, self.gamma_constraint = beta_constraint, gamma_constraint

    def call(self, inputs, training=False):
        return self.normalize(inputs, training)


def batch_normalization(inputs, axis=-1, momentum=0.99, epsilon=1e-3, center=True, scale=True, *args, **kwargs):
    """`tf.layers.batch_normalization`, with the arguments of TensorFlow 1, by position or by name.

    Args:
        inputs: a tensor, [B, ..., C] or, with axis=1, [B, C, ...].

    Returns:
        A tensor like `inputs`.
    """
    names = """beta_initializer gamma_initializer moving_mean_initializer moving_variance_initializer beta_regularizer
    gamma_regularizer beta_constraint gamma_constraint training trainable name reuse renorm renorm_clipping
    renorm_momentum fused virtual_batch_size adjustment""".split()
    options = {**dict(zip(names, args)), **kwargs}
    training = options.pop("training", False)
    reuse = options.pop("reuse", None)
    layer = BatchNormalization(
        axis, momentum, epsilon, center, scale, **options, _reuse=reuse, _scope=options.get("name"), dtype=None
    )
    return layer(inputs, training=training)
