"""`tf.estimator`: the package tensorflow_estimator on a TensorFlow that has lost Estimator."""

import pytest

from tests.test_tf1_run import run, write

pytestmark = pytest.mark.slow  # each imports TensorFlow and trains

DATA = """
import numpy as np
import tensorflow as tf

x = np.random.RandomState(0).randn(200, 4).astype('float32')
y = (x[:, 0] > 0).astype('int32')
endless = tf.estimator.inputs.numpy_input_fn({'x': x}, y, batch_size=20, num_epochs=None, shuffle=True)
once = tf.estimator.inputs.numpy_input_fn({'x': x}, y, batch_size=20, num_epochs=1, shuffle=False)
"""

MODEL = (
    DATA
    + """
from tensorflow.python.estimator import estimator as deep
from tensorflow.python.estimator.model_fn import EstimatorSpec


def model_fn(features, labels, mode, params):
    net = tf.layers.dense(features['x'], 8, tf.nn.relu)
    net = tf.layers.batch_normalization(net, training=mode == tf.estimator.ModeKeys.TRAIN, momentum=0.9)
    logits = tf.layers.dense(net, 2)
    classes = {'class': tf.argmax(logits, 1)}
    if mode == tf.estimator.ModeKeys.PREDICT:
        output = tf.estimator.export.PredictOutput(classes)
        return EstimatorSpec(mode, predictions=classes, export_outputs={'serving_default': output})
    loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
    if mode == tf.estimator.ModeKeys.EVAL:
        right = tf.metrics.accuracy(labels, classes['class'])
        return EstimatorSpec(mode, loss=loss, eval_metric_ops={'right': right})
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        train_op = tf.train.AdamOptimizer(params['rate']).minimize(loss, tf.train.get_global_step())
    return EstimatorSpec(mode, loss=loss, train_op=train_op)


config = tf.estimator.RunConfig(save_checkpoints_steps=50, train_distribute=None)
estimator = tf.estimator.Estimator(model_fn, 'model', params={'rate': 0.05}, config=config)
print(deep.Estimator is tf.estimator.Estimator, EstimatorSpec is tf.estimator.EstimatorSpec)
estimator.train(endless, steps=100)
result = estimator.evaluate(once)
print(result['right'] > 0.9, result['global_step'])
print(np.mean([p['class'] for p in estimator.predict(once)] == y) > 0.9)
train, validation = tf.estimator.TrainSpec(endless, max_steps=150), tf.estimator.EvalSpec(once, throttle_secs=0)
print(tf.estimator.train_and_evaluate(estimator, train, validation)[0]['global_step'])
receiver = tf.estimator.export.build_raw_serving_input_receiver_fn({'x': tf.placeholder(tf.float32, [None, 4])})
exported = estimator.export_savedmodel('exported', receiver)
print(tf.contrib.predictor.from_saved_model(exported.decode())({'x': x[:3]})['class'].shape)

mirrored = tf.estimator.RunConfig(train_distribute=tf.contrib.distribute.MirroredStrategy(num_gpus=0))
estimator = tf.estimator.Estimator(model_fn, 'mirrored', params={'rate': 0.05}, config=mirrored)
estimator.train(lambda: tf.data.Dataset.from_tensor_slices(({'x': x}, y)).batch(20).repeat(), steps=10)
print(estimator.latest_checkpoint())


def tpu_model_fn(features, labels, mode, params):
    loss = tf.reduce_mean(tf.square(tf.layers.dense(features, 1)))
    train_op = tf.train.GradientDescentOptimizer(0.1).minimize(loss, tf.train.get_global_step())
    return tf.contrib.tpu.TPUEstimatorSpec(mode, loss=loss, train_op=train_op)


per_host = tf.contrib.tpu.InputPipelineConfig.PER_HOST_V2
tpu_config = tf.contrib.tpu.TPUConfig(iterations_per_loop=2, per_host_input_for_training=per_host)
config = tf.contrib.tpu.RunConfig(model_dir='tpu', tpu_config=tpu_config)
estimator = tf.contrib.tpu.TPUEstimator(tpu_model_fn, use_tpu=False, train_batch_size=4, config=config)
estimator.train(lambda params: tf.data.Dataset.from_tensors(tf.ones([params['batch_size'], 2])).repeat(), max_steps=4)
print(estimator.latest_checkpoint())
try:
    tf.estimator.tpu.experimental.EmbeddingConfigSpec(optimization_parameters=tf.tpu.experimental.AdamParameters())
except AttributeError as error:
    print(error)
"""
)


@pytest.mark.parametrize("tf_keras", ["0", "1"])
def test_an_estimator_trains_evaluates_predicts_and_exports(tmp_path, monkeypatch, tf_keras):
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", tf_keras)
    write(tmp_path, "a.py", MODEL)
    result = run(tmp_path, "a.py")
    *lines, parameters = result.stdout.splitlines() or [""]
    assert lines == [
        "True True", "True 100", "True", "150", "(3,)", "mirrored/model.ckpt-10", "tpu/model.ckpt-4",
    ], result.stderr  # fmt: skip
    assert "tf.tpu.experimental.AdamParameters is not available" in parameters
    assert "Use tf.keras instead" not in result.stderr


CANNED = (
    DATA
    + """
columns = [tf.feature_column.numeric_column('x', shape=[4])]
adam = tf.train.AdamOptimizer(0.05)
deep = tf.estimator.DNNClassifier([8], columns, n_classes=2, model_dir='deep', optimizer=adam)
print(deep.train(endless, steps=60).evaluate(once)['accuracy'] > 0.8)
wide = tf.estimator.LinearClassifier(columns, model_dir='wide').train(endless, steps=5)
print('linear/linear_model/bias_weights' in wide.get_variable_names())
"""
)


def test_ready_made_estimators_with_tf_keras(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")
    write(tmp_path, "a.py", CANNED)
    result = run(tmp_path, "a.py")
    assert result.stdout.splitlines() == ["True", "True"], result.stderr


CELLS = """
import tensorflow as tf
from tensorflow.python.ops.rnn_cell_impl import _LayerRNNCell
cells = [tf.nn.rnn_cell.GRUCell, tf.contrib.rnn.BasicLSTMCell]
print(tf.keras.__version__ != '2.6.0-tf', [issubclass(cell, _LayerRNNCell) for cell in cells])
print(tf.contrib.rnn.LayerRNNCell is _LayerRNNCell, tf.keras.layers.Bidirectional.__module__.split('.')[0])
"""


def test_cells_of_tf_keras(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")
    write(tmp_path, "a.py", CELLS)
    result = run(tmp_path, "a.py")
    assert result.stdout.splitlines() == ["True [True, True]", "True tf_keras"], result.stderr
