"""Metrics of `tf.contrib.metrics` that TF-Slim lacks."""

import tensorflow as tf

streaming_sparse_precision_at_k = tf.compat.v1.metrics.precision_at_k
streaming_sparse_average_precision_at_top_k = tf.compat.v1.metrics.average_precision_at_k
