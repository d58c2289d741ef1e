"""`tf.layers`, which TensorFlow hides when Keras 3 is installed. All but the batch norm are still inside it."""

from tensorflow.python.layers.layers import *  # noqa: F403
from tensorflow.python.layers.layers import Layer  # noqa: F401  (the star leaves none out today; `Layer` must be here)

from .batch_normalization import BatchNormalization, batch_normalization  # noqa: F401
