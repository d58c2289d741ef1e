"""`tf.contrib.eager`: its names, as today's equivalents."""

import tensorflow as tf

_v1 = tf.compat.v1

ASYNC, SYNC = "async", "sync"
defun = tf.function
in_eager_mode = tf.executing_eagerly
Checkpointable = tf.__internal__.tracking.AutoTrackable
TensorSpec = tf.TensorSpec
Variable = tf.Variable


def num_gpus() -> int:
    """The number of GPUs."""
    return len(tf.config.list_physical_devices("GPU"))


def list_devices():
    """The names of the logical devices."""
    return [device.name for device in tf.config.list_logical_devices()]


def Iterator(dataset):  # noqa: N802
    """An iterator over a dataset."""
    return iter(dataset)


def get_optimizer_variables(optimizer):
    """The optimizer's own variables."""
    return optimizer.variables()


def run(main=None, argv=None):
    """Turns eager execution on and runs the program's main function."""
    _v1.enable_eager_execution()
    _v1.app.run(main, argv)


def _variables_and_gradients(function, arguments, keywords):
    with tf.GradientTape() as tape:
        value = function(*arguments, **keywords)
    variables = tape.watched_variables()
    return value, list(zip(tape.gradient(value, variables), variables))


def implicit_gradients(f):
    """A function that returns (gradient, variable) pairs for the variables that `f` used."""
    return lambda *args, **kwargs: _variables_and_gradients(f, args, kwargs)[1]


def implicit_value_and_gradients(f):
    """A function that returns (the value of `f`, (gradient, variable) pairs)."""
    return lambda *args, **kwargs: _variables_and_gradients(f, args, kwargs)


def value_and_gradients_function(f, params=None):
    """A function that returns (value of `f`, its gradients for all arguments, or for those in `params`)."""

    def call(*args):
        args = [tf.convert_to_tensor(arg) for arg in args]
        chosen = args if params is None else [args[i] for i in params]
        with tf.GradientTape() as tape:
            for arg in chosen:
                tape.watch(arg)
            value = f(*args)
        return value, tape.gradient(value, chosen)

    return call


def gradients_function(f, params=None):
    """A function that returns the gradients of `f` for its arguments."""
    both = value_and_gradients_function(f, params)
    return lambda *args: both(*args)[1]
