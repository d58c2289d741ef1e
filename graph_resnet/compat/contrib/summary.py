"""`tf.contrib.summary`, and functions of `tf.contrib.deprecated` from before TensorFlow 1.0."""

import types

import tensorflow as tf
from tensorflow.python.ops import gen_logging_ops as _ops
from tensorflow.python.ops import summary_ops_v2 as _summary

_v1 = tf.compat.v1

merge_summary = _v1.summary.merge
merge_all_summaries = _v1.summary.merge_all


def scalar_summary(tags, values, collections=None, name=None):
    """Summaries of numbers under `tags`, whatever scope this is; both may be tensors, of one shape."""
    return _collected(_ops.scalar_summary(tags, values, name=name or "ScalarSummary"), collections)


def histogram_summary(tag, values, collections=None, name=None):
    """Summary of a histogram under `tag`."""
    return _collected(_ops.histogram_summary(tag, values, name=name or "HistogramSummary"), collections)


def image_summary(tag, tensor, max_images=3, collections=None, name=None):
    """Summary of images under `tag`/image/0, `tag`/image/1, ..."""
    return _collected(_ops.image_summary(tag, tensor, max_images, name=name or "ImageSummary"), collections)


def audio_summary(tag, tensor, sample_rate, max_outputs=3, collections=None, name=None):
    """Summary of sounds under `tag`/audio/0, `tag`/audio/1, ..."""
    rate = tf.cast(sample_rate, tf.float32)
    return _collected(_ops.audio_summary_v2(tag, tensor, rate, max_outputs, name=name or "AudioSummary"), collections)


def _collected(summary, collections):
    for key in (_v1.GraphKeys.SUMMARIES,) if collections is None else collections:
        _v1.add_to_collection(key, summary)
    return summary


contrib_summary = types.ModuleType("tensorflow.contrib.summary")
contrib_summary.all_summary_ops = _summary.all_v2_summary_ops
contrib_summary.should_record_summaries = _summary._legacy_contrib_should_record_summaries
