"""The tutorial's loop: `train_with_bn` trains a v1 graph with batch norm, fed through an `is_training` placeholder.

    update_ops = tf.compat.v1.get_collection(tf.compat.v1.GraphKeys.UPDATE_OPS)  # before the validation tower is built
    with tf.control_dependencies(update_ops):
        train_op = optimizer.minimize(train_loss)
    train_with_bn(train_op, train_loss, train_acc, val_loss, val_acc, 20000, is_training)

It warns if UPDATE_OPS are forgotten, or include those of the validation tower: the training loss shows neither. If you
have another package called `utils`, use `graph_resnet.loop.train_graph`.
"""

from graph_resnet.loop import Cadence, GraphToTrain, Shown, train_graph
from graph_resnet.loop.graph_to_train import taken


def train_with_bn(
    train_op,
    train_loss,
    train_acc,
    val_loss,
    val_acc,
    max_step,
    is_training=None,
    *,
    train_dir=None,
    log_every=50,
    eval_every=1000,
    save_every=500,
    **options,
):
    """Trains until the global step is `max_step`, from the newest checkpoint in `train_dir`. Prints like the tutorial:

        [train]: step 0 loss = 2.3063 acc = 0.1250 (0.0187 / batch)
        [val]: step 0 loss = 2.3051 acc = 0.1094

    Args:
      train_op: op or tensor that makes one update. If it does not increment the global step, the loop does.
      train_loss, train_acc: float32 scalars of a training batch; the accuracy may be None.
      val_loss, val_acc: float32 scalars, means over a validation batch; the accuracy may be None.
      max_step: int, the global step at which to stop.
      is_training: bool placeholder, fed True for updates and False for measurements. None if the towers are static
        (built with Python bools): a training line then shows the loss of the update itself.
      train_dir: directory for checkpoints, `metrics.jsonl` and event files; the run resumes from its newest checkpoint.
        None keeps nothing.
      log_every, eval_every, save_every: int, in steps.
      **options: any other field of `GraphToTrain` (`feed_fn`, `val_feed_fn`, `learning_rate`, ..., and `val_batches`,
        the number of batches in an evaluation; not needed for `load_data` or a finite Dataset), of `Cadence`
        (`eval_at_start`) or `Shown` (`summary_op`, `after_evaluation`, ...), and any other argument of `train_graph`
        (`hooks`, `init_fn`, `config`, `keep_best`).

    Returns:
      The history: dicts {"step", "split": "train" or "val", "loss", "accuracy", ...}, losses in nats.

    Raises:
      graph_resnet.errors.UserError: one line that names the argument, value or file at fault, and the fix.
      graph_resnet.loop.signals.Interrupted: SIGINT, SIGTERM or SIGHUP came; the run is saved.
      TypeError: unknown option.
    """
    tensors = {"train_acc": train_acc, "val_loss": val_loss, "val_acc": val_acc, "is_training": is_training}
    graph = GraphToTrain(train_op, train_loss, **tensors, **taken(GraphToTrain, options))
    cadence = Cadence(log_every, eval_every, save_every, **taken(Cadence, options))
    shown = Shown(**taken(Shown, options))
    return train_graph(graph, max_step, train_dir=train_dir, cadence=cadence, shown=shown, **options)
