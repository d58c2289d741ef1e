"""The session loop: trains, measures, logs, saves, and goes on where it was.

`train_with_bn` is the tutorial's loop for graphs with batch norm, and the one that `python -m graph_resnet.train` runs:

    update_ops = tf.compat.v1.get_collection(tf.compat.v1.GraphKeys.UPDATE_OPS)  # before the validation tower is built
    with tf.control_dependencies(update_ops):
        train_op = optimizer.minimize(train_loss)
    train_with_bn(train_op, train_loss, train_acc, val_loss, val_acc, 20000, is_training)

Built on TensorFlow's own SingularMonitoredSession (initialization, restore, hooks) and Saver. Evaluation and saving
stand in the loop and not in hooks, because their order is what makes a resumed run equal to an undisturbed one: at
step s the net is evaluated, that is written down, a checkpoint is saved, and then update s runs.
"""

import contextlib
import errno
import math
import time
from pathlib import Path

import tensorflow.compat.v1 as tf
from tqdm import tqdm

from graph_resnet import locks
from graph_resnet.data import batches
from graph_resnet.errors import UserError
from graph_resnet.loop import checkpoints, graphs, metrics_log
from graph_resnet.loop.checkpoints import Checkpoints
from graph_resnet.loop.metrics_log import MetricsLog
from graph_resnet.loop.signals import Interrupted, StopRequest
from graph_resnet.loop.validation import Validation

LEAK = (
    "warning: the training op pulls a validation batch at every step and folds it into batch norm's moving averages: "
    "collect UPDATE_OPS before the validation tower is built"
)


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
    eval_at_start=True,
    learning_rate=None,
    config=None,
    hooks=(),
    init_fn=None,
    summary_op=None,
    first_summary=None,
    val_confusion=None,
    after_evaluation=None,
    cluster=None,
):
    """Runs updates until the global step is `max_step`: that many, less those of the checkpoint it goes on from.

    Args:
      train_op: op or tensor that makes one update. If it does not count the global step, the loop does.
      train_loss, train_acc: float32 scalars of a training batch.
      val_loss, val_acc: float32 scalars, means over a validation batch. Where they come from `cifar10_input`, every
        evaluation is over the whole validation set, each image once, weighted by the images of each batch; else over
        one batch.
      max_step: int, the global step at which to stop.
      is_training: bool placeholder, fed True for the training op and False for every measurement; None where the
        towers are static (built with Python bools), and then a training line comes from the update's own batch.
      train_dir: directory of checkpoints, `metrics.jsonl` and event files; the newest checkpoint in it is continued
        from. None keeps nothing.
      log_every, eval_every, save_every: int, in steps.
      eval_at_start: whether to evaluate the net before its first update.
      learning_rate: float or scalar tensor, written beside the training lines.
      config: ConfigProto.
      hooks: SessionRunHooks around the training op, such as tf.compat.v1.train.ProfilerHook.
      init_fn: function(session) that sets variables after their initialization, unless a checkpoint is continued from.
      summary_op: serialized summaries, such as histograms of the weights, written at each evaluation.
      first_summary: tf.Summary, such as the first images, written when a run begins at step 0.
      val_confusion: int [C, C], validation images of class `row` that were taken for class `column`, of a batch as
        `val_loss`.
      after_evaluation: function(history, confusion) that is called after each evaluation; confusion is `val_confusion`,
        summed over the evaluation, int64 [C, C], or None. It returns a tf.Summary for TensorBoard, or None.
      cluster: `distributed.cluster.Cluster` where several workers train in step. Its chief evaluates, prints and has
        the `train_dir`; the others only make the updates.

    Returns:
      The history: dicts {"step", "split": "train" or "val", "loss", "accuracy", ...}, losses in nats. It is empty for
      a worker that is not the chief.

    Raises:
      UserError: the graph is finalized, the newest checkpoint is beyond `max_step`, the loss is not finite, or a
        checkpoint or a metric cannot be written.
      Interrupted: SIGINT, SIGTERM or SIGHUP came; what was trained is saved.
    """
    if train_op.graph.finalized:
        raise UserError(
            "this graph is finalized, as a session that could not start leaves it: build it anew, behind "
            "tf.reset_default_graph()"
        )
    # For TensorBoard, without what the loop adds to it.
    drawn = None if train_dir is None else train_op.graph.as_graph_def(add_shapes=True)
    with train_op.graph.as_default(), tf.name_scope("session_loop"):
        training = _Training(train_op, train_loss, train_acc, is_training, learning_rate)
        validation = Validation(val_loss, val_acc, is_training, val_confusion)
        if validation.feeds(training.op):
            say(LEAK)
        broadcast = cluster.broadcast() if cluster else None
        saves = Checkpoints(train_dir)
        restored = saves.newest_whole(say)
        if restored:
            if checkpoints.step_in(restored) > max_step:
                raise UserError(
                    f"{restored}: is beyond the end at step {max_step}; train to a later one, or pass another train dir"
                )
            instead = ", and not from the initial checkpoint" if init_fn else ""
            say(f"[checkpoint]: going on from {restored}{instead}")
        elif train_dir is not None:
            _start_over(train_dir, save_every)

        def initialize(scaffold, session):
            if restored:
                checkpoints.restore(session, saves.saver, restored)
            elif init_fn:
                init_fn(session)
            if cluster:
                cluster.use(session)
                session.run(broadcast)

        scaffold = tf.train.Scaffold(saver=saves.saver, init_fn=initialize)
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(StopRequest())
        stack.enter_context(train_op.graph.as_default())
        if train_dir is not None:
            stack.enter_context(locks.claim(train_dir))
        hooks, master = list(hooks), ""
        if cluster:
            stop, master = cluster.stop_together(stop), cluster.target
            hooks.append(stop)
            stack.enter_context(cluster.blaming())
        session = stack.enter_context(
            tf.train.SingularMonitoredSession(hooks=hooks, scaffold=scaffold, config=config, master=master)
        )
        loop = _Loop(session, training, validation, saves, stop, summary_op, after_evaluation, cluster)
        saves.continue_from(restored, loop.step)
        loop.log = stack.enter_context(contextlib.closing(MetricsLog(train_dir, loop.step, drawn, log_every, say)))
        if first_summary is not None and loop.step == 0:
            loop.log.add_summary("train", first_summary, 0)
        loop.bar = stack.enter_context(
            tqdm(total=max_step, initial=loop.step, unit="step", disable=None, dynamic_ncols=True)
        )
        return loop.run(max_step, log_every, eval_every, save_every, eval_at_start)


def say(line):
    """Prints a line above the progress bar. That a terminal was closed must not keep a run from saving its work."""
    try:
        tqdm.write(line)
    except OSError as error:
        if error.errno != errno.EIO:
            raise


def _start_over(train_dir, save_every):
    """Says that an earlier start was stopped before its first checkpoint; refuses where there must have been one.

    Raises:
      UserError: going on would cut off the record of a training whose checkpoints are gone.
    """
    path = Path(train_dir) / metrics_log.FILE
    records, _ = metrics_log.read(path)
    if not records:
        return
    last = records[-1]["step"]
    if last >= save_every:
        raise UserError(
            f"{path}: goes to step {last}, but there is no checkpoint; put one back, remove this file to start "
            "over, or pass another --train-dir"
        )
    say("[checkpoint]: none was written before the earlier start ended: starting at step 0")


class _Loop:
    """The loop itself. At step s, in this order: evaluation, checkpoint, update."""

    def __init__(self, session, training, validation, saves, stop, summary_op, after_evaluation, cluster):
        self.session, self.raw = session, session.raw_session()
        self.training, self.validation, self.saves = training, validation, saves
        self.stop, self.summary_op, self.after_evaluation = stop, summary_op, after_evaluation
        self.finished = cluster.finished if cluster else lambda: None
        self.measures = cluster is None or cluster.is_chief
        self.step = int(self.raw.run(training.global_step))

    def run(self, max_step, log_every, eval_every, save_every, eval_at_start):
        self.training.start_clock()
        while True:
            self.leave_if_asked()
            if self.step >= max_step:
                self.finished()
            if self.step == max_step or (self.step % eval_every == 0 and (self.step or eval_at_start)):
                self.evaluate()
            if self.step == max_step or (self.step % save_every == 0 and self.step):
                self.saves.save(self.raw, self.step)
                self.training.start_clock()
            if self.step >= max_step:
                return self.log.history
            self.update(measure=self.measures and self.step % log_every == 0)

    def leave_if_asked(self):
        if self.stop.signum is not None:
            self.saves.save(self.raw, self.step)
            raise Interrupted(self.stop.signum, f"stopped at step {self.step}: {self.last_good()}")

    def evaluate(self):
        if not self.measures or self.log.has("val", self.step):  # before the checkpoint that this run continues from
            return
        result = self.validation.run(self.raw, between_batches=self.leave_if_asked)
        confusion = result.pop("confusion", None)
        self.check_finite("validation loss", result["loss"])
        self.log.add("val", self.step, **result)
        say(f"[val]: step {self.step} loss = {result['loss']:.4f} acc = {result['accuracy']:.4f}")
        if self.summary_op is not None:
            self.log.add_summary("train", self.raw.run(self.summary_op), self.step)
        if self.after_evaluation:
            summary = self.after_evaluation(self.log.history, confusion)
            if summary is not None:
                self.log.add_summary("val", summary, self.step)
        self.training.start_clock()

    def update(self, measure):
        result, seconds = self.training.update(self.session, self.raw, measure)
        self.check_finite("loss", result["loss"])
        if measure:
            self.log.add("train", self.step, **result)
            say(
                f"[train]: step {self.step} loss = {result['loss']:.4f} acc = {result['accuracy']:.4f} "
                f"({seconds:.4f} / batch)"
            )
        self.step += 1
        self.bar.update()

    def last_good(self):
        return self.saves.last_good() if self.measures else "the checkpoints are the chief's"

    def check_finite(self, what, loss):
        if not math.isfinite(loss):
            raise UserError(f"the {what} is {loss} at step {self.step}: {self.last_good()}; try a lower learning rate")


class _Training:
    """The training op and what is measured of a training batch."""

    def __init__(self, train_op, loss, accuracy, is_training, learning_rate):
        self.global_step = tf.train.get_or_create_global_step()
        self.op = _counted(train_op, self.global_step)
        self._measured = {"loss": loss, "accuracy": accuracy}
        self._rate = tf.convert_to_tensor(math.nan if learning_rate is None else learning_rate)
        self._is_training = is_training
        self._restart = graphs.first(batches.TRAIN_INITIALIZER)
        self._images = graphs.first(batches.TRAIN_BATCH_SIZE)

    def start_clock(self):
        self._since, self._updates = time.perf_counter(), 0

    def update(self, session, raw, measure):
        """One update.

        Returns:
          ({"loss": of the batch before the update}, None); where `measure`, also accuracy, learning rate and images/s,
          and the mean seconds of an update since the clock was started.
        """
        result = {}
        fetches = {"op": self.op, "loss": self._measured["loss"]}
        if measure:
            fetches["learning_rate"] = self._rate
            if self._is_training is None:
                fetches.update(self._measured)
            else:
                result = raw.run(self._measured, {self._is_training: False})
                if self._restart is not None:  # so that the update still gets batch number `step`
                    raw.run(self._restart)
        feed = None if self._is_training is None else {self._is_training: True}
        result = {**session.run(fetches, feed), **result}
        self._updates += 1
        del result["op"]
        result = {name: float(value) for name, value in result.items()}
        if not measure:
            return result, None
        seconds = (time.perf_counter() - self._since) / self._updates
        self.start_clock()
        rate = result.pop("learning_rate")
        if not math.isnan(rate):
            result["learning_rate"] = float(f"{rate:.6g}")
        if self._images:
            result["images_per_second"] = round(self._images / seconds, 2)
        return result, seconds


def _counted(train_op, global_step):
    """`train_op`, with the global step counted once: many a v1 graph calls `minimize` without it."""
    variable = global_step.op
    if any(op.type.startswith("Assign") and op.inputs[0].op is variable for op in graphs.ancestors(train_op)):
        return train_op
    with tf.control_dependencies([train_op]):
        return tf.assign_add(global_step, 1, name="count_step").op
