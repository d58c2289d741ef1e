"""`tf.contrib.summary`, and functions of `tf.contrib.deprecated` from before TensorFlow 1.0."""

import types

import tensorflow as tf
from tensorflow.python.ops import summary_ops_v2 as _summary

_v1 = tf.compat.v1

scalar_summary = _v1.summary.scalar
histogram_summary = _v1.summary.histogram
audio_summary = _v1.summary.audio
merge_summary = _v1.summary.merge
merge_all_summaries = _v1.summary.merge_all


def image_summary(tag, tensor, max_images=3, collections=None, name=None):
    """tf.summary.image with the argument names of TensorFlow 0.12."""
    return _v1.summary.image(tag, tensor, max_outputs=max_images, collections=collections)


contrib_summary = types.ModuleType("tensorflow.contrib.summary")
contrib_summary.all_summary_ops = _summary.all_v2_summary_ops
contrib_summary.should_record_summaries = _summary._legacy_contrib_should_record_summaries
