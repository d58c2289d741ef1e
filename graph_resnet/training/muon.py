"""Muon: momentum whose matrices are orthogonalized, for the filters of convolutions.

K. Jordan et al.: Muon, an optimizer for hidden layers in neural networks, 2024 (kellerjordan.github.io/posts/muon), as
its author trains CIFAR-10 nets with it. The momentum of a filter bank, a matrix of outputs by inputs, is replaced by
nearly its nearest orthogonal matrix: all its directions then count alike, also those that gradients rarely point in.
The filters keep a norm of sqrt(outputs), as batch norm behind them makes any norm the same net. So a weight decay does
nothing here, and is taken out of the gradient. Biases, beta and the last layer have Nesterov momentum instead.
"""

import tensorflow.compat.v1 as tf

# The quintic of Jordan's Newton-Schulz iteration, a * x + b * x ** 3 + c * x ** 5: it takes every singular value in
# (0, 1] to around 1 (0.7 to 1.2) in a few rounds.
A, B, C = 3.4445, -4.7750, 2.0315
ROUNDS = 3
MOMENTUM = 0.6  # of the filters
RATE = 0.16  # of the filters, as a part of the learning rate of the others


class Muon(tf.train.MomentumOptimizer):
    """Muon for variables [height, width, in, out], Nesterov momentum for all others.

    Args:
      learning_rate: float or scalar tensor, of the others; filters have `RATE` of it.
      momentum: float, of the others; filters have `MOMENTUM`.
    """

    def __init__(self, learning_rate, momentum):
        super().__init__(learning_rate, momentum, use_nesterov=True, name="Muon")

    def _resource_apply_dense(self, grad, var):
        if var.shape.rank != 4:
            return super()._resource_apply_dense(grad, var)
        slot = self.get_slot(var, "momentum")
        along = tf.reduce_sum(grad * var) / tf.reduce_sum(tf.square(var))
        grad -= along * var  # a gradient behind batch norm has no such part, the weight decay is nothing else
        velocity = slot.assign(MOMENTUM * slot + grad, read_value=True)
        direction = orthogonal(grad + MOMENTUM * velocity)
        length = tf.sqrt(tf.cast(var.shape[3], tf.float32)) / tf.norm(var)
        rate = tf.cast(self._learning_rate_tensor, tf.float32) * RATE
        return var.assign(length * var - rate * direction, read_value=False)


def orthogonal(filters):
    """The nearly nearest orthogonal matrix of a filter bank, seen as [out, height * width * in].

    Args:
      filters: float32 [height, width, in, out].

    Returns:
      float32 of the same shape; the matrix's singular values are around 1.
    """
    height, width, inputs, outputs = filters.shape.as_list()
    x = tf.reshape(tf.transpose(filters, [3, 0, 1, 2]), [outputs, -1])
    x /= tf.norm(x) + 1e-7
    for _ in range(ROUNDS):
        square = tf.matmul(x, x, transpose_b=True)  # [out, out]
        x = A * x + tf.matmul(B * square + C * tf.matmul(square, square), x)
    return tf.transpose(tf.reshape(x, [outputs, height, width, inputs]), [1, 2, 3, 0])
