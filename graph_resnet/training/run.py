"""One training run, from a recipe to a finished train dir."""

import io
from pathlib import Path

import numpy
import tensorflow.compat.v1 as tf
from google.protobuf import text_format
from PIL import Image

import graph_resnet
from graph_resnet import config as config_json
from graph_resnet import files, plots
from graph_resnet.data import batches, find
from graph_resnet.errors import UserError, reason, writing
from graph_resnet.inference import report
from graph_resnet.inference.evaluation import of_training
from graph_resnet.loop import Cadence, Shown, checkpoints, metrics_log, profiles, train_graph
from graph_resnet.loop.progress import say
from graph_resnet.session import check_precision, session_config, use_precision
from graph_resnet.training import graph, train_dir
from graph_resnet.training.init_checkpoint import initializer
from graph_resnet.training.precision import choose_precision

FIRST_IMAGES = 12  # shown by TensorBoard


def train(
    recipe,
    records,
    directory,
    *,
    seed=0,
    precision="auto",
    threads=None,
    log_every=50,
    save_every=500,
    allow_other_data=False,
    init_checkpoint=None,
    exclude_scopes=(),
    trainable_scopes=(),
    profile=None,
    place=None,
    cluster_timeout=300,
):
    """Trains a recipe in the default graph, or goes on with it, until its last step.

    Args:
      recipe: `recipes.Recipe`.
      records: `find.Records`.
      directory: the train dir, claimed by the caller; None for a worker that is not the chief.
      seed: int.
      precision: 'auto', 'bfloat16' or 'float32'.
      threads: int, all cores where None.
      log_every, save_every: int, in steps.
      allow_other_data: goes on even if config.json has recorded other data.
      init_checkpoint, exclude_scopes: see `init_checkpoint.initializer`.
      trainable_scopes: see `graph.build`.
      profile: int, traces every so many steps into `profile/`.
      place: `tf_config.Place` of this process where several train in step.
      cluster_timeout: float, seconds to wait for the other workers at the start.

    Returns:
      The last record of the history: the evaluation of the final weights over the whole test set. None for a worker
      that is not the chief.

    Raises:
      UserError: the train dir holds another run or cannot be written, memory runs out, the loss is not finite, another
        worker was lost, ...
      Interrupted: a signal came; what was trained is saved.
    """
    begun = directory is not None and bool(checkpoints.steps(directory))
    before = config_json.read_json(directory) if begun else None
    settings, workers = session_config(threads=threads), None
    data = find.describe(records)
    config = {
        "recipe": {**config_json.recipe_values(recipe), "num_classes": records.num_classes},
        "architecture": config_json.row_values(recipe),
        "seed": seed,
        "held_out": records.held_out,
        "precision": precision,
        "data": data,
        "class_names": list(records.class_names),
        "versions": {
            "graph_resnet": graph_resnet.__version__,
            "tensorflow": tf.__version__,
            "numpy": numpy.__version__,
        },
    }
    for path in records.train + records.test:
        train_dir.check_name(path, "data file")
    if begun:
        _check_same_run(directory, before, config, allow_other_data)
    if place:
        workers = place.join(recipe.batch_size, settings)
        same = {**config, "trainable_scopes": list(trainable_scopes)}
        same["data"] = {name: value for name, value in data.items() if name != "directory"}  # each may have its own
        workers.start(same, cluster_timeout)
    recorded = before.get("precision") if before else None
    precision, why = _precision(precision, recipe, recorded, threads, workers)
    print(f"[precision]: {precision}, {why}")
    config["precision"] = precision
    use_precision(settings, precision)
    if place and precision == "bfloat16" and recipe.architecture.keras_style:
        # The remapper makes one op of a convolution and its bias, whose bfloat16 form the distributed runtime
        # refuses ("Value for attr 'T' of bfloat16 is not in the list of allowed values"). 2 is RewriterConfig.OFF.
        settings.graph_options.rewrite_options.remapping = 2
    with tf.Session(config=settings):
        pass  # The first devices of a process decide its threads, and tf.data would make them for all cores.

    options = {"precision": precision, "trainable_scopes": trainable_scopes, "cluster": workers}
    built = graph.build(recipe, records, seed=seed, **options)
    init_fn = None
    if init_checkpoint:
        given = begun or directory is None
        init_fn = _given_otherwise if given else initializer(init_checkpoint, exclude_scopes)
    hooks, shown, last_pass = [], Shown(), {}
    if directory is not None:
        hooks.append(_Accepted(directory, config))
        shown = Shown(
            _histograms(),
            _first_images(records),
            _pictures(directory, recipe, records),
            take_logits=lambda step, logits: last_pass.update(step=step, logits=logits),
        )
        if profile:
            traces = Path(directory) / "profile"
            with writing(traces):
                traces.mkdir(exist_ok=True)
            hooks.append(profiles.Profiler(save_steps=profile, output_dir=str(traces)))

    try:
        history = train_graph(
            built,
            recipe.total_steps(records.num_train),
            train_dir=directory,
            cadence=Cadence(log_every, recipe.eval_steps(records.num_train), save_every, eval_at_start=False),
            shown=shown,
            config=settings,
            hooks=hooks,
            init_fn=init_fn,
            cluster=workers,
        )
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise UserError(
            f"out of memory with {recipe.batch_size} images of {recipe.image_size}x{recipe.image_size} a batch; lower "
            "--batch-size or --image-size"
        ) from error
    except tf.errors.OpError:
        # describe() names a file that is gone.
        difference = find.same_data(data, find.describe(records))
        if difference is None:
            raise
        raise UserError(f"the data changed while it was read ({difference}); run the same command again") from None
    if directory is None:
        return None
    try:
        if profile and profiles.newest(traces):
            print(profiles.table(profiles.newest(traces)))
    except UserError as error:
        print(f"[profile]: not shown ({error})")
    try:
        evaluation = of_training(directory, records, **last_pass) if last_pass else None
        page, notes = report.write_report(directory, evaluation=evaluation, data=records)
        for note in notes:
            print(note)
        print(f"[report]: {page}")
    except (UserError, OSError, MemoryError, tf.errors.OpError) as error:  # its data is gone, say: the run is whole
        print(f"[report]: not written ({reason(error)})")
    return history[-1]


class _Accepted(tf.train.SessionRunHook):
    """Writes config.json and graph.pbtxt when the weights are there: a refused command leaves those that fit them."""

    def __init__(self, directory, config):
        self._directory, self._config = directory, config

    def after_create_session(self, session, coord):
        config_json.write_json(self._directory, self._config)
        graph_text = Path(self._directory) / "graph.pbtxt"
        with writing(graph_text):  # tf.io.write_graph of TensorFlow 2.20 fails with protobuf 7
            files.write(graph_text, text_format.MessageToString(session.graph.as_graph_def()).encode())


def _given_otherwise(session):
    """Instead of an initial checkpoint's: the weights are this run's own, or for a worker the chief's."""


def _precision(asked, recipe, recorded, threads, workers):
    """(precision, why), as `choose_precision` has it; of several workers the chief chooses for all."""
    if workers is None or workers.is_chief:
        precision, why = choose_precision(asked, recipe, recorded=recorded, threads=threads)
    else:
        precision, why = "", "as the chief has it"
    if workers:
        precision = workers.chief_says(precision)
        check_precision(precision)
    return precision, why


def _check_same_run(directory, before, config, allow_other_data):
    """Refuses a train dir that holds another run than `config`, or none that can be told.

    Raises:
      UserError: names the difference.
    """
    if before is None:
        raise UserError(
            f"train dir {directory}: holds checkpoints but no {config_json.FILE} to tell of what; put it back, or pass "
            "another --train-dir"
        )
    difference = None if allow_other_data else find.same_data(before["data"], config["data"])
    for line in config_json.check_same_run(directory, before, config, difference):
        print(f"[changed]: {line}")


def _histograms():
    """Serialized summaries of all trained variables."""
    with tf.name_scope("weights"):
        for variable in tf.trainable_variables():
            tf.summary.histogram(variable.op.name, variable)
        return tf.summary.merge_all()


def _pictures(directory, recipe, records):
    """What draws `curves.png` and `confusion.png` after an evaluation: see `loop.Shown`."""
    title, steps_an_epoch = f"{recipe.name} on {records.title}", records.num_train / recipe.batch_size

    def draw(history, confusion):
        try:
            return draw_all(history, confusion)
        except UserError:
            raise
        except Exception as error:  # out of matplotlib, of its fonts, of a full disk: the run is worth more
            say(f"[pictures]: not drawn ({reason(error)})")
            return None

    def draw_all(history, confusion):
        step, accuracy = history[-1]["step"], history[-1]["accuracy"]
        matrix = f"{title}, {step:,} steps\n{accuracy:.2%} of the validation images right"
        for name, figure in (
            ("curves", plots.curves(history, title, steps_an_epoch)),
            ("confusion", plots.confusion_matrix(confusion, records.class_names, matrix)),
        ):
            path = Path(directory) / f"{name}.png"
            plots.save(figure, path)
        return metrics_log.pictures({"confusion": path.read_bytes()})

    return draw


def _first_images(records):
    """The first training images, each under the name of its class, as a tf.Summary."""
    indices = range(min(FIRST_IMAGES, records.num_train))
    labels = batches.labels(records, indices, "train")
    pngs = {}
    for i, (label, pixels) in enumerate(zip(labels, batches.images(records, indices, "train")), 1):
        png = io.BytesIO()
        Image.fromarray(pixels).save(png, "PNG")
        pngs[f"first_images/{i:02d} {records.class_names[label]}"] = png.getvalue()
    return metrics_log.pictures(pngs)
