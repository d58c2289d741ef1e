"""The plots of an evaluation: confusion matrix, most confident mistakes, calibration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from graph_resnet import evaluation_plots, plots
from graph_resnet.errors import printable, reason
from graph_resnet.inference import metrics
from graph_resnet.inference.evaluation import Evaluation
from graph_resnet.plot_text import class_labels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MISTAKES, NAME_LENGTH = 40, 14  # maximum number of mistakes shown; characters of a class name above an image
NAMES = ("confusion", "mistakes", "calibration")


def save(evaluation: Evaluation, directory: str | Path, suffix: str = "") -> tuple[dict[str, str], list[str]]:
    """Draws all plots into a directory, as `confusion<suffix>.png` and so on.

    A plot that fails does not raise: the evaluation matters more.

    Returns:
      ({name: path} of the plots written, a line for each that was not).
    """
    draw: dict[str, Callable[[Evaluation], Figure]] = {
        "confusion": confusion,
        "mistakes": mistakes,
        "calibration": calibration,
    }
    paths, problems = {}, []
    for name, figure in draw.items():
        path = Path(directory) / f"{name}{suffix}.png"
        try:
            plots.save(figure(evaluation), path)
            paths[name] = str(path)
        except Exception as error:  # disk full, fonts, memory, missing data files: none of them may end a run
            problems.append(printable(f"[files]: {path} not written ({reason(error)})"))
    return paths, problems


def confusion(evaluation: Evaluation) -> Figure:
    """The confusion matrix, with a title."""
    title = f"{evaluation.title}\n{evaluation.accuracy:.2%} right"
    return evaluation_plots.confusion_matrix(evaluation.confusion, evaluation.class_names, title)


def calibration(evaluation: Evaluation, title: str | None = None) -> Figure:
    """The reliability diagram; the default title is the evaluation's."""
    bins = metrics.calibration_bins(metrics.softmax(evaluation.logits), evaluation.labels)
    return evaluation_plots.calibration(
        bins, evaluation.calibration_error, evaluation.title if title is None else title
    )


def mistakes(evaluation: Evaluation) -> Figure:
    """A grid of the most confident mistakes."""
    worst, total = worst_mistakes(evaluation)
    names = class_labels(evaluation.class_names, NAME_LENGTH)
    captions = ["\n".join(f"{names[k]} {probability:.1%}" for k, probability in pairs) for _, *pairs in worst]
    what = f"the {len(worst)} most confident of {total:,} mistakes: the true class, then the prediction"
    title = f"{evaluation.title}\n{what if worst else 'no mistakes'}"
    return plots.image_grid(images(evaluation, [index for index, *_ in worst]), captions, title=title)


def worst_mistakes(
    evaluation: Evaluation, most: int = MISTAKES
) -> tuple[list[tuple[int, tuple[int, float], tuple[int, float]]], int]:
    """The mistakes with the highest confidence.

    Returns:
      ([(image number, (true class, its probability), (predicted class, its probability))], number of mistakes).
    """
    probabilities, labels = metrics.softmax(evaluation.logits), evaluation.labels
    predictions = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predictions != labels)
    worst = wrong[np.argsort(-probabilities[wrong, predictions[wrong]], kind="stable")][:most]
    pairs = [(int(i), *((int(k), float(probabilities[i, k])) for k in (labels[i], predictions[i]))) for i in worst]
    return pairs, len(wrong)


def images(evaluation: Evaluation, indices: list[int]) -> np.ndarray:
    """Images of the evaluation by number: uint8 [n, side, side, 3]."""
    from graph_resnet.data import batches

    return batches.images(evaluation.records, indices, evaluation.split)
