"""`report.html`: a run on one page, in a single file. The result comes first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graph_resnet import evaluation_plots, plots
from graph_resnet.data.find import Records
from graph_resnet.errors import UserError, printable
from graph_resnet.inference import evaluation as evaluations
from graph_resnet.inference import page, pictures, runs
from graph_resnet.inference.evaluation import Evaluation
from graph_resnet.inference.runs import Run

FILE = "report.html"
CONFUSIONS = 15  # pairs of classes to list if the matrix has too many cells to read
WIDE = 1700  # width in pixels of a matrix of many classes


def write_report(
    train_dir: str | Path,
    *,
    evaluation: Evaluation | None = None,
    data: str | Path | Records | None = None,
    before_tensorflow: Callable[[], object] | None = None,
) -> tuple[Path, list[str]]:
    """Writes the page of a run into its train dir, with `confusion.png`, `mistakes.png` and `calibration.png`.

    Args:
      train_dir: of a run of `graph_resnet.train`.
      evaluation: of its last step; None evaluates the newest checkpoint.
      data, before_tensorflow: as in `evaluation.evaluate`.

    Returns:
      (path of the page, lines about what it lacks). Without its data, a run still gets a page of curves and settings.

    Raises:
      UserError: it is not a train dir, `data` is not its data, or the page cannot be written.
    """
    notes: list[str] = []
    if evaluation is None:
        try:
            evaluation = evaluations.evaluate(train_dir, data=data, before_tensorflow=before_tensorflow)
            notes += evaluation.notes
        except UserError as error:
            if data is not None:
                raise
            notes.append(f"[report]: without the parts that need an evaluation ({error})")
            if before_tensorflow is not None:
                before_tensorflow()
    run = runs.read(train_dir)
    if evaluation is not None:
        _, problems = pictures.save(evaluation, train_dir)
        notes += problems
    path = Path(train_dir) / FILE
    page.write(path, html(run, evaluation, notes))
    return path, notes


def html(run: Run, evaluation: Evaluation | None, notes: Sequence[str] = ()) -> str:
    """The whole page."""
    title = f"{run.name} on {evaluation.data if evaluation else run.config['data'].get('dataset', 'its data')}"
    parts = [answer(run, evaluation), best_and_last(run, evaluation), *map(page.note, notes), curves(run)]
    if evaluation is not None:
        parts += [calibration(evaluation), classes(evaluation), confusion(evaluation), mistakes(evaluation)]
    return page.document(title, [*parts, recipe(run), machine(run)])


def answer(run: Run, evaluation: Evaluation | None) -> str:
    """Accuracy, loss, steps, time."""
    last: dict[str, Any] = run.last or {}
    values = []
    if evaluation is not None:
        values += [
            (f"{evaluation.accuracy:.2%}", f"of {evaluation.images:,} {evaluation.kind} images right"),
            (f"{evaluation.loss:.4f}", "loss: cross entropy, nats"),
        ]
    elif "accuracy" in last:
        images = f"of {last['images']:,} images right" if "images" in last else "accuracy"
        values += [(f"{last['accuracy']:.2%}", images), (f"{last['loss']:.4f}", "loss: cross entropy, nats")]
    step = evaluation.step if evaluation is not None and evaluation.step is not None else last.get("step")
    if step is not None:
        epochs = f", {step / run.steps_an_epoch:.1f} epochs" if run.steps_an_epoch else ""
        values.append((f"{step:,}", f"steps of {run.recipe.get('batch_size', '?')} images{epochs}"))
    if run.seconds is not None:
        took = runs.duration(run.seconds) if run.timed else f"about {runs.duration(run.seconds, rounded=True)}"
        speed = f" at {run.images_per_second:,.0f} images/s" if run.images_per_second else ""
        values.append((took, f"training{speed}"))
    if evaluation is not None:
        values += [
            (f"{evaluation.top5_accuracy:.2%}", "right among the first five"),
            (f"{evaluation.calibration_error:.4f}", "expected calibration error"),
        ]
    return page.facts(values)


def best_and_last(run: Run, evaluation: Evaluation | None) -> str:
    """The best and the last evaluation."""
    last, best = run.last, run.best
    if last is None or best is None:
        return ""
    rows = [
        (what, f"{record['step']:,}", f"{record['accuracy']:.2%}", f"{record['loss']:.4f}")
        for what, record in (("last", last), ("best", best))
    ]
    text = page.table(("evaluation", "step", "accuracy", "loss"), rows, numbers=(1, 2, 3))
    if best is not last and (evaluation is None or evaluation.kind == "test"):
        text += page.note("The result is the last one: the best was selected on the images it is measured on.")
    return text


def curves(run: Run) -> str:
    """Loss, accuracy and learning rate."""
    if not run.history:
        return page.section("Curves", page.note("none: metrics.jsonl is empty"))
    svgs = [plots.svg(plots.curve(name, run.history, run.steps_an_epoch)) for name in plots.panels(run.history)]
    return page.section("Curves", page.figures(svgs))


def calibration(evaluation: Evaluation) -> str:
    """The reliability diagram."""
    words = (
        "A bar's height is the accuracy on the images whose confidence lies in its range. Bars below the dashed line: "
        "the net is overconfident."
    )
    return page.section(
        "Calibration", page.figures([plots.svg(pictures.calibration(evaluation, title=""))]), page.note(words)
    )


def classes(evaluation: Evaluation) -> str:
    """A table with one row per class."""
    rows = []
    for k, record in enumerate(evaluation.classes):
        confused = evaluations.most_confused(evaluation.confusion, k)
        other = (
            "-"
            if confused is None
            else page.Markup(f"{page.name(evaluation.class_names[confused[0]])} ({confused[1]:.1%})")
        )
        right = record["accuracy"]
        rows.append(
            (
                page.name(record["name"]),
                f"{record['images']:,}",
                "-" if right is None else f"{right:.2%}",
                "" if right is None else page.bar(right),
                other,
            )
        )
    header = ("class", "images", "right", "", "most often taken for")
    return page.section("Classes", page.table(header, rows, numbers=(1, 2)))


def confusion(evaluation: Evaluation) -> str:
    """The matrix: a table, or for many classes a picture and the most frequent confusions."""
    heading, words = (
        "Confusion matrix",
        "Rows: the true class. Columns: the predicted one. Colour: the share of the row.",
    )
    names = evaluation.class_names
    if len(names) <= evaluation_plots.COUNTED:
        return page.section(heading, page.note(words), page.matrix(evaluation.confusion, names))
    svg = plots.svg(evaluation_plots.confusion_matrix(evaluation.confusion, names))
    picture = f'<div class="scroll">{svg.replace("<svg ", f"<svg style=width:{WIDE}px ", 1)}</div>'
    others = np.where(np.eye(len(names), dtype=bool), 0, evaluation.confusion)
    most = [np.unravel_index(k, others.shape) for k in np.argsort(-others, axis=None, kind="stable")[:CONFUSIONS]]
    rows = [(page.name(names[i]), page.name(names[j]), f"{others[i, j]:,}") for i, j in most if others[i, j]]
    listed = page.table(("true class", "taken for", "images"), rows, numbers=(2,))
    return page.section(heading, listed, page.note(words), picture)


def mistakes(evaluation: Evaluation) -> str:
    """The mistakes with the highest confidence."""
    worst, total = pictures.worst_mistakes(evaluation)
    if not worst:
        return page.section("Mistakes", page.note("none"))
    names = evaluation.class_names
    try:
        pixels = pictures.images(evaluation, [index for index, *_ in worst])
    except (OSError, ValueError) as error:  # the data files are gone
        return page.section("Mistakes", page.note(f"cannot be shown: {error}"))
    items = [
        page.image(
            image,
            f"{page.name(names[true])} {of_true:.1%}<br>taken for <b>{page.name(names[guess])}</b> {of_guess:.1%}",
        )
        for image, (_, (true, of_true), (guess, of_guess)) in zip(pixels, worst)
    ]
    words = f"The {len(worst)} most confident of {total:,} mistakes: the true class, then the prediction."
    return page.section("Mistakes", page.note(words), page.images(items))


def recipe(run: Run) -> str:
    """The recipe, with overridden fields marked."""
    overridden = run.overridden()
    rows = [
        (name, value, overridden.get(name, "") if name in overridden else "")
        for name, value in run.recipe.items()
        if name not in ("name", "source") and (value is not None or name in overridden)
    ]
    marked = [k for k, (name, *_) in enumerate(rows) if name in overridden]
    header = ("field", "this run", f"recipe {run.name}") if overridden else ()
    rows = rows if overridden else [row[:2] for row in rows]
    notes = [page.note(f"{run.name}: {run.recipe.get('source', '')}")]
    if overridden:
        notes.append(page.note("Marked: different from the recipe of that name."))
    return page.section("Recipe", *notes, page.table(header, rows, marked=marked))


def machine(run: Run) -> str:
    """The machine, the settings, and the command to repeat the run."""
    files = run.config["data"].get("files", [])
    about = {
        "train dir": str(run.directory),
        **run.settings(),
        "ended": run.finished.get("at"),
        "data directory": run.config["data"].get("directory"),
        "data": ", ".join(f"{file['name']} ({file.get('records', 0):,})" for file in files),
    }
    if run.images_per_second:
        about["images/s, median"] = f"{run.images_per_second:,.0f}"
    parts = [page.definitions({name: value for name, value in about.items() if value is not None})]
    if run.command:
        parts.insert(0, f"<p>To repeat it:</p>\n<pre>{page.text(printable(run.command))}</pre>")
    return page.section("Run", *parts)
