"""The session loop for any v1 graph: trains, measures, logs, saves and resumes.

    graph = GraphToTrain(train_op, train_loss, train_acc, val_loss, val_acc, learning_rate=rate)
    history = train_graph(graph, max_step=20000, train_dir="runs/mine", cadence=Cadence(eval_every=500))

`utils.learning.train_with_bn` is the tutorial's way to call it. It uses TensorFlow's SingularMonitoredSession
(initialization, restore, hooks) and Saver. The loop itself evaluates and saves, instead of TensorFlow's hooks
(CheckpointSaverHook, CheckpointInputPipelineHook), because only a fixed order makes a resumed run equal to an
uninterrupted one: at step s it evaluates, records the result, saves a checkpoint, and then runs update s.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import tensorflow.compat.v1 as tf

from graph_resnet import locks
from graph_resnet.compat import graph_text
from graph_resnet.errors import UserError, reason
from graph_resnet.loop import batch_norm_checks, checkpoints, graphs, metrics_log, resume
from graph_resnet.loop.graph_to_train import Cadence, GraphToTrain, Shown, check_count, checked_hooks
from graph_resnet.loop.metrics_log import MetricsLog
from graph_resnet.loop.precise_batch_norm import PreciseBatchNorm
from graph_resnet.loop.progress import Progress, say
from graph_resnet.loop.saves import Checkpoints
from graph_resnet.loop.signals import Interrupted, StopRequest
from graph_resnet.loop.updates import Updates
from graph_resnet.loop.validation import NoBatchError, Validation

END_OF_DATA = (tf.errors.OutOfRangeError, StopIteration)


def train_graph(
    graph: GraphToTrain,
    max_step: int,
    *,
    train_dir: str | Path | None = None,
    keep_best: bool = False,
    cadence: Cadence = Cadence(),  # noqa: B008 (frozen)
    shown: Shown = Shown(),  # noqa: B008
    config: tf.ConfigProto | None = None,
    hooks: Iterable[tf.train.SessionRunHook] = (),
    init_fn=None,
    cluster=None,
) -> list[dict]:
    """Runs updates until the global step is `max_step`, starting from the newest checkpoint in `train_dir`.

    The step is the graph's own global step. If the data ends or a hook asks to stop, the run ends there as at its last
    step: it evaluates, saves and prints a line about it.

    Args:
      graph: `GraphToTrain`.
      max_step: the global step at which to stop.
      train_dir: directory for checkpoints, `metrics.jsonl` and event files; the run resumes from its newest checkpoint.
        None keeps nothing.
      keep_best: also keeps the checkpoint with the best validation accuracy (loss, if there is no accuracy):
        `checkpoints.best` finds it.
      cadence: how often to log, evaluate and save.
      shown: what to show in addition to the printed lines.
      config: of the session.
      hooks: for the training op, such as tf.compat.v1.train.ProfilerHook.
      init_fn: function(session) that sets variables after their initialization; not called when the run resumes.
      cluster: `distributed.cluster.Cluster` for several synchronized workers. The chief evaluates, prints and has the
        `train_dir`; the others only run updates.

    Returns:
      The history: dicts {"step", "split": "train" or "val", "loss", "accuracy", ...}, losses in nats. It is empty for
      a worker that is not the chief.

    Raises:
      UserError: the newest checkpoint is beyond `max_step`, a loss or a weight is not finite, a placeholder is not
        fed, or a checkpoint or a metric cannot be written.
      Exception: what a hook, `feed_fn` or a callback raised; the run is saved.
      Interrupted: SIGINT, SIGTERM or SIGHUP came; the run is saved.
    """
    check_count("max_step", max_step, least=0)
    hooks = checked_hooks(hooks)
    graph_text.accept_float_format()  # a hook may write the graph
    # For TensorBoard, before the loop adds its own ops.
    drawn = None if train_dir is None else graph.graph.as_graph_def(add_shapes=True)
    with graph.graph.as_default(), tf.name_scope("session_loop"):
        updates, validation = Updates(graph), Validation(graph)
        for warning in batch_norm_checks.warnings(graph, validation.leaks):
            say(warning)
        precise = PreciseBatchNorm(graph, cluster) if graph.precise_batch_norm else None
        broadcast = cluster.broadcast() if cluster else None
        saves = Checkpoints(train_dir, keep_best=keep_best)
        restored = resume.checkpoint(saves, updates, max_step, cadence.save_every, init_fn is not None)

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
        stack.enter_context(graph.graph.as_default())
        if train_dir is not None:
            stack.enter_context(locks.claim(train_dir))
        master = ""
        if cluster:
            stop, master = cluster.stop_together(stop), cluster.target
            hooks.append(stop)
            stack.enter_context(cluster.blaming())
        session = stack.enter_context(
            tf.train.SingularMonitoredSession(hooks=hooks, scaffold=scaffold, config=config, master=master)
        )
        step = updates.step_now(session.raw_session())
        saves.continue_from(restored, step)
        log = stack.enter_context(contextlib.closing(MetricsLog(train_dir, step, drawn, cadence.log_every, say)))
        if shown.first_summary is not None and step == 0:
            log.add_summary("train", shown.first_summary, 0)
        leads = cluster is None or cluster.is_chief
        sizes = {"images": updates.images, "steps_an_epoch": updates.steps_an_epoch}
        progress = stack.enter_context(Progress(step, max_step, lines=leads, **sizes))
        updates.rewind(session.raw_session())  # a hook's after_create_session may have read batches
        loop = _Loop(
            session, updates, validation, precise, saves, log, progress, stop, cadence, shown, step, max_step, leads
        )
        with loop.saving():
            return loop.run(cluster.finished if cluster else lambda: None)


@dataclass
class _Loop:
    """The loop itself. At step s, in this order: evaluation, checkpoint, update."""

    session: tf.train.SingularMonitoredSession
    updates: Updates
    validation: Validation
    precise: PreciseBatchNorm | None
    saves: Checkpoints
    log: MetricsLog
    progress: Progress
    stop: StopRequest
    cadence: Cadence
    shown: Shown
    step: int
    max_step: int
    leads: bool  # whether this process evaluates and prints

    def __post_init__(self):
        self.raw, self.ended, self.summary_op = self.session.raw_session(), False, None
        begin = -1 if self.cadence.eval_at_start else 0
        if self.saves.resumed:  # a run that was stopped before the evaluation of this step makes up for it
            begin = max(begin, self.step - 1)
        self.last = {"train": self.step - 1, "val": begin}  # steps of the newest records
        self.last |= {record["split"]: record["step"] for record in self.log.history}

    def run(self, finished):
        """Runs to the end and returns the history; calls `finished` before the last evaluation."""
        if self.log.has("val", self.step):
            self.show_weights()  # again, because TensorBoard drops what the earlier run wrote for this step
        self.updates.start_clock()
        while self.step < self.max_step and not self.ended:
            self.leave_if_asked()
            # Depends on the step only, because all workers must agree and only the chief has records.
            if self.step % self.cadence.eval_every == 0 and (self.step or self.cadence.eval_at_start):
                self.set_averages()
            if self.due("val", self.cadence.eval_every):
                self.evaluate()
            if self.step // self.cadence.save_every > (self.saves.last_step or 0) // self.cadence.save_every:
                self.save()
            if not self.ended:
                self.update()
        if not self.ended:
            self.set_averages()
        self.leave_if_asked()
        finished()
        try:
            self.evaluate()
        except NoBatchError as error:
            if not self.ended:  # else the validation data may have ended with the training data: save anyway
                raise
            say(f"[val]: not measured at the end: {error}")
        self.save()
        return self.log.history

    @contextlib.contextmanager
    def saving(self):
        """Saves if the caller's code (a hook, `feed_fn`, a callback) raises: the weights are as after the last update.

        After an error of TensorFlow's they may be half updated.
        """
        try:
            yield
        except tf.errors.OutOfRangeError as error:  # TensorFlow's session would end without a word
            raise UserError(f"data ended outside of an update, at step {self.step}: {reason(error)}") from error
        except (UserError, tf.errors.OpError):
            raise
        except Exception as error:
            self.step = self.updates.step_now(self.raw)
            self.save()
            say(f"[stop]: {type(error).__name__} at step {self.step} of {self.max_step}: {self.last_good()}")
            if isinstance(error, StopIteration):  # likewise
                raise UserError(f"a callback raised StopIteration at step {self.step}") from error
            raise

    def due(self, split, every):
        """Whether a record is due. An update may add more than one to the step and so skip a multiple of `every`."""
        return self.step // every > self.last[split] // every

    def leave_if_asked(self):
        if self.stop.signum is not None:
            self.saves.save(self.raw, self.step)
            go_on = f"; to go on: {self.shown.resume_command}" if self.shown.resume_command else ""
            raise Interrupted(self.stop.signum, f"stopped at step {self.step}: {self.last_good()}{go_on}")

    def save(self):
        self.saves.save(self.raw, self.step)
        self.updates.start_clock()

    def set_averages(self):
        """Precise batch norm; after a restart, the same weights and batches give the same averages."""
        if not self.precise:
            return
        try:
            self.precise.run(self.raw, self.step)
        except END_OF_DATA:
            say(f"[precise_batch_norm]: the data ended at step {self.step}: the moving averages stay as they were")
        else:
            self.saves.changed(self.step)
        self.updates.start_clock()

    def evaluate(self):
        # The run before this one may have written the record already.
        if not self.leads or not self.validation or self.log.has("val", self.step):
            return
        self.saves.check_finite(self.raw, self.step)
        result = self.validation.run(self.raw, between_batches=self.leave_if_asked, say=say, over=self.ended)
        if self.validation.moves_training:
            self.updates.rewind(self.raw)
        confusion, logits = result.pop("confusion", None), result.pop("logits", None)
        self.check_finite("validation loss", result["loss"])
        self.log.add("val", self.step, **result)
        self.last["val"] = self.step
        say(f"[val]: step {self.step} {_measured(result)}")
        self.show_weights()
        self.saves.keep_if_best(self.raw, self.log.history)
        if self.shown.take_logits and logits is not None:
            self.shown.take_logits(self.step, logits)
        if self.shown.after_evaluation:
            try:
                summary = self.shown.after_evaluation(self.log.history, confusion)
            except END_OF_DATA:
                self.end("[data]: the data ended")
                summary = None
            if summary is not None:
                self.log.add_summary("val", summary, self.step)
        self.updates.start_clock()

    def show_weights(self):
        """Writes `summary_op` now, or with the next update if it needs a training batch."""
        op = self.shown.summary_op
        if op is None:
            return
        self.validation.restart(self.raw)  # it may read a validation batch, and the evaluation has read all
        if graphs.takes_a_batch(op, self.updates.ops):
            self.summary_op = op
        else:
            self.log.add_summary("train", self.raw.run(op), self.step)

    def update(self):
        measure = self.leads and self.due("train", self.cadence.log_every)
        try:
            update = self.updates.run(self.session, self.step, measure, self.summary_op)
        except END_OF_DATA:
            self.step = self.updates.step_now(self.raw)
            self.end("[data]: the data ended")
            return
        except tf.train.NanLossDuringTrainingError:
            raise UserError(f"a hook found a loss that is NaN at step {self.step}: {self.last_good()}") from None
        self.check_finite("loss", update.record["loss"])
        if update.summary is not None:
            self.log.add_summary("train", update.summary, self.step)
            self.summary_op = None
        if measure:
            self.log.add("train", self.step, **update.record)
            self.last["train"] = self.step
            say(f"[train]: step {self.step} {_measured(update.record)} ({update.mean_seconds:.4f} / batch)")
        self.step = update.step
        self.progress.update(self.step, update.record["loss"], update.seconds, update.record.get("learning_rate"))
        if self.session.should_stop() and self.step < self.max_step:
            self.end("[stop]: a hook asked to stop")

    def end(self, why):
        self.ended = True
        say(f"{why} at step {self.step} of {self.max_step}")

    def last_good(self):
        return self.saves.last_good() if self.leads else "the checkpoints are the chief's"

    def check_finite(self, what, loss):
        if not metrics_log.is_finite(loss):
            raise UserError(f"the {what} is {loss} at step {self.step}: {self.last_good()}; try a lower learning rate")


def _measured(record):
    accuracy = f" acc = {record['accuracy']:.4f}" if "accuracy" in record else ""
    return f"loss = {record['loss']:.4f}{accuracy}"
