"""Muon: momentum with orthogonalized matrices, for the filters of convolutions.

K. Jordan et al.: Muon, an optimizer for hidden layers in neural networks, 2024 (kellerjordan.github.io/posts/muon), as
its author uses it for CIFAR-10. The momentum of a filter bank, a matrix of outputs by inputs, is replaced by
approximately the nearest orthogonal matrix, so that all directions count equally, including those in which gradients
are rare. The filters keep a norm of sqrt(outputs), because with batch norm after them their norm does not matter.
Weight decay therefore has no effect and is removed from the gradient. Biases, beta and the last layer use Nesterov
momentum.
"""

import tensorflow.compat.v1 as tf

# Quintic of Jordan's Newton-Schulz iteration, a * x + b * x ** 3 + c * x ** 5: it moves every singular value in (0, 1]
# close to 1 (0.7 to 1.2) in a few rounds.
A, B, C = 3.4445, -4.7750, 2.0315
ROUNDS = 3
MOMENTUM = 0.6  # of the filters
RATE = 0.16  # of the filters, as a fraction of the learning rate


class Muon(tf.train.MomentumOptimizer):
    """Muon for variables [height, width, in, out], Nesterov momentum for all others.

    Args:
      learning_rate: float or scalar tensor; filters use `RATE` times this.
      momentum: float, of the other variables; filters use `MOMENTUM`.
    """

    def __init__(self, learning_rate, momentum):
        super().__init__(learning_rate, momentum, use_nesterov=True, name="Muon")

    def _resource_apply_dense(self, grad, var):
        if var.shape.rank != 4:
            return super()._resource_apply_dense(grad, var)
        slot = self.get_slot(var, "momentum")
        along = tf.reduce_sum(grad * var) / tf.reduce_sum(tf.square(var))
        grad -= along * var  # batch norm's gradient has no such component; weight decay has no other
        velocity = slot.assign(MOMENTUM * slot + grad, read_value=True)
        direction = orthogonal(grad + MOMENTUM * velocity)
        length = tf.sqrt(tf.cast(var.shape[3], tf.float32)) / tf.norm(var)
        rate = tf.cast(self._learning_rate_tensor, tf.float32) * RATE
        return var.assign(length * var - rate * direction, read_value=False)


def orthogonal(filters):
    """Approximately the nearest orthogonal matrix of a filter bank, as a matrix [out, height * width * in].

    Args:
      filters: float32 [height, width, in, out].

    Returns:
      float32 of the same shape; the matrix's singular values are close to 1.
    """
    height, width, inputs, outputs = filters.shape.as_list()
    x = tf.reshape(tf.transpose(filters, [3, 0, 1, 2]), [outputs, -1])
    x /= tf.norm(x) + 1e-7
    for _ in range(ROUNDS):
        square = tf.matmul(x, x, transpose_b=True)  # [out, out]
        x = A * x + tf.matmul(B * square + C * tf.matmul(square, square), x)
    return tf.transpose(tf.reshape(x, [outputs, height, width, inputs]), [1, 2, 3, 0])
