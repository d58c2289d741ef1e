"""The batch normalization of `tf.keras.layers`, for the Keras that TensorFlow still contains."""

from tensorflow.python.keras import backend, constraints, initializers, regularizers
from tensorflow.python.keras.engine.base_layer import Layer

from .batch_normalization import Normalization


class BatchNormalization(Normalization, Layer):
    """Normalizes over every axis but `axis`; trains if the call or Keras's learning phase says so."""

    def __init__(
        self,
        axis=-1,
        momentum=0.99,
        epsilon=1e-3,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        moving_mean_initializer="zeros",
        moving_variance_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        fused=None,
        **kwargs,
    ):
        for argument in ("renorm", "virtual_batch_size", "adjustment"):
            if kwargs.pop(argument, None):
                raise NotImplementedError(f"BatchNormalization: {argument} is not supported; leave it out.")
        super().__init__(**kwargs)
        self.axis = list(axis) if isinstance(axis, (list, tuple)) else axis
        self.momentum, self.epsilon, self.fused, self.center, self.scale = momentum, epsilon, fused, center, scale
        self.beta_initializer, self.gamma_initializer = map(initializers.get, (beta_initializer, gamma_initializer))
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.beta_regularizer, self.gamma_regularizer = map(regularizers.get, (beta_regularizer, gamma_regularizer))
        self.beta_constraint, self.gamma_constraint = map(constraints.get, (beta_constraint, gamma_constraint))

    def call(self, inputs, training=None):
        return self.normalize(inputs, backend.learning_phase() if training is None else training)

    def compute_output_shape(self, input_shape):
        return input_shape
