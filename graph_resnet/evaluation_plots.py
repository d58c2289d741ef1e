"""Plots of an evaluation: confusion matrix and calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from graph_resnet.plot_defaults import plot
from graph_resnet.plot_text import class_labels, finish
from graph_resnet.plots import TRAIN, VALIDATION, Record, new_figure

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COUNTED = 20  # maximum number of classes for which a confusion matrix shows its numbers


@plot
def confusion_matrix(matrix: np.ndarray, class_names: Sequence[str], title: str = "") -> Figure:
    """The confusion matrix as a figure.

    Args:
      matrix: int [C, C], number of images of class `row` predicted as class `column`.
      class_names: C strings.
      title: of the figure.

    Returns:
      A figure. A cell's colour is its share of its row; up to 20 classes, the cells show their counts.
    """
    from matplotlib.colors import PowerNorm
    from matplotlib.ticker import PercentFormatter

    classes, names = len(class_names), class_labels(class_names)
    few = classes <= COUNTED
    side = max(5.0, 0.58 * classes if few else 0.14 * classes)
    figure = new_figure(side + 1.6, side, title)
    figure.set_layout_engine("compressed")  # the axes are square
    axes = figure.subplots()
    share = matrix / matrix.sum(axis=1, keepdims=True).clip(1)
    # Without the counts, only the colour shows small shares.
    picture = axes.imshow(share, cmap="Blues", norm=PowerNorm(1 if few else 0.5, 0, 1))
    axes.set(xlabel="predicted", ylabel="true")
    size = 9 if few else 5.5
    axes.set_xticks(range(classes), names, rotation=45 if few else 90, fontsize=size)
    if few:
        for tick in axes.get_xticklabels():
            tick.set(ha="right", rotation_mode="anchor")
        _counts(axes, matrix, share)
    axes.set_yticks(range(classes), names, fontsize=size)
    bar = figure.colorbar(picture, shrink=0.8, format=PercentFormatter(1))
    bar.set_label("of the images of the true class")
    return finish(figure)


def _counts(axes: Axes, matrix: np.ndarray, share: np.ndarray) -> None:
    """Writes each cell's count in a colour that is readable on the cell."""
    for row, counts in enumerate(matrix):
        for column, count in enumerate(counts):
            color = "white" if share[row, column] > 0.5 else "black" if count else "0.75"
            axes.text(column, row, f"{count:,}", ha="center", va="center", color=color, fontsize=8)


@plot
def calibration(bins: Sequence[Record], error: float, title: str = "") -> Figure:
    """A reliability diagram: accuracy over confidence, with the share of images in each bin.

    Args:
      bins: of equal width from 0 to 1, from `metrics.calibration_bins`: {"images": int, "confidence": mean in
        0..1 or None, "accuracy": 0..1 or None}.
      error: the expected calibration error, 0..1.
      title: of the figure.
    """
    from matplotlib.ticker import PercentFormatter

    figure = new_figure(5.2, 4.6, title)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    width, total = 1 / len(bins), sum(record["images"] for record in bins)
    lefts = [k * width for k in range(len(bins))]
    style = {"width": width, "align": "edge", "color": TRAIN, "edgecolor": "none", "alpha": 0.6}
    upper.bar(lefts, [record["accuracy"] or 0 for record in bins], label="accuracy", **style)
    upper.plot([0, 1], [0, 1], color="gray", linestyle="--", linewidth=1, label="as confident as right")
    held = [record for record in bins if record["images"]]
    points = [record["confidence"] for record in held], [record["accuracy"] for record in held]
    upper.plot(*points, color=VALIDATION, marker="o", markersize=4, linewidth=1.2, label="mean confidence of the bar")
    upper.set(ylabel="accuracy", ylim=(0, 1), xlim=(0, 1))
    upper.legend(loc="upper left", framealpha=0.7, edgecolor="none", fontsize=8)
    upper.text(0.97, 0.05, f"expected calibration error {error:.4f}", ha="right", transform=upper.transAxes, fontsize=9)
    lower.bar(lefts, [record["images"] / max(1, total) for record in bins], **style)
    lower.set(xlabel="confidence: the probability of the predicted class", ylabel="of the images")
    lower.yaxis.set_major_formatter(PercentFormatter(1))
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
    return finish(figure)
