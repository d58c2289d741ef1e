"""Plots of runs: curves, grids of images. `evaluation_plots` has those of an evaluation.

Imports matplotlib on first use; needs no display.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graph_resnet import files
from graph_resnet.plot_defaults import plot
from graph_resnet.plot_text import finish, readable, shortened

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 200  # of a PNG, twice that of a screen
TRAIN, VALIDATION, RATE = "tab:blue", "tab:orange", "tab:green"
CAPTION_LENGTH, RUN_LENGTH = 22, 28  # characters in a line of a caption, in the name of a run

Record = Mapping[str, Any]


def new_figure(width: float, height: float, title: str = "") -> Figure:
    """An empty figure of that size in inches, with a title."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    if title:
        lines = [textwrap.fill(line, int(13 * width)) for line in readable(title).splitlines()]
        figure.suptitle("\n".join(lines), fontsize=10)
    return figure


@plot
def curves(history: Sequence[Record], title: str = "", steps_an_epoch: float | None = None) -> Figure:
    """Loss, accuracy and, if recorded, learning rate of a run, each in its own panel.

    Args:
      history: the records of a run, as the session loop returns them.
      title: of the figure.
      steps_an_epoch: adds an axis of epochs.
    """
    names = panels(history)
    figure = new_figure(5.5 * len(names), 4.2, title)
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names):
        _panel(axes, name, history, steps_an_epoch)
    return finish(figure)


def panels(history: Sequence[Record]) -> list[str]:
    """The values that `curve` can draw: 'loss', 'accuracy' and, if recorded, 'learning_rate'."""
    rated = any("learning_rate" in record for record in history)
    return ["loss", "accuracy", *(["learning_rate"] if rated else [])]


@plot
def curve(name: str, history: Sequence[Record], steps_an_epoch: float | None = None) -> Figure:
    """One panel of `curves`, for a narrow page."""
    figure = new_figure(5.2, 3.4)
    _panel(figure.subplots(), name, history, steps_an_epoch)
    return finish(figure)


def _panel(axes: Axes, name: str, history: Sequence[Record], steps_an_epoch: float | None) -> None:
    values = [record[name] for record in history if name in record]
    if name == "loss" and values and max(values) > 100 * min(values) > 0:
        axes.set_yscale("log")  # early in training, evaluation with the moving averages can be far off
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
    """(steps, values) of the records of a split that have this value."""
    records = [record for record in history if record["split"] == split and name in record]
    return [record["step"] for record in records], [record[name] for record in records]


@plot
def comparison(
    runs: Mapping[str, Sequence[Record]], title: str = "", steps_an_epoch: Mapping[str, float] | None = None
) -> Figure:
    """Smoothed training loss and validation accuracy of several runs, side by side.

    Args:
      runs: {name: records}, as for `curves`.
      title: of the figure.
      steps_an_epoch: {name: steps}; if passed, the axis shows epochs, for runs with different batch sizes.
    """
    figure = new_figure(11, 4.2, title)
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy")):
        _compared(axes, name, runs, steps_an_epoch)
        _name_curves(axes)
    return finish(figure)


@plot
def compared(
    name: str, runs: Mapping[str, Sequence[Record]], steps_an_epoch: Mapping[str, float] | None = None
) -> Figure:
    """One panel with the curves of several runs, each in its `run_color`; see `comparison`."""
    figure = new_figure(5.2, 3.4)
    _compared(figure.subplots(), name, runs, steps_an_epoch)
    return finish(figure)


def _compared(
    axes: Axes, name: str, runs: Mapping[str, Sequence[Record]], steps_an_epoch: Mapping[str, float] | None
) -> None:
    for k, (run, history) in enumerate(runs.items()):
        if steps_an_epoch:
            history = [{**record, "step": record["step"] / steps_an_epoch[run]} for record in history]
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
    axes.set_xlabel("epoch" if steps_an_epoch else "step")


@plot
def run_color(k: int) -> str:
    """The colour of run number `k`: '#1f77b4' for the first."""
    from matplotlib.colors import to_hex

    return to_hex(f"C{k % 10}")


def _name_curves(axes: Axes) -> None:
    """A legend with each name in its curve's colour, so that nobody has to match line samples."""
    if not axes.get_legend_handles_labels()[0]:
        return
    names = {"handlelength": 0, "handletextpad": 0, "labelcolor": "linecolor", "prop": {"weight": "bold"}}
    legend = axes.legend(loc="best", framealpha=0.7, edgecolor="none", **names)
    for handle in legend.legend_handles:
        handle.set_visible(False)


def _smooth(values: Sequence[float]) -> list[float]:
    """Exponential moving average over about a tenth of the values, at most 20, without bias at the start."""
    weight = 1 - 1 / max(1, min(len(values) / 10, 20))
    total, scale, smooth = 0.0, 0.0, []
    for value in values:
        total, scale = weight * total + (1 - weight) * value, weight * scale + (1 - weight)
        smooth.append(total / scale)
    return smooth


def denormalized(images: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """Reverses the input pipeline's normalization, for `image_grid`.

    Args:
      images: float [..., C], normalized: (x / 255 - mean) / std.
      mean, std: of each channel, in units of x / 255.

    Returns:
      float [..., C], x / 255 clipped to 0..1.
    """
    return (images * std + mean).clip(0, 1)


@plot
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
    figure = new_figure(1.4 * columns, 1.65 * rows, title)
    for i, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.axis("off")
        if i < len(images):
            axes.imshow(images[i])
            lines = [shortened(line, CAPTION_LENGTH) for line in readable(captions[i]).split("\n")]
            axes.set_title("\n".join(lines), fontsize=8, color=colors[i] if colors else "black")
    return finish(figure)


@plot
def png(figure: Figure) -> bytes:
    """A figure as a PNG file with twice a screen's resolution."""
    file = io.BytesIO()
    figure.savefig(file, dpi=DPI, format="png")
    return file.getvalue()


@plot
def svg(figure: Figure) -> str:
    """A figure as an `<svg>` element for a page: transparent, with text in the page's colour and font."""
    import matplotlib
    from matplotlib.legend import Legend

    for legend in figure.findobj(Legend):
        legend.get_frame().set_alpha(0)  # removes the white background
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "graph_resnet"}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = file.getvalue().decode()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    root, rest = text.split(">", 1)
    root = re.sub(r' (width|height)="[^"]+"', "", root)  # it takes the width of its place on the page
    text = f'{root} fill="currentColor">{rest}'.replace("#000000", "currentColor")
    return re.sub(r"font-family: [^;\"]*", "font-family: system-ui, sans-serif", text)


def save(figure: Figure, path: str | Path) -> None:
    """Writes a figure as a PNG, atomically."""
    files.write(path, png(figure))
