"""`tf.layers`, which TensorFlow hides when Keras 3 is installed. TensorFlow still contains all but batch norm."""

from tensorflow.python.keras.legacy_tf_layers import base as experimental  # noqa: F401
from tensorflow.python.layers.base import InputSpec  # noqa: F401
from tensorflow.python.layers.layers import *  # noqa: F403
from tensorflow.python.layers.layers import Layer  # noqa: F401  (the star includes it today, but it is required here)

from .batch_normalization import BatchNormalization, batch_normalization  # noqa: F401
