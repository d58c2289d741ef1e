"""Names of `tf.contrib` whose arguments differ from those of today's function of the same name."""

import pytest

from tests.test_tf1_run import run, write

pytestmark = pytest.mark.slow  # it imports TensorFlow

ARGUMENTS = """
import tensorflow as tf
from tensorflow.contrib import deprecated, distribute, framework, training

scores, labels = framework.remove_squeezable_dimensions(tf.zeros([2, 3, 1]), labels=tf.ones([2, 3]))
print(scores.shape, labels.shape, scores.op.type == labels.op.type)
v = tf.get_variable('v', initializer=[1., 2.])
zero = framework.zero_initializer(ref=v)
with tf.name_scope('scope'):
    deprecated.scalar_summary(tags='a/b', values=3.0)
    deprecated.histogram_summary('h', v)
    deprecated.image_summary('i', tf.zeros([1, 2, 2, 1]), max_images=1, collections=['pictures'])
    deprecated.audio_summary(tag='s', tensor=tf.zeros([1, 8]), sample_rate=8000, max_outputs=1)
merged, pictures = deprecated.merge_all_summaries(), deprecated.merge_all_summaries('pictures')
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    tf.train.Saver().save(sess, './model.ckpt')
    for summary in sess.run([merged, pictures]):
        print([value.tag for value in tf.Summary.FromString(summary).value])
    print(sess.run([zero, v])[0])

print(framework.list_variables(checkpoint_dir='.'))
print(framework.load_variable(checkpoint_dir='.', name='v'))
print(framework.load_checkpoint(filepattern='./model.ckpt').has_tensor('v'))
framework.init_from_checkpoint(checkpoint_dir='.', assignment_map={'v': v})
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    print(sess.run(v))

choose = training.RandomStrategy(num_ps_tasks=3, seed=1)
print([choose(tf.no_op(name=name)) for name in 'abcdef'])
strategy = distribute.MirroredStrategy(num_gpus=0)
print(strategy.num_replicas_in_sync, isinstance(strategy, tf.distribute.Strategy))
print(training.HParams(rate=1.0).set_from_map({'rate': 2.0}).rate)
"""


def test_arguments_have_the_names_and_the_order_of_tensorflow_1(tmp_path):
    write(tmp_path, "a.py", ARGUMENTS)
    result = run(tmp_path, "a.py")
    assert result.stdout.splitlines() == [
        "(2, 3) (2, 3) False",
        "['a/b', 'h', 's/audio']",
        "['i/image']",
        "[0. 0.]",
        "[('v', [2])]",
        "[1. 2.]",
        "True",
        "[1. 2.]",
        "[1, 1, 2, 0, 0, 0]",  # md5 of "a_1" modulo 3, ...
        "1 True",
        "2.0",
    ], result.stderr
