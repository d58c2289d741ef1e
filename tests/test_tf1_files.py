"""Files in the formats of TensorFlow 1, loaded and run in a process of `python -m graph_resnet.tf1`."""

import pytest

from tests.test_tf1_run import run, write

pytestmark = pytest.mark.slow  # each imports TensorFlow

WRITE = """
import numpy as np
import tensorflow as tf
import tensorflow.contrib.slim as slim

x = tf.placeholder(tf.float32, [None, 3], name='x')
with tf.variable_scope('parts', partitioner=tf.fixed_size_partitioner(2)):
    w = tf.get_variable('w', [4, 3], initializer=tf.random_normal_initializer(seed=1))
b = tf.Variable([1.0, 2.0, 3.0, 4.0], name='b')
net = tf.add(tf.matmul(x, tf.convert_to_tensor(w), transpose_b=True), b)
net = slim.batch_norm(net, is_training=False, scale=True, scope='bn')
y = tf.layers.dense(net, 2, name='dense')
cell = tf.contrib.rnn.BasicLSTMCell(2)
outputs, _ = tf.nn.dynamic_rnn(cell, tf.expand_dims(y, 1), dtype=tf.float32)
out = tf.identity(outputs[:, 0] + y, name='out')
tf.add_to_collection('out', out)
savers = {1: tf.train.Saver(write_version=tf.train.SaverDef.V1), 2: tf.train.Saver()}
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    sess.run([slim.get_unique_variable('bn/moving_mean').assign([1, 1, 1, 1]), b.assign_add([1, 1, 1, 1])])
    for version, saver in savers.items():
        saver.save(sess, './m%d' % version)
    tf.train.write_graph(sess.graph, '.', 'graph.pbtxt')
    np.save('expected.npy', sess.run(out, {x: np.eye(3)}))
print(sorted({op.type for op in sess.graph.get_operations() if 'Variable' in op.type or 'VarHandle' in op.type}))
print(len(w), w[0].shape if isinstance(w, list) else list(w)[0].shape)
"""

READ = """
import numpy as np
import tensorflow as tf
from google.protobuf import text_format

expected = np.load('expected.npy')
for version in (1, 2):
    with tf.Graph().as_default(), tf.Session() as sess:
        saver = tf.train.import_meta_graph('m%d.meta' % version, clear_devices=True)
        saver.restore(sess, './m%d' % version)
        result = sess.run(tf.get_collection('out')[0], {'x:0': np.eye(3)})
        print('meta', version, np.allclose(result, expected, atol=1e-6), len(tf.global_variables()))
    reader = tf.train.NewCheckpointReader('./m%d' % version)
    print(reader.get_tensor('b').tolist(), reader.get_variable_to_shape_map()['parts/w'])
with tf.Graph().as_default(), tf.Session() as sess:
    graph_def = text_format.Parse(open('graph.pbtxt').read(), tf.GraphDef())
    out, = tf.import_graph_def(graph_def, return_elements=['out:0'], name='')
    sess.run('save_1/restore_all', {'save_1/Const:0': './m2'})
    print('pbtxt', np.allclose(sess.run(out, {'x:0': np.eye(3)}), expected, atol=1e-6))
    frozen = tf.graph_util.convert_variables_to_constants(sess, graph_def, ['out'])
with tf.Graph().as_default(), tf.Session() as sess:
    out, = tf.import_graph_def(frozen, return_elements=['out:0'], name='frozen')
    print('frozen', np.allclose(sess.run(out, {"frozen/x:0": np.eye(3)}), expected, atol=1e-6))
    tf.get_variable('b', [4], initializer=tf.zeros_initializer())
    tf.train.init_from_checkpoint('./m1', {'b': 'b'})
    sess.run(tf.global_variables_initializer())
    print(sess.run('b:0').tolist())
"""


def test_graphs_and_checkpoints_of_both_formats_are_loaded_and_run(tmp_path):
    """Reference variables, partitioned ones, slim's, tf.layers' and a cell's; the addition to b makes [2, 3, 4, 5]."""
    write(tmp_path, "write.py", WRITE)
    write(tmp_path, "read.py", READ)
    result = run(tmp_path, "write.py")
    assert result.stdout.splitlines()[:1] == ["['VariableV2']"], result.stderr
    assert (tmp_path / "m1").is_file() and not (tmp_path / "m1.index").exists()  # the format of one file
    assert (tmp_path / "m2.index").is_file() and not (tmp_path / "m2").exists()
    result = run(tmp_path, "read.py")
    b = "[2.0, 3.0, 4.0, 5.0]"
    assert result.stdout.splitlines() == [
        *("meta 1 True 11", f"{b} [4, 3]", "meta 2 True 11", f"{b} [4, 3]", "pbtxt True", "frozen True", b)
    ], result.stderr
