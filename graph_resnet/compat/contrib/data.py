"""`tf.contrib.data`: transformations for `dataset.apply` that are methods of tf.data.Dataset today."""

import tensorflow as tf

_v1 = tf.compat.v1
_experimental = _v1.data.experimental

AUTOTUNE = tf.data.AUTOTUNE
Counter = _experimental.Counter
CsvDataset = _experimental.CsvDataset
SqlDataset = _experimental.SqlDataset
RandomDataset = _experimental.RandomDataset
make_csv_dataset = _experimental.make_csv_dataset
sample_from_datasets = _experimental.sample_from_datasets
choose_from_datasets = _experimental.choose_from_datasets
make_batched_features_dataset = _experimental.make_batched_features_dataset
map_and_batch = _experimental.map_and_batch
shuffle_and_repeat = _experimental.shuffle_and_repeat
unbatch = _experimental.unbatch
group_by_window = _experimental.group_by_window


def _take_arguments_of_1_3(dataset_class):
    """Lets `Dataset.map` take the arguments it had in TensorFlow 1.3: `num_threads` and `output_buffer_size`."""
    original = dataset_class.map

    def map(self, map_func, *args, num_threads=None, output_buffer_size=None, **kwargs):
        if num_threads is not None:
            kwargs["num_parallel_calls"] = num_threads
        dataset = original(self, map_func, *args, **kwargs)
        return dataset if output_buffer_size is None else dataset.prefetch(output_buffer_size)

    dataset_class.map = map


def __getattr__(name):
    if name != "Dataset":
        raise AttributeError(name)
    _take_arguments_of_1_3(_v1.data.Dataset)
    globals()["Dataset"] = _v1.data.Dataset
    return _v1.data.Dataset


def batch_and_drop_remainder(batch_size):
    """dataset.batch(batch_size, drop_remainder=True)."""
    return lambda dataset: dataset.batch(batch_size, drop_remainder=True)


def padded_batch_and_drop_remainder(batch_size, padded_shapes, padding_values=None):
    """dataset.padded_batch(..., drop_remainder=True)."""
    return lambda dataset: dataset.padded_batch(batch_size, padded_shapes, padding_values, drop_remainder=True)


def parallel_interleave(
    map_func, cycle_length, block_length=1, sloppy=False, buffer_output_elements=None, prefetch_input_elements=None
):
    """Reads from `cycle_length` datasets in parallel."""
    return _experimental.parallel_interleave(
        map_func, cycle_length, block_length, sloppy, buffer_output_elements, prefetch_input_elements
    )


def sloppy_interleave(map_func, cycle_length, block_length=1):
    """`parallel_interleave` without a fixed order."""
    return parallel_interleave(map_func, cycle_length, block_length, sloppy=True)


def enumerate_dataset(start=0):
    """dataset.enumerate(start)."""
    return lambda dataset: dataset.enumerate(start)


def sliding_window_batch(window_size, stride=None, window_shift=None, window_stride=1):
    """Batches of overlapping windows."""
    shift = window_shift or stride or 1

    def transform(dataset):
        def batch(*window):
            window = window[0] if len(window) == 1 else window
            if isinstance(window, tuple):
                return tf.data.Dataset.zip(tuple(w.batch(window_size) for w in window))
            return window.batch(window_size)

        return dataset.window(window_size, shift, window_stride, drop_remainder=True).flat_map(batch)

    return transform


def assert_element_shape(expected_shapes):
    """Sets the static shapes of the elements, and checks them."""
    from tensorflow.python.util import nest

    def transform(dataset):
        def check(*element):
            element = element[0] if len(element) == 1 else element
            return nest.map_structure(lambda x, shape: tf.ensure_shape(x, shape), element, expected_shapes)

        return dataset.map(check)

    return transform


def reduce_dataset(dataset, reducer):
    """The dataset reduced by a `Reducer`, as a tensor."""
    state = dataset.reduce(reducer.init_func(tf.constant(0, tf.int64)), reducer.reduce_func)
    return reducer.finalize_func(state)


def read_batch_features(file_pattern, batch_size, features, reader=None, reader_args=None, **kwargs):
    """`make_batched_features_dataset` as tensors of the next batch."""
    reader = reader or _v1.data.TFRecordDataset
    kwargs.pop("capacity", None)
    kwargs["shuffle"] = kwargs.pop("randomize_input", True)
    dataset = make_batched_features_dataset(
        file_pattern, batch_size, features, reader=reader, reader_args=reader_args, **kwargs
    )
    return _v1.data.make_one_shot_iterator(dataset).get_next()


def obtain_next(string_list_tensor, counter):
    """`tf.contrib.input_pipeline.obtain_next`: increments the variable `counter` and returns that element."""
    update = _v1.assign(counter, tf.math.floormod(counter + 1, tf.size(string_list_tensor, out_type=counter.dtype)))
    return tf.gather(string_list_tensor, update)
