"""Plots of a run: curves, confusion matrix, calibration, grids of images. matplotlib is imported on first use, with no
display needed."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graph_resnet import files
from graph_resnet.plot_text import class_labels, finish, readable, shortened

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 200  # of a PNG: twice what a screen shows
TRAIN, VALIDATION, RATE = "tab:blue", "tab:orange", "tab:green"
CAPTION_LENGTH, RUN_LENGTH = 22, 28  # characters of a caption's line, of the name of a run
COUNTED = 20  # classes of a confusion matrix whose cells hold their numbers

Record = Mapping[str, Any]


def _figure(width: float, height: float, title: str = "") -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    if title:
        lines = [textwrap.fill(line, int(13 * width)) for line in readable(title).splitlines()]
        figure.suptitle("\n".join(lines), fontsize=10)
    return figure


def curves(history: Sequence[Record], title: str = "", steps_an_epoch: float | None = None) -> Figure:
    """Loss, accuracy and, where it is recorded, the learning rate of a run, each in a panel of its own.

    Args:
      history: the records of a run, as the session loop returns them.
      title: of the figure.
      steps_an_epoch: adds an axis of epochs.
    """
    names = panels(history)
    figure = _figure(5.5 * len(names), 4.2, title)
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names):
        _panel(axes, name, history, steps_an_epoch)
    return finish(figure)


def panels(history: Sequence[Record]) -> list[str]:
    """What `curve` can draw of a run: 'loss', 'accuracy' and, where it is recorded, 'learning_rate'."""
    rated = any("learning_rate" in record for record in history)
    return ["loss", "accuracy", *(["learning_rate"] if rated else [])]


def curve(name: str, history: Sequence[Record], steps_an_epoch: float | None = None) -> Figure:
    """One of the panels of `curves`, for a narrow page."""
    figure = _figure(5.2, 3.4)
    _panel(figure.subplots(), name, history, steps_an_epoch)
    return finish(figure)


def _panel(axes: Axes, name: str, history: Sequence[Record], steps_an_epoch: float | None) -> None:
    values = [record[name] for record in history if name in record]
    if name == "loss" and values and max(values) > 100 * min(values) > 0:
        axes.set_yscale("log")  # a young net's moving averages can be far off
        axes.yaxis.set_major_formatter("{x:g}")
    if name == "learning_rate":
        _rate(axes, history)
    else:
        _both_splits(axes, name, history)
    _name_curves(axes)
    _label(axes, name)
    if steps_an_epoch:
        scale = (lambda x: x / steps_an_epoch, lambda x: x * steps_an_epoch)
        axes.secondary_xaxis("top", functions=scale).set_xlabel("epoch")


def _label(axes: Axes, name: str) -> None:
    labels = {"loss": "cross entropy (nats)", "accuracy": "accuracy", "learning_rate": "learning rate"}
    axes.set(xlabel="step", ylabel=labels[name])
    axes.grid(alpha=0.3)
    if name == "learning_rate":
        axes.set_ylim(bottom=min(0, axes.dataLim.y0))


def _both_splits(axes: Axes, name: str, history: Sequence[Record]) -> None:
    for split, color in (("train", TRAIN), ("val", VALIDATION)):
        steps, values = _points(history, split, name)
        if not steps:
            continue
        if split == "train":
            axes.plot(steps, values, color=color, alpha=0.25, linewidth=0.8)
            smooth = _smooth(values)
            axes.plot(steps, smooth, color=color, linewidth=1.6, label=f"training batches, smoothed: {smooth[-1]:.3f}")
        else:
            label = f"validation: {values[-1]:.3f}"
            axes.plot(steps, values, color=color, linewidth=1.6, label=label, marker="o", markersize=3.5)


def _rate(axes: Axes, history: Sequence[Record], color: str = RATE, label: str | None = None) -> None:
    steps, values = _points(history, "train", "learning_rate")
    axes.plot(steps, values, color=color, linewidth=1.6, label=label)


def _points(history: Sequence[Record], split: str, name: str) -> tuple[list[int], list[float]]:
    """(steps, values) of the records of a split that have that value."""
    records = [record for record in history if record["split"] == split and name in record]
    return [record["step"] for record in records], [record[name] for record in records]


def comparison(runs: Mapping[str, Sequence[Record]], title: str = "") -> Figure:
    """Training loss, smoothed, and validation accuracy of several runs side by side.

    Args:
      runs: {name: records}, as for `curves`.
      title: of the figure.
    """
    figure = _figure(11, 4.2, title)
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy")):
        _compared(axes, name, runs)
        _name_curves(axes)
    return finish(figure)


def compared(name: str, runs: Mapping[str, Sequence[Record]]) -> Figure:
    """One panel of `panels` with the curves of several runs, each in its `run_color`."""
    figure = _figure(5.2, 3.4)
    _compared(figure.subplots(), name, runs)
    return finish(figure)


def _compared(axes: Axes, name: str, runs: Mapping[str, Sequence[Record]]) -> None:
    for k, (run, history) in enumerate(runs.items()):
        color, run = run_color(k), shortened(readable(run), RUN_LENGTH)
        if name == "accuracy":
            steps, values = _points(history, "val", name)
            if steps:
                axes.plot(steps, values, color=color, marker="o", markersize=3.5, label=f"{run}: {values[-1]:.3f}")
        elif name == "loss":
            steps, values = _points(history, "train", name)
            axes.plot(steps, _smooth(values), color=color, label=run)
        else:
            _rate(axes, history, color, run)
    _label(axes, name)
    ylabels = {"loss": "cross entropy of training batches,\nsmoothed (nats)", "accuracy": "validation accuracy"}
    axes.set_ylabel(ylabels.get(name, axes.get_ylabel()))


def run_color(k: int) -> str:
    """The colour of run number `k` among several: '#1f77b4' for the first."""
    from matplotlib.colors import to_hex

    return to_hex(f"C{k % 10}")


def _name_curves(axes: Axes) -> None:
    """The curves' names in their own colours, where there is room: no legend to compare colours with."""
    if not axes.get_legend_handles_labels()[0]:
        return
    names = {"handlelength": 0, "handletextpad": 0, "labelcolor": "linecolor", "prop": {"weight": "bold"}}
    legend = axes.legend(loc="best", framealpha=0.7, edgecolor="none", **names)
    for handle in legend.legend_handles:
        handle.set_visible(False)


def _smooth(values: Sequence[float]) -> list[float]:
    """Exponential moving average over about a tenth of the values, 20 at most, unbiased at its start."""
    weight = 1 - 1 / max(1, min(len(values) / 10, 20))
    total, scale, smooth = 0.0, 0.0, []
    for value in values:
        total, scale = weight * total + (1 - weight) * value, weight * scale + (1 - weight)
        smooth.append(total / scale)
    return smooth


def denormalized(images: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """Undoes the input pipeline's normalization, for `image_grid`.

    Args:
      images: float [..., C], normalized: (x / 255 - mean) / std.
      mean, std: of each channel, in units of x / 255.

    Returns:
      float [..., C], x / 255 clipped to 0..1.
    """
    return (images * std + mean).clip(0, 1)


def image_grid(
    images: np.ndarray | Sequence[np.ndarray],
    captions: Sequence[str],
    columns: int = 8,
    colors: Sequence[str] | None = None,
    title: str = "",
) -> Figure:
    """A grid of images.

    Args:
      images: float [N, H, W, 3] in 0..1, or uint8.
      captions: N strings.
      columns: images in a row.
      colors: N colours of the captions.
      title: of the figure.
    """
    rows = max(1, -(-len(images) // columns))
    figure = _figure(1.4 * columns, 1.65 * rows, title)
    for i, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.axis("off")
        if i < len(images):
            axes.imshow(images[i])
            lines = [shortened(line, CAPTION_LENGTH) for line in readable(captions[i]).split("\n")]
            axes.set_title("\n".join(lines), fontsize=8, color=colors[i] if colors else "black")
    return finish(figure)


def confusion_matrix(matrix: np.ndarray, class_names: Sequence[str], title: str = "") -> Figure:
    """Which classes are taken for which.

    Args:
      matrix: int [C, C], images of class `row` that were taken for class `column`.
      class_names: C strings.
      title: of the figure.

    Returns:
      A figure. A cell's colour is its share of its row; with up to 20 classes its count stands in it.
    """
    from matplotlib.colors import PowerNorm
    from matplotlib.ticker import PercentFormatter

    classes, names = len(class_names), class_labels(class_names)
    few = classes <= COUNTED
    side = max(5.0, 0.58 * classes if few else 0.14 * classes)
    figure = _figure(side + 1.6, side, title)
    figure.set_layout_engine("compressed")  # the axes are square
    axes = figure.subplots()
    share = matrix / matrix.sum(axis=1, keepdims=True).clip(1)
    # Without the counts, small shares have to be seen by their colour.
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
    """The number of each cell, in a colour that can be read on the cell's."""
    for row, counts in enumerate(matrix):
        for column, count in enumerate(counts):
            color = "white" if share[row, column] > 0.5 else "black" if count else "0.75"
            axes.text(column, row, f"{count:,}", ha="center", va="center", color=color, fontsize=8)


def calibration(bins: Sequence[Record], error: float, title: str = "") -> Figure:
    """How far the net's confidence can be believed: a reliability diagram over the shares of the images.

    Args:
      bins: of equal width from 0 to 1, as `metrics.calibration_bins` has them: {"images": int, "confidence": mean in
        0..1 or None, "accuracy": 0..1 or None}.
      error: the expected calibration error, 0..1.
      title: of the figure.
    """
    from matplotlib.ticker import PercentFormatter

    figure = _figure(5.2, 4.6, title)
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


def png(figure: Figure) -> bytes:
    """A figure as a PNG file at twice a screen's pixels."""
    file = io.BytesIO()
    figure.savefig(file, dpi=DPI, format="png")
    return file.getvalue()


def svg(figure: Figure) -> str:
    """A figure as an `<svg>` element for a page: transparent, its text in the page's colour and in the page's font."""
    import matplotlib
    from matplotlib.legend import Legend

    for legend in figure.findobj(Legend):
        legend.get_frame().set_alpha(0)  # its white
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "graph_resnet"}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = file.getvalue().decode()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    root, rest = text.split(">", 1)
    root = re.sub(r' (width|height)="[^"]+"', "", root)  # as wide as its place on the page
    text = f'{root} fill="currentColor">{rest}'.replace("#000000", "currentColor")
    return re.sub(r"font-family: [^;\"]*", "font-family: system-ui, sans-serif", text)


def save(figure: Figure, path: str | Path) -> None:
    """Writes a figure as a PNG; a reader meanwhile sees the old file or the new one."""
    files.write(path, png(figure))
