"""Small TensorFlow 1 programs in the old style, run unmodified with `python -m graph_resnet.tf1`."""

import gzip
import re

import numpy as np
import pytest

from tests.test_tf1_run import run, write

pytestmark = pytest.mark.slow  # each imports TensorFlow, and most train

SLIM = """
import numpy as np
import tensorflow as tf
import tensorflow.contrib.slim as slim
from tensorflow.contrib.layers.python.layers import initializers, utils
from tensorflow.contrib.framework.python.ops import arg_scope
from tensorflow.contrib.slim.python.slim.nets import resnet_utils

assert arg_scope is slim.arg_scope is tf.contrib.framework.arg_scope
images = tf.placeholder(tf.float32, [None, 8, 8, 3])
training = tf.placeholder(tf.bool)
with slim.arg_scope([slim.conv2d], normalizer_fn=slim.batch_norm, weights_regularizer=slim.l2_regularizer(0.1)):
    with slim.arg_scope([slim.batch_norm], is_training=training, decay=0.5):
        net = slim.conv2d(images, 4, [3, 3], weights_initializer=initializers.xavier_initializer(), scope='conv1')
        net = resnet_utils.subsample(net, 2)
net = tf.reduce_mean(net, [1, 2], keep_dims=True)
logits = slim.fully_connected(slim.flatten(net), 2, activation_fn=None, scope='logits')
tf.losses.sparse_softmax_cross_entropy(tf.constant([0, 1]), logits)
loss = tf.losses.get_total_loss()
train = slim.learning.create_train_op(loss, tf.train.MomentumOptimizer(0.1, 0.9))
print([v.op.name for v in slim.get_model_variables()])
print(len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)), len(tf.losses.get_regularization_losses()))
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    feed = {images: np.random.RandomState(0).rand(2, 8, 8, 3), training: True}
    first = sess.run(train, feed)
    for _ in range(20):
        last = sess.run(train, feed)
    print(last < first, sess.run(tf.train.get_global_step()))
"""


def test_slim(tmp_path):
    write(tmp_path, "a.py", SLIM)
    result = run(tmp_path, "a.py")
    names = (
        "['conv1/weights', 'conv1/BatchNorm/beta', 'conv1/BatchNorm/moving_mean', 'conv1/BatchNorm/moving_variance', "
    )
    names += "'logits/weights', 'logits/biases']"
    assert result.stdout.splitlines() == [names, "2 1", "True 21"], result.stderr


LAYERS = """
import numpy as np
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 2])
training = tf.placeholder(tf.bool)
y = tf.layers.batch_normalization(x, momentum=0.9, epsilon=0.0, training=training, name='bn')
again = tf.layers.batch_normalization(x, epsilon=0.0, training=False, name='bn', reuse=True)
update = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
pixels = tf.layers.batch_normalization(tf.ones([1, 4, 4, 3]), training=True, fused=True)
dense = tf.layers.dense(tf.layers.flatten(pixels), 5, activation=tf.nn.relu)
with tf.variable_scope('other'):
    tf.layers.conv2d(pixels, 2, 3)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    data = np.float32([[1, 10], [3, 30]])
    print(sess.run(y, {x: data, training: True}).tolist())
    print(len(update), sess.run('bn/moving_mean:0').tolist())
    sess.run(update, {x: data, training: True})
    print(sess.run(['bn/moving_mean:0', 'bn/moving_variance:0']))
    sess.run(update, {x: data, training: False})
    print(sess.run('bn/moving_mean:0').tolist())
    print(np.round(sess.run(again, {x: data}), 4).tolist())
print([v.op.name for v in tf.trainable_variables()])
"""


def test_tf_layers_with_batch_norm_by_hand(tmp_path):
    """Means 2 and 20, variances 1 and 100; with momentum 0.9 the averages get a tenth of them."""
    write(tmp_path, "a.py", LAYERS)
    lines = (result := run(tmp_path, "a.py")).stdout.splitlines()
    assert len(lines) == 6, result.stderr
    assert lines[0] == "[[-1.0, -1.0], [1.0, 1.0]]"
    assert lines[1] == "2 [0.0, 0.0]"
    numbers = [float(n) for n in re.findall(r"\d+\.\d*", lines[2])]
    assert numbers == pytest.approx([0.2, 2.0, 0.9 + 0.1, 0.9 + 10.0])
    assert [float(n) for n in re.findall(r"\d+\.\d*", lines[3])] == pytest.approx([0.2, 2.0])
    expected = [[(1 - 0.2) / 1.0, (10 - 2) / 10.9**0.5], [(3 - 0.2) / 1.0, (30 - 2) / 10.9**0.5]]
    np.testing.assert_allclose(np.array(eval(lines[4])), expected, rtol=1e-4)
    names = "bn/gamma bn/beta batch_normalization/gamma batch_normalization/beta dense/kernel dense/bias"
    assert lines[5] == str([*names.split(), "other/conv2d/kernel", "other/conv2d/bias"])


RNN = """
import numpy as np
import tensorflow as tf
from tensorflow.contrib import rnn
from tensorflow.contrib.rnn.python.ops.core_rnn_cell import _linear

x = tf.constant(np.random.RandomState(0).rand(3, 4, 2), tf.float32)
lengths = [4, 2, 1]
cells = rnn.MultiRNNCell([rnn.DropoutWrapper(rnn.BasicLSTMCell(5), output_keep_prob=1.0), tf.nn.rnn_cell.GRUCell(3)])
with tf.variable_scope('a', initializer=tf.constant_initializer(0.1)):
    outputs, state = tf.nn.dynamic_rnn(cells, x, sequence_length=lengths, dtype=tf.float32)
with tf.variable_scope('a', reuse=True):
    with tf.variable_scope('rnn'):
        static, _ = rnn.static_rnn(cells, tf.unstack(x, axis=1), sequence_length=lengths, dtype=tf.float32)
fw, bw = rnn.LayerNormBasicLSTMCell(4), rnn.LSTMBlockCell(4)
both, _ = tf.nn.bidirectional_dynamic_rnn(fw, bw, x, dtype=tf.float32)
out = _linear([state[1], both[0][:, -1]], 2, True)
train = tf.train.AdamOptimizer(0.01).minimize(tf.reduce_sum(tf.square(out)))
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    o, s = sess.run([outputs, tf.stack(static, 1)])
    print(o.shape, bool(np.allclose(o, s, atol=1e-6)), bool((o[1, 2:] == 0).all()), bool((o[0] != 0).all()))
    sess.run(train)
names = sorted(v.op.name for v in tf.global_variables() if v in tf.trainable_variables())
print([n for n in names if n.startswith('a/')][:2])
"""


def test_static_and_dynamic_rnn(tmp_path):
    write(tmp_path, "a.py", RNN)
    result = run(tmp_path, "a.py")
    assert result.stdout.splitlines() == [
        "(3, 4, 3) True True True",
        "['a/rnn/multi_rnn_cell/cell_0/basic_lstm_cell/bias', 'a/rnn/multi_rnn_cell/cell_0/basic_lstm_cell/kernel']",
    ], result.stderr


CONTRIB_LAYERS = """
import numpy as np
import tensorflow as tf
from tensorflow.contrib import layers
from tensorflow.contrib.framework import arg_scope, get_or_create_global_step

x = np.random.RandomState(0).rand(16, 8, 8, 1).astype(np.float32)
with arg_scope([layers.conv2d, layers.fully_connected], weights_regularizer=layers.l2_regularizer(0.5)):
    with tf.variable_scope('net'):
        net = layers.conv2d(x, 4, 3, normalizer_fn=layers.batch_norm, normalizer_params={'decay': 0.5})
        net = layers.layer_norm(layers.max_pool2d(net, 2))
        net = layers.flatten(net)
        weights = layers.variance_scaling_initializer(factor=2.0, mode='FAN_IN')
        net = layers.fully_connected(net, 1, activation_fn=None, weights_initializer=weights, scope='out')
ids = layers.embed_sequence(np.array([[1, 2, 0]]), vocab_size=5, embed_dim=3, scope='embedding')
regularization = tf.losses.get_regularization_losses()
loss = tf.reduce_mean(tf.square(net[:, 0] - x.mean((1, 2, 3)))) + 1e-3 * tf.add_n(regularization)
step = get_or_create_global_step()
decay = lambda rate, step: tf.train.exponential_decay(rate, step, 10, 0.9)
train = layers.optimize_loss(
    loss, step, 0.05, 'Adam', clip_gradients=1.0, learning_rate_decay_fn=decay, summaries=['loss', 'learning_rate'])
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    losses = [sess.run(train) for _ in range(30)]
    w, first = sess.run([tf.trainable_variables()[0], regularization[0]])
    print(losses[-1] < losses[0] / 2, sess.run(step), np.allclose(first, 0.5 * (w ** 2).sum() / 2), ids.shape)
print([v.op.name for v in layers.fully_connected and tf.trainable_variables('net')])
"""


def test_contrib_layers(tmp_path):
    write(tmp_path, "a.py", CONTRIB_LAYERS)
    result = run(tmp_path, "a.py")
    names = "Conv/weights Conv/BatchNorm/beta LayerNorm/beta LayerNorm/gamma out/weights out/biases"
    assert result.stdout.splitlines() == ["True 30 True (1, 3, 3)", str([f"net/{n}" for n in names.split()])], (
        result.stderr
    )


CUDNN = """
import numpy as np
import tensorflow as tf

sigmoid = lambda v: 1 / (1 + np.exp(-v))
x = np.random.RandomState(0).normal(size=(4, 2, 3)).astype(np.float32)  # [T, B, D]
lstm = tf.contrib.cudnn_rnn.CudnnLSTM(2, 5)
gru = tf.contrib.cudnn_rnn.CudnnGRU(1, 5, direction='bidirectional', dropout=0.5)
(y, (h, c)), (both, (last,)) = lstm(x), gru(x)
again, _ = lstm(x, initial_state=(h, c))
print([v.op.name for v in lstm.trainable_variables][:3:2], len(tf.global_variables()))
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    y_, h_, c_, both_, last_, k, b = sess.run([y, h, c, both, last, *lstm.trainable_variables[:2]])
    state = out = np.zeros((2, 5))
    for row in x:  # the first layer by hand: gates i, j, f, o, no bias of the forget gate
        i, j, f, o = np.split(np.concatenate([row, out], 1) @ k + b, 4, 1)
        state = sigmoid(f) * state + sigmoid(i) * np.tanh(j)
        out = sigmoid(o) * np.tanh(state)
    print(y_.shape, h_.shape, np.allclose(out, h_[0], atol=1e-5), np.allclose(state, c_[0], atol=1e-5))
    print(np.allclose(y_[-1], h_[1]), both_.shape, last_.shape, np.allclose(both_[-1, :, :5], last_[0], atol=1e-6))
    print(np.allclose(both_[0, :, 5:], last_[1], atol=1e-6), sess.run(again).shape)
"""


def test_cudnn_layers_run_on_the_cpu(tmp_path):
    write(tmp_path, "a.py", CUDNN)
    result = run(tmp_path, "a.py")
    name = "cudnn_lstm/rnn/multi_rnn_cell/cell_{}/cudnn_compatible_lstm_cell/kernel"
    assert result.stdout.splitlines() == [
        f"{[name.format(0), name.format(1)]} 16",
        "(4, 2, 5) (2, 2, 5) True True",
        "True (4, 2, 10) (2, 2, 5) True",
        "True (4, 2, 5)",
    ], result.stderr


QUEUES = """
import tensorflow as tf

flags = tf.app.flags
flags.DEFINE_integer('batch_size', 4, 'rows of a batch')
tf.flags.DEFINE_string('out', '', 'where the summaries go')
FLAGS = flags.FLAGS

def main(argv):
    assert FLAGS.__flags['batch_size'].value == FLAGS.batch_size
    queue = tf.train.string_input_producer(['a', 'bb', 'ccc', 'dddd'], num_epochs=2, shuffle=False)
    batch = tf.train.batch([queue.dequeue()], FLAGS.batch_size)
    step = tf.contrib.framework.get_or_create_global_step()
    tf.summary.scalar('step', step)
    writer = tf.summary.FileWriter(FLAGS.out)
    with tf.Session() as sess:
        sess.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        coord = tf.train.Coordinator()
        threads = tf.train.start_queue_runners(sess, coord)
        try:
            while not coord.should_stop():
                print(sess.run(batch).tolist())
                writer.add_summary(sess.run(tf.summary.merge_all()), 0)
        except tf.errors.OutOfRangeError:
            print('done', argv[1:])
        finally:
            coord.request_stop()
        coord.join(threads)
    writer.close()
    tf.logging.info('closed')

if __name__ == '__main__':
    tf.app.run()
"""


def test_flags_and_queue_runners(tmp_path):
    write(tmp_path, "a.py", QUEUES)
    result = run(tmp_path, "a.py", "--batch_size=2", f"--out={tmp_path}/log", "rest")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["[b'a', b'bb']", "[b'ccc', b'dddd']"] * 2 + ["done ['rest']"]
    assert list((tmp_path / "log").glob("events.out.*"))


SEQ2SEQ = """
import numpy as np
import tensorflow as tf
from tensorflow.python.layers.core import Dense
from tensorflow.contrib.seq2seq import AttentionWrapper, BasicDecoder, TrainingHelper, dynamic_decode

seq2seq = tf.contrib.seq2seq
vocabulary, batch = 7, 16
rows = np.random.RandomState(0).randint(2, vocabulary, (batch, 4))
embedding = tf.get_variable('embedding', [vocabulary, 12])
words = tf.nn.embedding_lookup(embedding, rows)
encoded, state = tf.nn.dynamic_rnn(tf.contrib.rnn.GRUCell(16), words, dtype=tf.float32)
output = Dense(vocabulary)
targets = np.concatenate([rows[:, ::-1], np.ones((batch, 1), int)], 1)  # reversed, then 1 ends it

def decoder(helper, reuse):
    with tf.variable_scope('decode', reuse=reuse):
        attention = seq2seq.BahdanauAttention(16, encoded, memory_sequence_length=[4] * batch)
        cell = AttentionWrapper(tf.contrib.rnn.GRUCell(16), attention, attention_layer_size=16)
        start = cell.zero_state(batch, tf.float32).clone(cell_state=state)
        return dynamic_decode(BasicDecoder(cell, helper, start, output), maximum_iterations=6)

inputs = np.concatenate([np.zeros((batch, 1), int), targets[:, :-1]], 1)
outputs, _, _ = decoder(TrainingHelper(tf.nn.embedding_lookup(embedding, inputs), [5] * batch), None)
loss = seq2seq.sequence_loss(outputs.rnn_output, tf.constant(targets), tf.ones([batch, 5]))
train = tf.train.AdamOptimizer(0.02).minimize(loss)
greedy, _, lengths = decoder(seq2seq.GreedyEmbeddingHelper(embedding, [0] * batch, 1), True)
with tf.Session() as sess:
    tf.set_random_seed(0)
    sess.run(tf.global_variables_initializer())
    for _ in range(250):
        sess.run(train)
    ids, n = sess.run([greedy.sample_id, lengths])
    print(round(float((ids[:, :5] == targets[:, : ids.shape[1]]).mean()), 1), n.tolist() == [5] * batch)
"""


def test_seq2seq_learns_to_reverse(tmp_path):
    write(tmp_path, "a.py", SEQ2SEQ)
    result = run(tmp_path, "a.py")
    assert result.stdout == "1.0 True\n", result.stderr


TUTORIAL = """
import tensorflow as tf
from utils import cifar10_input

train_images, train_labels, val_images, val_labels = cifar10_input.load_data(image_size=16, batch_size=4)

import tensorflow.contrib.slim as slim

def net(inputs, is_training, reuse=None):
    with tf.variable_scope('net', reuse=reuse):
        with slim.arg_scope([slim.batch_norm], is_training=is_training):
            with slim.arg_scope([slim.conv2d], activation_fn=tf.nn.relu, normalizer_fn=slim.batch_norm) as scope:
                x = slim.conv2d(inputs, 4, [3, 3], stride=2, scope='conv1')
                print('conv1: {}'.format(x.shape))
        x = tf.reduce_mean(x, [1, 2], name='pool', keep_dims=True)
        return slim.fully_connected(slim.flatten(x), 10, activation_fn=None, normalizer_fn=None, scope='logits')

is_training = tf.placeholder(tf.bool, name='is_training')
train_logits = net(train_images, is_training)
val_logits = net(val_images, is_training, reuse=True)
train_loss = tf.losses.sparse_softmax_cross_entropy(labels=train_labels, logits=train_logits)
val_loss = tf.losses.sparse_softmax_cross_entropy(labels=val_labels, logits=val_logits)

def accuracy(logits, labels):
    return tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, -1, output_type=tf.int32), labels), tf.float32))

train_acc, val_acc = accuracy(train_logits, train_labels), accuracy(val_logits, val_labels)
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.MomentumOptimizer(0.01, momentum=0.9).minimize(train_loss)

from utils.learning import train_with_bn
train_with_bn(train_op, train_loss, train_acc, val_loss, val_acc, 3, is_training)
"""


def cifar(directory, rows=12):
    """A miniature CIFAR-10: the six files of the binary layout with `rows` records each."""
    random = np.random.RandomState(0)
    (directory / "cifar-10-batches-bin").mkdir()
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        records = random.randint(0, 256, (rows, 3073)).astype(np.uint8)
        records[:, 0] %= 10
        (directory / "cifar-10-batches-bin" / f"{name}.bin").write_bytes(records.tobytes())


def test_a_program_in_the_tutorials_manner(tmp_path, monkeypatch):
    cifar(tmp_path)
    monkeypatch.setenv("CIFAR_DATA_DIR", str(tmp_path))
    (tmp_path / "work").mkdir()
    write(tmp_path, "work/a.py", TUTORIAL)
    result = run(tmp_path / "work", "a.py")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[:2] == ["conv1: (4, 8, 8, 4)", "conv1: (?, 8, 8, 4)"]
    assert any(re.match(r"\[train\]: step 0 loss = \d\.\d{4} acc = \d\.\d{4} \(\d+\.\d{4} / batch\)", x) for x in lines)
    assert any(re.match(r"\[val\]: step 0 loss = \d\.\d{4} acc = \d\.\d{4}", x) for x in lines)


MNIST = """
from tensorflow.examples.tutorials.mnist import input_data
mnist = input_data.read_data_sets('data', one_hot=True, validation_size=2)
images, labels = mnist.train.next_batch(5)
print(images.shape, images.dtype, labels.shape, images.max() <= 1, mnist.train.num_examples, mnist.test.images.shape)
for _ in range(2): mnist.train.next_batch(5)
print(mnist.train.epochs_completed)
input_data.read_data_sets('none')
"""


def idx(values):
    header = np.array([0x800 | values.ndim, *values.shape], ">u4").tobytes()
    return gzip.compress(header + values.astype(np.uint8).tobytes())


def test_mnist_is_read_from_a_directory(tmp_path):
    (tmp_path / "data").mkdir()
    for part, count in (("train", 9), ("t10k", 3)):
        (tmp_path / f"data/{part}-images-idx3-ubyte.gz").write_bytes(idx(np.full((count, 28, 28), 255)))
        (tmp_path / f"data/{part}-labels-idx1-ubyte.gz").write_bytes(idx(np.arange(count)))
    write(tmp_path, "a.py", MNIST)
    result = run(tmp_path, "a.py")
    assert result.stdout.splitlines() == ["(5, 784) float32 (5, 10) True 7 (3, 784)", "2"], result.stderr
    assert "nothing is downloaded" in result.stderr.splitlines()[-1]


KERAS = """
import numpy as np
import tensorflow as tf
from tensorflow.keras.layers import LSTM, BatchNormalization, Dense

model = tf.keras.Sequential([BatchNormalization(input_shape=(3,)), Dense(8, 'relu'), Dense(1)])
model.compile(tf.keras.optimizers.Adam(0.05), 'mse')
x = np.random.RandomState(0).rand(64, 3)
history = model.fit(x, x.sum(1), epochs=30, verbose=0)
print(history.history['loss'][-1] < history.history['loss'][0] / 5, model.count_params())
inputs = tf.placeholder(tf.float32, [None, 4, 3])
print(LSTM(5)(inputs).shape.as_list(), len(tf.global_variables()) > 0)
kinds = [tf.layers.Dense, tf.layers.BatchNormalization, tf.nn.rnn_cell.LSTMCell, tf.contrib.rnn.LSTMBlockFusedCell]
print(all(issubclass(kind, tf.keras.layers.Layer) for kind in kinds))
cells = [tf.contrib.rnn.LSTMCell, tf.contrib.rnn.NASCell, tf.contrib.seq2seq.AttentionWrapper]
print(all(issubclass(cell, tf.nn.rnn_cell.RNNCell) for cell in cells))
print(tf.keras.layers.RNN(tf.nn.rnn_cell.LSTMCell(6))(inputs).shape.as_list())
try:
    print(tf.keras.layers.Bidirectional.__module__)
except AttributeError as error:
    print(error)
"""


def test_one_keras_in_a_graph(tmp_path):
    write(tmp_path, "a.py", KERAS)
    result = run(tmp_path, "a.py")
    *lines, layer_of_tf_keras = result.stdout.splitlines() or [""]
    assert lines == ["True 53", "[None, 5] True", "True", "True", "[None, 6]"], result.stderr
    assert "tf_keras" in layer_of_tf_keras  # its module if it is installed, else that it has the layer


LATE = """
import tensorflow.compat.v1 as tf
from tensorflow.compat.v1.keras import backend
from tensorflow.compat.v1.keras.layers import Dense
import tensorflow
print(tf.estimator.ModeKeys.TRAIN, backend is tensorflow.keras.backend, Dense is tensorflow.keras.layers.Dense)
print(tensorflow.keras.__version__.split(".")[0], Dense(3)(tf.zeros([2, 4])).shape.as_list())
print("Sequential" in dir(tf.keras))
"""


def test_a_late_program_on_compat_v1_gets_the_same_keras(tmp_path):
    write(tmp_path, "a.py", LATE)
    result = run(tmp_path, "a.py")
    assert result.stdout.splitlines() == ["train True True", "2 [2, 3]", "True"], result.stderr


CONTRIB = """
import numpy as np
import tensorflow as tf

hparams = tf.contrib.training.HParams(rate=0.1, layers=[1, 2], name='x')
hparams.parse('rate=1,layers=[3,4,5]')
print(hparams.rate, hparams.layers, hparams.to_json(sort_keys=True))
scores = tf.constant(np.float32([[[1, 0], [0, 1], [1, 0]]]))
tags, best = tf.contrib.crf.crf_decode(scores, tf.zeros([2, 2]), [3])
likelihood, _ = tf.contrib.crf.crf_log_likelihood(scores, tf.constant([[0, 1, 0]]), [3], tf.zeros([2, 2]))
table = tf.contrib.lookup.index_table_from_tensor(tf.constant(['a', 'b']), default_value=9)
turned = tf.contrib.image.rotate(tf.constant([[1.0, 2.0], [3.0, 4.0]]), np.pi / 2)
with tf.Session() as sess:
    sess.run(tf.tables_initializer())
    print(sess.run([tags, best]), sess.run(likelihood))
    print(sess.run(table.lookup(tf.constant(['b', 'z']))).tolist(), sess.run(turned).tolist())
processor = tf.contrib.learn.preprocessing.VocabularyProcessor(4)
print([row.tolist() for row in processor.fit_transform(['a cat', 'the cat sat up well'])])
for name in ('contrib.tpu.TPUEstimator', 'estimator.Estimator', 'contrib.factorization.KMeans'):
    try:
        eval('tf.' + name)
    except AttributeError as error:
        print(error)
try:
    from tensorflow.contrib.tensor_forest.python.tensor_forest import ForestHParams
except ImportError as error:
    print(error)
try:
    from tensorflow.contrib.rnn.python.ops.rnn_cell import GridLSTMCell
except ImportError as error:
    print(error)
for name in ('nn.rnn', 'data.experimental.StatsAggregator', 'nn.nonsense', 'contrib.nonsense'):
    try:
        eval('tf.' + name)
    except AttributeError as error:
        print(error)
"""


def test_contrib_small_parts_and_what_is_gone(tmp_path):
    """The likelihood of tags with a score of 3, over all tags: exp(3) / (e + 1)^3."""
    write(tmp_path, "a.py", CONTRIB)
    lines = (result := run(tmp_path, "a.py", lacks=["tensorflow_estimator"])).stdout.splitlines()
    assert len(lines) == 13, result.stderr
    assert lines[0] == '1.0 [3, 4, 5] {"layers": [3, 4, 5], "name": "x", "rate": 1.0}'
    assert "[[0, 1, 0]]" in lines[1] and "3.]" in lines[1]
    assert float(re.search(r"\[(-[\d.]+)\]", lines[1])[1]) == pytest.approx(3 - 3 * np.log(np.e + 1), abs=1e-4)
    assert lines[2] == "[1, 9] [[2.0, 4.0], [1.0, 3.0]]"
    assert lines[3] == "[[1, 2, 0, 0], [3, 2, 4, 5]]"
    gone = ["contrib.tpu.", "estimator.", "contrib.factorization.", "contrib.tensor_forest.", "contrib.rnn.", "nn.rnn "]
    for line, name in zip(lines[4:], [*gone, "data.experimental.StatsAggregator "]):
        assert line.startswith(f"tf.{name}") and "is not available on today's TensorFlow: " in line
    assert lines[11:] == [f"module 'tensorflow.{name}' has no attribute 'nonsense'" for name in ("nn", "contrib")]


ASSUMED = """
import numpy as np
import tensorflow as tf
from tensorboard import summary as tensorboard_summary
from tensorflow.python import pywrap_tensorflow

x = tf.placeholder(tf.float32, [True, None])
noise = tf.get_variable('noise', [1, True, 2, np.bool_(True)])
print(x.shape.as_list(), noise.shape.as_list(), tf.train.Int64List(value=[True, np.bool_(False), 7, np.int64(8)]).value)
config = tf.ConfigProto(device_count={'GPU': False}, inter_op_parallelism_threads=True, allow_soft_placement=True)
print(tf.train.Int64List(value=np.array([True, False])).value, dict(config.device_count), config.allow_soft_placement)
print(tf.estimator.SessionRunHook is tf.train.SessionRunHook)
print(type(x) is tf.Tensor, isinstance(x, tf.Tensor), type(x) is tf.Variable, isinstance(noise, tf.Tensor))
print(tensorboard_summary.scalar_pb('tag', 2.0).value[0].tag)
writer = pywrap_tensorflow.EventsWriter(b'events')
writer.WriteEvent(tf.Event(step=3, summary=tf.Summary(value=[tf.Summary.Value(tag='a', simple_value=1.5)])))
writer.Close()
path, = tf.gfile.Glob('events*')
print([(event.step, value.simple_value) for event in tf.train.summary_iterator(path) for value in event.summary.value])
with tf.Session() as sess:
    sess.run(tf.py_function(lambda: print(isinstance(tf.constant(1), tf.Tensor)), [], []))
"""


def test_what_programs_assume_of_classes_and_protocol_buffers(tmp_path):
    write(tmp_path, "a.py", ASSUMED)
    lines = (result := run(tmp_path, "a.py")).stdout.splitlines()
    assert lines[:2] == ["[1, None] [1, 1, 2, 1] [1, 0, 7, 8]", "[1, 0] {'GPU': 0} True"], result.stderr
    assert lines[2:4] == ["True", "True True False False"], result.stderr
    assert lines[4:] == ["tag/scalar_summary", "[(3, 1.5)]", "True"], result.stderr


RARELY = """
import numpy as np
import tensorflow as tf
from tensorflow.contrib.learn.python.learn.datasets.mnist import read_data_sets
from tensorflow.contrib.framework.python.ops import audio_ops

seq2seq = tf.contrib.seq2seq
three = np.array(3)
print(tf.train.batch([tf.constant(1)], 8).shape, tf.placeholder(tf.float32, [three, True]).shape, tf.Dimension(three))
print(callable(read_data_sets), callable(audio_ops.decode_wav))


class Uniform(seq2seq.BahdanauAttention):
    def __call__(self, query, state):
        alignments = self._probability_fn(tf.zeros([2, 4]), state)
        return alignments, alignments


class Doubled(seq2seq.GreedyEmbeddingHelper):
    def next_inputs(self, time, outputs, state, sample_ids, name=None):
        return sample_ids < 0, 2 * self._embedding_fn(sample_ids), state


alignments = Uniform(3, tf.ones([2, 4, 5]), memory_sequence_length=[1, 4])(tf.ones([2, 3]), None)[0]
doubled = seq2seq.LuongAttention(5, tf.ones([2, 3, 5]), custom_key_value_fn=lambda k, v: (k * 0, v * 2)).values
inputs = Doubled(tf.eye(2), [0, 1], 1).next_inputs(0, None, None, tf.constant([1, 0]))[1]
scores = tf.placeholder(tf.float32, [None, None, 3])
tags, best = tf.contrib.crf.crf_decode(scores, tf.zeros([3, 3]), tf.constant([1, 1]))
plain = tf.contrib.training.bucket([tf.constant(1.)], tf.constant(0), 4, 2)[1]
cell = tf.contrib.rnn.CoupledInputForgetGateLSTMCell(1, True, tf.ones_initializer(), num_proj=2, proj_clip=1.0)
output, _ = cell(tf.ones([1, 1]), cell.zero_state(1, tf.float32))

weights = tf.Variable([[1., 2.], [3., -4.], [.5, .25]])
lars = tf.contrib.opt.LARSOptimizer(.1, weight_decay=.1, momentum=0., eeta=1.)
lars = lars.minimize(tf.reduce_sum(weights ** 2 * [[1.], [2.], [3.]]), var_list=[weights])
row, updates = tf.placeholder(tf.int32, []), []
for optimizer in tf.contrib.opt.NadamOptimizer, tf.contrib.opt.AdaMaxOptimizer:
    for resource in False, True:
        name, ones = 'table%d' % len(updates), tf.ones_initializer()
        table = tf.get_variable(name, [2, 1], initializer=ones, use_resource=resource)
        loss = tf.reduce_sum(tf.nn.embedding_lookup(table, [row]))
        updates.append((table, optimizer(.1).minimize(loss, var_list=[table])))

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    print(sess.run(alignments).tolist(), sess.run(doubled).max(), sess.run(inputs).tolist())
    print([a.tolist() for a in sess.run([tags, best], {scores: [[[1, 2, 1]], [[3, 1, 1]]]})], plain[0].shape)
    print(sess.run(output).tolist(), [v.op.name.split('/')[-1] for v in cell.weights])
    sess.run(lars)
    print(sess.run(weights)[0].round(5).tolist())
    for table, update in updates:
        first, second = (sess.run([update, table], {row: i}) and sess.run(table).ravel() for i in (0, 1))
        print(first[0] == second[0], first[1], second[1] < 1, first[0].round(4))
"""


def test_what_programs_seldom_use(tmp_path):
    """LARS by hand: 0.1 * |w| / (|g| + 0.1 |w|) * g; Nadam's first step 0.1 * (0.09 + 0.1) / 0.1, AdaMax's 0.1."""
    write(tmp_path, "a.py", RARELY)
    lines = (result := run(tmp_path, "a.py")).stdout.splitlines()
    assert lines[:2] == ["(8,) (3, 1) 3", "True True"], result.stderr
    assert lines[2] == f"{[[1.0, 0.0, 0.0, 0.0], [0.25] * 4]} 2.0 [[0.0, 2.0], [2.0, 0.0]]"
    assert lines[3] == "[[[1], [0]], [2.0, 3.0]] (4,)"
    output, names = lines[4].split("]] ")
    c = (1 - 1 / (1 + np.exp(-2))) * np.tanh(1)  # all weights are 1, the bias of the forget gate too
    assert eval(f"{output}]]") == [[pytest.approx(np.tanh(c) / (1 + np.exp(-1 - c)), rel=1e-5)] * 2]
    assert names == "['W_0', 'B', 'W_F_diag', 'W_O_diag', 'W_P_0']"
    w, scale = np.array([[1, 2], [3, -4], [0.5, 0.25]]), np.array([[1], [2], [3]])
    norms = np.linalg.norm(w), np.linalg.norm(2 * w * scale)
    after = w - 0.1 * norms[0] / (norms[1] + 0.1 * norms[0]) * 2 * w * scale
    assert eval(lines[5]) == pytest.approx(after[0], abs=1e-5)
    assert lines[6:] == ["True 1.0 True 0.81"] * 2 + ["True 1.0 True 0.9"] * 2


BUCKETS = """
import tensorflow as tf

number, length = tf.train.slice_input_producer([tf.range(40), [1] * 2 + [5] * 38], num_epochs=1, shuffle=False)
example = {'number': number, 'length': tf.constant(7)}
_, batch = tf.contrib.training.bucket_by_sequence_length(
    length, example, 2, [2], capacity=2, bucket_capacities=[50, 50], allow_smaller_final_batch=True)
seen = []
with tf.Session() as sess:
    sess.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
    coordinator = tf.train.Coordinator()
    threads = tf.train.start_queue_runners(sess, coordinator)
    try:
        while True:
            values = sess.run(batch)
            seen += values['number'].tolist()
    except tf.errors.OutOfRangeError:
        print(sorted(seen) == list(range(40)), set(values['length']))
    coordinator.request_stop()
    coordinator.join(threads)
"""


def test_buckets_give_every_example_once(tmp_path):
    """The first bucket is empty long before the other."""
    write(tmp_path, "a.py", BUCKETS)
    result = run(tmp_path, "a.py")
    assert result.stdout.splitlines() == ["True {np.int32(7)}"], result.stderr


COLOURS = """
import numpy as np
import tensorflow as tf
from tensorflow.contrib.image.python.ops import distort_image_ops

red = tf.constant([[[1.0, 0.0, 0.0]]])
grey = distort_image_ops.adjust_hsv_in_yiq(red, scale_saturation=0, scale_value=0.5)
turned = tf.contrib.image.adjust_hsv_in_yiq(red, np.pi)
integers = tf.contrib.image.adjust_hsv_in_yiq(tf.constant([[[51, 102, 153]]], tf.uint8), scale_value=0.5)
images = tf.random_uniform([2, 5, 4, 3])
same = tf.contrib.image.random_hsv_in_yiq(images)
other = tf.contrib.image.random_hsv_in_yiq(images, 0.5, 0.5, 1.5, 1.2, 1.2, seed=1)
with tf.Session() as sess:
    print([a.astype(float).round(3).ravel().tolist() for a in sess.run([grey, turned, integers])])
    before, after, changed = sess.run([images, same, other])
    luma = [x @ [0.299, 0.587, 0.114] for x in (before, changed)]
    print(np.allclose(before, after, atol=1e-5), np.allclose(1.2 * luma[0], luma[1], atol=1e-3), changed.shape)
    print(abs(1.2 * before - changed).max() > 0.01)
try:
    tf.contrib.image.random_hsv_in_yiq(images, lower_value=2)
except ValueError as error:
    print(error)
"""


def test_colours_in_yiq(tmp_path):
    """By hand: red's luma is 0.299, so half of it 0.1495; a turn by pi gives 2 * luma - red; factors keep the luma."""
    write(tmp_path, "a.py", COLOURS)
    lines = (result := run(tmp_path, "a.py")).stdout.splitlines()
    grey, turned, integers = eval(lines[0])
    assert grey == pytest.approx([0.1495] * 3, abs=1e-3), result.stderr
    assert turned == pytest.approx([2 * 0.299 - 1, 2 * 0.299, 2 * 0.299], abs=3e-3)
    assert integers == pytest.approx([25.5, 51, 76.5], abs=1)
    assert lines[1:3] == ["True True (2, 5, 4, 3)", "True"]
    assert lines[3] == "lower_value must be non-negative and <= upper_value, not 2 and 1."
