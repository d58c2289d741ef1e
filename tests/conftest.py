"""What the tests share. TensorFlow is imported in fixtures only: some tests do without it."""

import os

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # also for the processes that tests start


@pytest.fixture
def graph():
    """A fresh default graph."""
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default() as graph:
        yield graph


@pytest.fixture(scope="session")
def few_records(tmp_path_factory):
    """`cifar_files.Records` of 20 training and 10 test pictures, drawn ones."""
    from utils import cifar_files, synthetic

    directory = tmp_path_factory.mktemp("few_records")
    synthetic.write(directory / f"synthetic-{synthetic.VERSION}", num_train=20, num_test=10)
    return cifar_files.find("synthetic", directory)
