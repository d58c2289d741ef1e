"""The global step of any v1 graph: the variable that counts its updates."""

import tensorflow.compat.v1 as tf

from graph_resnet.errors import UserError


def get_or_create() -> tf.Variable:
    """The default graph's global step, a scalar variable of int32 or int64, created if there is none.

    Older programs write `tf.Variable(0, name="global_step")` and leave it out of the collection, where TensorFlow finds
    it by name but cannot use a resource variable, or have it in the collection twice, which TensorFlow refuses. Here it
    is found by its name, and the collection then holds it once, for TensorFlow's hooks.

    Raises:
      UserError: it is not an integer, or not a scalar.
    """
    collected = tf.get_collection_ref(tf.GraphKeys.GLOBAL_STEP)
    variables = {variable.op.name: variable for variable in tf.global_variables() + tf.local_variables()}
    named = [item.op.name for item in collected] or ["global_step"]
    step = next((variables[name] for name in named if name in variables), None)
    if step is None:
        return tf.train.get_or_create_global_step()
    if not step.dtype.base_dtype.is_integer or step.shape.rank:
        raise UserError(
            f"global step {step.op.name}: is {step.dtype.base_dtype.name} {step.shape}, must be an integer scalar; "
            "pass tf.train.get_or_create_global_step() to the optimizer"
        )
    collected[:] = [step]
    return step
