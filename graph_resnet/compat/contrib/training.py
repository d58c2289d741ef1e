"""Functions of `tf.contrib.training` that TF-Slim lacks: buckets, sampling, and small ones."""

import hashlib

import tensorflow as tf

_v1 = tf.compat.v1
LENGTH = "\0length"  # a key that no example has


def bucket(
    tensors,
    which_bucket,
    batch_size,
    num_buckets,
    num_threads=1,
    capacity=32,
    bucket_capacities=None,
    shapes=None,
    dynamic_pad=False,
    allow_smaller_final_batch=False,
    keep_input=True,
    shared_name=None,
    name=None,
):
    """Batches of examples from the same bucket, with queues.

    Args:
        tensors: a list or dict of tensors, one example.
        which_bucket: int32 scalar in [0, num_buckets).

    Returns:
        (the bucket's number, the batch in the structure of `tensors`).
    """
    names = sorted(tensors) if isinstance(tensors, dict) else None
    flat = [tf.convert_to_tensor(tensors[n]) for n in names] if names else [tf.convert_to_tensor(t) for t in tensors]
    sizes = batch_size if isinstance(batch_size, (list, tuple)) else [batch_size] * num_buckets
    capacities = bucket_capacities or [capacity] * num_buckets
    queue_class = _v1.PaddingFIFOQueue if dynamic_pad else _v1.FIFOQueue
    types, static = [t.dtype for t in flat], shapes or [t.shape for t in flat]
    with _v1.name_scope(name, "bucket", flat):
        queues = [queue_class(capacities[i], types, static, name=f"bucket_queue_{i}") for i in range(num_buckets)]
        batch_shapes = [tf.TensorShape([None]).concatenate(s) for s in static]
        top = _v1.PaddingFIFOQueue(capacity, [tf.int32, *types], [tf.TensorShape([]), *batch_shapes], name="top_queue")
        inside = [lambda i=i: queues[i].enqueue(flat) for i in range(num_buckets)]
        enqueue = _v1.case([(tf.equal(which_bucket, i), inside[i]) for i in range(num_buckets)], default=tf.no_op)
        if keep_input is not True:
            enqueue = _v1.cond(tf.convert_to_tensor(keep_input), lambda: enqueue, tf.no_op)
        _v1.train.add_queue_runner(
            _v1.train.QueueRunner(
                queues[0],
                [enqueue] * num_threads,
                queue_closed_exception_types=(tf.errors.OutOfRangeError, tf.errors.CancelledError),
                close_op=tf.group(*[queue.close() for queue in queues]),
                cancel_op=tf.group(*[queue.close(cancel_pending_enqueues=True) for queue in queues]),
            )
        )
        dequeue = "dequeue_up_to" if allow_smaller_final_batch else "dequeue_many"
        moves = []
        for i, queue in enumerate(queues):
            batch = getattr(queue, dequeue)(sizes[i])
            moves.append(top.enqueue([tf.constant(i), *(batch if isinstance(batch, list) else [batch])]))
        # One runner for all: it closes the queue of batches when the last bucket is empty.
        _v1.train.add_queue_runner(
            _v1.train.QueueRunner(
                queues[0],
                moves,
                queue_closed_exception_types=(tf.errors.OutOfRangeError, tf.errors.CancelledError),
                close_op=top.close(),
                cancel_op=top.close(cancel_pending_enqueues=True),
            )
        )
        which, *batch = top.dequeue()
        size = sizes[0] if len(set(sizes)) == 1 and not allow_smaller_final_batch else None
        for tensor, shape in zip(batch, static):
            tensor.set_shape(tf.TensorShape([size]).concatenate(shape))
    return which, dict(zip(names, batch)) if names else batch


def bucket_by_sequence_length(input_length, tensors, batch_size, bucket_boundaries, *args, **kwargs):
    """`bucket` by length: example i goes where bucket_boundaries[i - 1] <= input_length < bucket_boundaries[i].

    Returns:
        (the lengths of the batch [B], the batch in the structure of `tensors`).
    """
    boundaries = list(bucket_boundaries)
    if not boundaries or boundaries != sorted(boundaries) or len(set(boundaries)) != len(boundaries):
        raise ValueError(f"bucket_boundaries must be a non-empty, growing list, but is {bucket_boundaries}")
    length = tf.convert_to_tensor(input_length)
    which = tf.reduce_sum(tf.cast(length >= tf.constant(boundaries, length.dtype), tf.int32))
    kwargs["num_buckets"] = len(boundaries) + 1
    with_length = {LENGTH: length, **tensors} if isinstance(tensors, dict) else [length, *tensors]
    _, batch = bucket(with_length, which, batch_size, *args, **kwargs)
    if isinstance(tensors, dict):
        return batch.pop(LENGTH), batch
    return batch[0], batch[1:]


def rejection_sample(tensors, accept_prob_fn, batch_size, queue_threads=1, prebatch_capacity=16, name=None, **unused):
    """Batches of examples, each accepted with probability `accept_prob_fn(tensors)`."""
    chance = accept_prob_fn(tensors)
    accept = tf.random.uniform([]) < chance
    return _v1.train.maybe_batch(tensors, accept, batch_size, num_threads=queue_threads, name=name)


def stratified_sample(tensors, labels, target_probs, batch_size, init_probs=None, enqueue_many=False, **kwargs):
    """Batches in which the labels have the frequencies `target_probs`, by rejection.

    Args:
        init_probs: the label frequencies of the data; by default estimated from the examples so far.

    Returns:
        (a list of tensors, the labels).
    """
    if enqueue_many:
        raise NotImplementedError("stratified_sample: enqueue_many is not supported; pass single examples.")
    target = tf.convert_to_tensor(target_probs, tf.float32)
    classes = _v1.dimension_value(target.shape[0])
    if init_probs is None:
        seen = _v1.get_variable(
            "stratified_sample/seen", initializer=tf.ones([classes]), trainable=False, collections=["local_variables"]
        )
        with tf.control_dependencies([_v1.assign_add(seen, tf.one_hot(labels, classes))]):
            init_probs = seen / tf.reduce_sum(seen)
    ratio = target / tf.maximum(tf.convert_to_tensor(init_probs, tf.float32), 1e-12)
    accept = (ratio / tf.reduce_max(ratio))[labels]
    batch = rejection_sample([*tensors, labels], lambda _: accept, batch_size)
    return batch[:-1], batch[-1]


class RandomStrategy:
    """Chooses a task by a hash of the op's name (for a device function of parameter servers), as 1.15 does."""

    def __init__(self, num_ps_tasks, seed=0):
        self._num_tasks, self._seed = num_ps_tasks, seed

    def __call__(self, op):
        return int(hashlib.md5(f"{op.name}_{self._seed}".encode()).hexdigest(), 16) % self._num_tasks


class GreedyLoadBalancingStrategy:
    """Chooses the task with the least load so far."""

    def __init__(self, num_tasks, load_fn):
        self._loads, self._load_fn = [0.0] * num_tasks, load_fn

    def __call__(self, op):
        task = self._loads.index(min(self._loads))
        self._loads[task] += self._load_fn(op)
        return task


def byte_size_load_fn(op):
    """The bytes of a variable operation's value."""
    if len(op.outputs) != 1:
        raise ValueError(f"Op {op} must have a single output")
    return op.outputs[0].shape.num_elements() * op.outputs[0].dtype.size


def get_or_create_eval_step():
    """The counter of evaluation steps, which tf.train's evaluation uses."""
    from tensorflow.python.training import evaluation

    return evaluation._get_or_create_eval_step()


def evaluate_once(checkpoint_path, master="", scaffold=None, eval_ops=None, feed_dict=None, final_ops=None, **kwargs):
    """Runs the evaluation operations on one checkpoint; returns the values of `final_ops`."""
    from tensorflow.python.training import evaluation

    return evaluation._evaluate_once(
        checkpoint_path,
        master,
        scaffold,
        eval_ops,
        feed_dict,
        final_ops,
        **{k: v for k, v in kwargs.items() if v is not None},
    )


def StopAfterNEvalsHook(*args, **kwargs):  # noqa: N802
    """The hook that stops after a number of evaluation steps."""
    from tensorflow.python.training import evaluation

    return evaluation._StopAfterNEvalsHook(*args, **kwargs)


class FeedingQueueRunner(tf.compat.v1.train.QueueRunner):
    """A queue runner that feeds its enqueue operations from the caller's functions."""

    def __init__(self, queue=None, enqueue_ops=None, close_op=None, cancel_op=None, feed_fns=None, **kwargs):
        super().__init__(queue, enqueue_ops, close_op, cancel_op, **kwargs)
        self._feeds = dict(zip(map(id, enqueue_ops or ()), feed_fns or ()))

    def _run(self, sess, enqueue_op, coord=None):
        feed = self._feeds.get(id(enqueue_op))
        try:
            while not (coord and coord.should_stop()):
                sess.run(enqueue_op, feed() if feed else None)
        except self._queue_closed_exception_types:
            sess.run(self._close_op)
        except Exception as error:
            if coord is None:
                raise
            coord.request_stop(error)
