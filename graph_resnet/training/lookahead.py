"""Lookahead: every few steps the weights are set to their moving average, and training goes on from there.

M. Zhang, J. Lucas, G. Hinton, J. Ba: Lookahead optimizer: k steps forward, 1 step back, arXiv:1907.08610, 2019. The
weight of the average is from K. Jordan (94% on CIFAR-10 in 3.29 seconds on a single GPU, arXiv:2404.00498, 2024): it
grows with the third power of the run's progress, so early weights move freely and late ones are steady. After such a
step, and after the last step, the weights are the average, so the evaluated and exported net is the trained one. The
averages are variables and saved in the checkpoint.
"""

import tensorflow.compat.v1 as tf

SHARE = 0.95  # weight of the average at the end of the run, to the power of the steps between two returns
SCOPE = "lookahead"


def after(train_op, step, every, total_steps):
    """An op that runs `train_op` and, every few steps and at the last one, sets the weights to the averages.

    Args:
      train_op: op that makes one update and increments `step`.
      step: the global step, an int variable.
      every: int, steps between two returns.
      total_steps: int, length of the run.

    Returns:
      An op. Variables `lookahead/<variable>` hold the averages of all model variables that training changes, including
      batch norm's moving averages.
    """
    trained = {v.ref() for v in tf.trainable_variables()}
    moving = [v for v in tf.model_variables() if v.ref() in trained or "/moving_" in v.op.name]
    with tf.variable_scope(SCOPE):
        averages = [
            tf.get_variable(v.op.name, v.shape, initializer=tf.zeros_initializer(), trainable=False) for v in moving
        ]
    with tf.name_scope("training/lookahead/"), tf.control_dependencies([train_op]):
        done = step.read_value()  # steps so far, including this one

        def back():
            progress = tf.cast(done, tf.float32) / total_steps
            # There is no average yet at the first return.
            share = tf.where(done <= every, 0.0, SHARE**every * progress**3)
            pairs = [(v.read_value(), average.read_value()) for v, average in zip(moving, averages)]
            means = [average + (1 - share) * (now - average) for now, average in pairs]
            with tf.control_dependencies(means):
                assignments = [tf.assign(v, mean) for v, mean in [*zip(moving, means), *zip(averages, means)]]
            with tf.control_dependencies(assignments):
                return tf.constant(True)

        due = tf.logical_or(tf.equal(done % every, 0), tf.equal(done, total_steps))
        return tf.cond(due, back, lambda: tf.constant(False)).op
