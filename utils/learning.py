"""The tutorial's loop: `train_with_bn` trains a v1 graph with batch norm, fed through an `is_training` placeholder.

    update_ops = tf.compat.v1.get_collection(tf.compat.v1.GraphKeys.UPDATE_OPS)  # before the validation tower is built
    with tf.control_dependencies(update_ops):
        train_op = optimizer.minimize(train_loss)
    train_with_bn(train_op, train_loss, train_acc, val_loss, val_acc, 20000, is_training)

Where UPDATE_OPS are forgotten, or hold the validation tower's too, it warns: neither shows in the training loss. Where
another package is called `utils`, the same engine is `graph_resnet.loop.train_graph`.
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
    """Runs exactly `max_step` updates (less those of the checkpoint it goes on from), and prints as the tutorial does:

        [train]: step 0 loss = 2.3063 acc = 0.1250 (0.0187 / batch)
        [val]: step 0 loss = 2.3051 acc = 0.1094

    Args:
      train_op: op or tensor that makes one update. If it does not count the global step, the loop does.
      train_loss, train_acc: float32 scalars of a training batch; the accuracy may be None.
      val_loss, val_acc: float32 scalars, means over a validation batch; the accuracy may be None.
      max_step: int, the global step at which to stop.
      is_training: bool placeholder, fed True for the training op and False for every measurement; None where the
        towers are static (built with Python bools), and then a training line comes from the update's own batch.
      train_dir: directory of checkpoints, `metrics.jsonl` and event files; the newest checkpoint in it is continued
        from. None keeps nothing.
      log_every, eval_every, save_every: int, in steps.
      **options: by name, any other field of `GraphToTrain` (`feed_fn`, `val_feed_fn`, `learning_rate`, ... and
        `val_batches`: how many batches an evaluation on data of one's own has; it need not be said of `load_data` or
        of a Dataset that ends), of `Cadence` (`eval_at_start`) and of `Shown` (`summary_op`, `after_evaluation`, ...),
        and any other argument of `train_graph` (`hooks`, `init_fn`, `config`, `keep_best`).

    Returns:
      The history that was printed: dicts {"step", "split": "train" or "val", "loss", "accuracy", ...}, losses in nats.

    Raises:
      graph_resnet.errors.UserError: one line that names the argument, value or file at fault, and the fix.
      graph_resnet.loop.signals.Interrupted: SIGINT, SIGTERM or SIGHUP came; what was trained is saved.
      TypeError: an option that there is not.
    """
    tensors = {"train_acc": train_acc, "val_loss": val_loss, "val_acc": val_acc, "is_training": is_training}
    graph = GraphToTrain(train_op, train_loss, **tensors, **taken(GraphToTrain, options))
    cadence = Cadence(log_every, eval_every, save_every, **taken(Cadence, options))
    shown = Shown(**taken(Shown, options))
    return train_graph(graph, max_step, train_dir=train_dir, cadence=cadence, shown=shown, **options)
