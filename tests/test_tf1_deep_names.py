"""Names below `tensorflow.python` and `tensorflow.contrib` that programs import, run by `graph_resnet.tf1`."""

import pytest

from tests.test_tf1_run import run, write

pytestmark = pytest.mark.slow  # each imports TensorFlow

DEEP = """
import tensorflow as tf
from tensorflow.contrib.rnn.python.ops.rnn_cell import array_ops, math_ops, nest
from tensorflow.contrib.seq2seq.python.ops.attention_wrapper import (
    AttentionMechanism, _BaseMonotonicAttentionMechanism, _monotonic_probability_fn, ops)
from tensorflow.python.framework import tensor_shape
from tensorflow.python.ops import gen_nn_ops
from tensorflow.python.ops.rnn_cell_impl import _LayerRNNCell
from tensorflow.python.ops.variables import RefVariable

print(tensor_shape.scalar(), tensor_shape.vector(3), tensor_shape.matrix(2, 3))
print(issubclass(tf.nn.rnn_cell.GRUCell, _LayerRNNCell), isinstance(tf.get_variable('v', [1]), RefVariable))
print(issubclass(tf.contrib.seq2seq.LuongMonotonicAttention, _BaseMonotonicAttentionMechanism),
      issubclass(_BaseMonotonicAttentionMechanism, AttentionMechanism))
total = math_ops.reduce_sum(array_ops.stack(nest.flatten([[1, 2], 3])))
first = _monotonic_probability_fn(ops.convert_to_tensor([[9., 9.]]), tf.constant([[1., 0.]]), 0.0, 'hard')
images, pooled = tf.constant([[[[1.]], [[3.]]]]), tf.constant([[[[3.]]]])
gradient = gen_nn_ops._max_pool_grad(images, pooled, pooled, [1, 2, 1, 1], [1, 2, 1, 1], 'VALID')
with tf.Session() as sess:
    print(*[x.ravel().tolist() for x in sess.run([total, first, gradient])])
try:
    from tensorflow.contrib.rnn.python.ops.rnn_cell import no_such_module
except ImportError as error:
    print(str(error)[:39])
"""


def test_what_programs_import_from_deep_modules(tmp_path):
    write(tmp_path, "a.py", DEEP)
    result = run(tmp_path, "a.py")
    assert result.stdout.splitlines() == [
        "() (3,) (2, 3)",
        "True True",
        "True True",
        "[6] [1.0, 0.0] [0.0, 3.0]",
        "cannot import name 'no_such_module' fro",
    ], result.stderr


DEEP_KERAS = """
import numpy as np
import tensorflow as tf
from tensorflow.python.keras.layers import Conv2D, Dense, Embedding, Flatten, LSTM
from tensorflow.python.keras.models import Sequential
from tensorflow.python.keras.preprocessing.image import ImageDataGenerator
from tensorflow.keras.preprocessing.sequence import pad_sequences, TimeseriesGenerator
from tensorflow.keras.preprocessing.text import Tokenizer

print(Dense is tf.keras.layers.Dense, LSTM is tf.keras.layers.LSTM)
tokenizer = Tokenizer(num_words=20)
tokenizer.fit_on_texts(['a b c', 'b c d', 'c d e'])
texts = pad_sequences(tokenizer.texts_to_sequences(['a b', 'c d e']), maxlen=4)
model = Sequential([Embedding(20, 4), LSTM(3), Dense(1, activation='sigmoid')])
model.compile('adam', 'binary_crossentropy')
print(len(model.fit(texts, np.array([0, 1]), epochs=2, verbose=0).history['loss']))
images, labels = np.random.rand(16, 8, 8, 3) * 255, np.eye(2)[np.arange(16) % 2]
model = Sequential([Conv2D(4, 3, input_shape=(8, 8, 3)), Flatten(), Dense(2, activation='softmax')])
model.compile('sgd', 'categorical_crossentropy')
flow = ImageDataGenerator(horizontal_flip=True, rescale=1 / 255.).flow(images, labels, 4)
print(len(model.fit_generator(flow, epochs=2, verbose=0).history['loss']), model.predict_generator(flow).shape)
series = TimeseriesGenerator(np.arange(20.).reshape(20, 1), np.arange(20.), length=3, batch_size=4)
model = Sequential([LSTM(3, input_shape=(3, 1)), Dense(1)])
model.compile('sgd', 'mse')
print(len(model.fit(series, epochs=1, verbose=0).history['loss']))
"""


def test_keras_from_its_deep_path_and_its_generators(tmp_path):
    write(tmp_path, "a.py", DEEP_KERAS)
    result = run(tmp_path, "a.py")
    assert result.stdout.splitlines() == ["True True", "2", "2 (16, 2)", "1"], result.stderr


TFPROF = """
import tensorflow as tf

analyzer = tf.contrib.tfprof.model_analyzer
x = tf.placeholder(tf.float32, [2, 3])
y = tf.layers.dense(x, 4)
options = analyzer.TRAINABLE_VARS_PARAMS_STAT_OPTIONS
stats = analyzer.print_model_analysis(tf.get_default_graph(), tfprof_options=options)
print(stats.total_parameters)
stats = analyzer.print_model_analysis(tf.get_default_graph(), tfprof_options=analyzer.FLOAT_OPS_OPTIONS)
print(stats.total_float_ops >= 2 * 2 * 3 * 4)
"""


def test_the_profile_of_a_model(tmp_path):
    """As the residual net of tensorflow/models counts its parameters: 3 * 4 weights and 4 biases."""
    write(tmp_path, "a.py", TFPROF)
    lines = (result := run(tmp_path, "a.py")).stdout.splitlines()
    assert "16" in lines, result.stderr
    assert lines[-1] == "True"
