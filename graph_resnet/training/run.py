"""One training run, once its data is found and its train dir is locked."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow.compat.v1 as tf
from google.protobuf import text_format
from PIL import Image

from graph_resnet import config as config_json
from graph_resnet import evaluation_plots, files, plots
from graph_resnet.data import batches, find
from graph_resnet.errors import UserError, reason, writing
from graph_resnet.inference import report
from graph_resnet.inference.evaluation import of_training
from graph_resnet.loop import Cadence, Shown, checkpoints, metrics_log, profiles, progress, train_graph
from graph_resnet.session import check_precision, session_config, use_precision
from graph_resnet.training import description, duration, finished, graph
from graph_resnet.training.init_checkpoint import InitialWeights
from graph_resnet.training.precision import choose_precision
from graph_resnet.training.start import Job, Result, same_run
from graph_resnet.training.work import threads_and_ops

FIRST_IMAGES = 12  # shown by TensorBoard


def run(job: Job) -> Result | None:
    """Trains or resumes until the last step, in a new graph.

    Returns:
      A `Result`; None for a worker that is not the chief.

    Raises:
      UserError, Interrupted: see `start.train`.
    """
    with progress.showing(job.show.say), tf.Graph().as_default():
        return _run(replace(job, show=replace(job.show, say=progress.say)))


def _run(job):
    since, data = time.perf_counter(), find.describe(job.records)
    saved = checkpoints.steps(job.directory) if job.directory is not None else []
    begun, first = bool(saved), saved[0] if saved else 0
    before = _config_before(job.directory) if begun else None
    config = description.for_config(job, data, before)
    if begun and job.machine.precision == "auto":  # auto keeps the recorded precision
        config["precision"] = before.get("precision", "auto")
    changed = same_run(job.directory, before, config, job.allow_other_data) if begun else []
    settings, workers, why = _session(job, config, before)
    if job.minutes is not None:
        if job.recipe.steps is None:
            job = replace(job, recipe=duration.within(job, config["precision"], settings))
        config["recipe"] |= {"steps": job.recipe.steps, "epochs": None}
        config["minutes"] = job.minutes
    built = graph.build(
        job.recipe,
        job.records,
        seed=job.seed,
        precision=config["precision"],
        trainable_scopes=job.start.trainable_scopes,
        cluster=workers,
    )
    weights = None
    if job.start.init_checkpoint and not begun and job.directory is not None:
        weights = InitialWeights(job.start.init_checkpoint, job.start.exclude_scopes, job.show.line)
    lines = [f"[precision]: {config['precision']}, {why}"]  # all that a worker other than the chief prints
    if job.directory is not None:
        lines = [*description.lines(job, config, why), *_beginning(job, before, weights)]
    for line in (*lines, *(f"[changed]: {line}" for line in changed)):
        job.show.line(line)
    last_pass: dict[int, np.ndarray] = {}  # logits over the validation images, by step
    with _explained(job, data):
        history = _loop(job, built, config, settings, weights, workers, last_pass)
    if job.directory is None:
        return None
    return _finish(job, config, history, last_pass, time.perf_counter() - since, first)


def _config_before(directory):
    """The config.json of a run that has checkpoints.

    Raises:
      UserError: there is none.
    """
    before = config_json.read_json(directory)
    if before is None:
        raise UserError(
            f"train dir {directory}: holds checkpoints but no {config_json.FILE} that identifies their run; restore "
            "it, or pass another --train-dir"
        )
    return before


def _session(job, config, before):
    """Chooses the precision, joins the other workers, and opens the first session.

    Returns:
      (ConfigProto, `Cluster` or None, reason for the precision). Sets the precision and number of workers in `config`.
    """
    threads, at_once = threads_and_ops(job.recipe, job.machine.threads)
    settings, workers = session_config(threads=threads, at_once=at_once), None
    if job.join is not None:
        workers = job.join(job.recipe.batch_size, settings)
        config["workers"] = workers.size
        here = ("command", "machine", "commit", "started", "init_checkpoint", "exclude_scopes")  # may differ
        same = {name: value for name, value in config.items() if name not in here}
        same["data"] = {name: value for name, value in same["data"].items() if name != "directory"}
        workers.start(same, job.machine.cluster_timeout)
    why = "as on the chief"
    if workers is None or workers.is_chief:
        recorded = before.get("precision") if before else None
        config["precision"], why = choose_precision(
            job.machine.precision, job.recipe, recorded=recorded, threads=settings.intra_op_parallelism_threads
        )
    if workers:
        config["precision"] = workers.chief_says(config["precision"] if workers.is_chief else "")
        check_precision(config["precision"])
    use_precision(settings, config["precision"])
    row = job.recipe.architecture
    if workers and config["precision"] == "bfloat16" and (row.keras_style or row.stem.frozen):  # it has biases
        # The remapper fuses a convolution and its bias into one op, whose bfloat16 form the distributed runtime refuses
        # ("Value for attr 'T' of bfloat16 is not in the list of allowed values"). 2 is RewriterConfig.OFF.
        settings.graph_options.rewrite_options.remapping = 2
    with tf.Session(config=settings):
        pass  # TensorFlow sizes its thread pools when the first session opens; open ours before tf.data does
    return settings, workers, why


def _beginning(job, before, weights):
    """Lines about the weights that the run starts from."""
    if before is not None:
        step, total = checkpoints.steps(job.directory)[0], job.recipe.total_steps(job.records.num_train)
        instead = ", and not from the initial checkpoint" if job.start.init_checkpoint else ""
        return [f"[train dir]: {job.directory}, goes on at step {step:,} of {total:,}{instead}"]
    new = f"[train dir]: {job.directory}, a new run"
    return [new] if weights is None else [new, f"[weights]: {weights}"]


def _loop(job, built, config, settings, weights, workers, last_pass):
    """Runs the session loop and returns its history; `last_pass` gets the logits of the last evaluation."""

    def take_logits(step, logits):
        last_pass.clear()
        last_pass[step] = logits

    recipe, records, directory = job.recipe, job.records, job.directory
    hooks, shown = [], Shown(resume_command=job.show.command)
    if directory is not None:
        hooks.append(_Accepted(directory, config))
        shown = replace(
            shown,
            summary_op=_histograms(),
            first_summary=_first_images(records),
            after_evaluation=_plots(directory, recipe, records),
            take_logits=take_logits,
        )
        if job.output.profile:
            with writing(directory / "profile"):
                (directory / "profile").mkdir(exist_ok=True)
            hooks.append(profiles.Profiler(save_steps=job.output.profile, output_dir=str(directory / "profile")))
    return train_graph(
        built,
        recipe.total_steps(records.num_train),
        train_dir=directory,
        keep_best=job.output.keep_best,
        cadence=Cadence(
            job.output.log_every, recipe.eval_steps(records.num_train), job.output.save_every, eval_at_start=False
        ),
        shown=shown,
        config=settings,
        hooks=hooks,
        init_fn=weights,
        cluster=workers,
    )


@contextlib.contextmanager
def _explained(job: Job, data: dict) -> Iterator[None]:
    """Turns a session's errors about missing memory or changed data into a `UserError`."""
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        size = job.recipe.image_size
        raise UserError(
            f"out of memory with {job.recipe.batch_size} images of {size}x{size} a batch; lower --batch-size or "
            "--image-size"
        ) from error
    except tf.errors.OpError:
        difference = find.same_data(data, find.describe(job.records))  # describe() names a missing file
        if difference is None:
            raise
        raise UserError(f"the data changed while it was read ({difference}); run the same command again") from None


def _finish(job, config, history, last_pass, seconds, first):
    """Records the end of the run in config.json, and writes the report.

    Returns:
      A `Result`.
    """
    last, say = history[-1], job.show.line
    speeds = sorted(record["images_per_second"] for record in history if "images_per_second" in record)
    measured = {name: last[name] for name in ("step", "loss", "accuracy", "images")}
    config_json.write_json(
        job.directory,
        {
            **config,
            "finished": {
                **measured,
                "at": description.now(),
                "seconds": round(seconds, 1),
                "from_step": first,  # at which the start began that took these seconds
                "images_per_second": speeds[len(speeds) // 2] if speeds else None,
                "checkpoint": finished.checksums(job.directory, last["step"]),
            },
        },
    )
    try:
        traces = job.output.profile and profiles.newest(job.directory / "profile")
        if traces:
            say(profiles.table(traces))
    except UserError as error:
        say(f"[profile]: not shown ({error})")
    try:
        logits = last_pass.get(last["step"])  # none if the last evaluation was made by an earlier start
        evaluation = None if logits is None else of_training(job.directory, job.records, last["step"], logits)
        page, notes = report.write_report(job.directory, evaluation=evaluation, data=job.records)
        for line in (*notes, f"[report]: {page}"):
            say(line)
    except Exception as error:  # the data may be gone, for example; the run has ended well
        say(f"[report]: not written ({reason(error)})")
    return Result(job.directory, **measured, seconds=round(seconds, 1))


class _Accepted(tf.train.SessionRunHook):
    """Writes config.json and graph.pbtxt once the weights are restored, so that a refused command changes neither."""

    def __init__(self, directory, config):
        self._directory, self._config = directory, config

    def after_create_session(self, session, coord):
        config_json.write_json(self._directory, self._config)
        path = Path(self._directory) / "graph.pbtxt"
        with writing(path):  # tf.io.write_graph of TensorFlow 2.20 fails with protobuf 7
            files.write(path, text_format.MessageToString(session.graph.as_graph_def()).encode())


def _histograms():
    """Serialized summaries of all trained variables."""
    with tf.name_scope("weights"):
        for variable in tf.trainable_variables():
            tf.summary.histogram(variable.op.name, variable)
        return tf.summary.merge_all()


def _plots(directory, recipe, records):
    """A function that draws `curves.png` and `confusion.png` after an evaluation: see `loop.Shown`."""
    title, steps_an_epoch = f"{recipe.name} on {records.title}", records.num_train / recipe.batch_size

    def draw(history, confusion):
        try:
            return draw_all(history, confusion)
        except UserError:
            raise
        except Exception as error:  # matplotlib, fonts, disk full: none of them may end the run
            progress.say(f"[pictures]: not drawn ({reason(error)})")
            return None

    def draw_all(history, confusion):
        step, accuracy = history[-1]["step"], history[-1]["accuracy"]
        matrix = f"{title}, {step:,} steps\n{accuracy:.2%} of the validation images right"
        for name, figure in (
            ("curves", plots.curves(history, title, steps_an_epoch)),
            ("confusion", evaluation_plots.confusion_matrix(confusion, records.class_names, matrix)),
        ):
            path = Path(directory) / f"{name}.png"
            plots.save(figure, path)
        return metrics_log.pictures({"confusion": path.read_bytes()})

    return draw


def _first_images(records):
    """The first training images, labelled by class, as a tf.Summary."""
    indices = range(min(FIRST_IMAGES, records.num_train))
    labels = batches.labels(records, indices, "train")
    pngs = {}
    for i, (label, pixels) in enumerate(zip(labels, batches.images(records, indices, "train")), 1):
        png = io.BytesIO()
        Image.fromarray(pixels).save(png, "PNG")
        pngs[f"first_images/{i:02d} {records.class_names[label]}"] = png.getvalue()
    return metrics_log.pictures(pngs)
