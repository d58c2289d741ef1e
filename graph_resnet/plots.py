"""Pictures of a run: curves, grids of images. matplotlib is imported on first use, with no display needed."""

import os
import textwrap


def _figure(width, height):
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def curves(history, title="", steps_an_epoch=None):
    """Loss and accuracy side by side, training and validation in one plot each.

    Args:
      history: the records of a run, as `loop.session_loop.train_with_bn` returns them.
      title: str.
      steps_an_epoch: float; adds an axis of epochs.

    Returns:
      A matplotlib Figure.
    """
    figure = _figure(11, 4.2)
    figure.suptitle(title)
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy")):
        losses = [r["loss"] for r in history]
        if name == "loss" and losses and max(losses) > 100 * min(losses) > 0:
            axes.set_yscale("log")  # a young net's moving averages can be far off
            axes.yaxis.set_major_formatter("{x:g}")
        for split, color in (("train", "tab:blue"), ("val", "tab:orange")):
            points = [(r["step"], r[name]) for r in history if r["split"] == split]
            if not points:
                continue
            steps, values = zip(*points)
            label = "validation"
            if split == "train":
                axes.plot(steps, values, color=color, alpha=0.25, linewidth=0.8)
                values, label = _smooth(values), "training batches, smoothed"
            style = {"marker": "o", "markersize": 3.5} if split == "val" else {}
            axes.plot(steps, values, color=color, linewidth=1.6, label=f"{label}: {values[-1]:.3f}", **style)
        _name_curves(axes)
        axes.set(xlabel="step", ylabel="cross entropy (nats)" if name == "loss" else "accuracy")
        axes.grid(alpha=0.3)
        if steps_an_epoch:
            scale = (lambda x: x / steps_an_epoch, lambda x: x * steps_an_epoch)
            axes.secondary_xaxis("top", functions=scale).set_xlabel("epoch")
    return figure


def comparison(runs, title=""):
    """Training loss, smoothed, and validation accuracy of several runs side by side.

    Args:
      runs: {name: records}, as for `curves`.
      title: str.

    Returns:
      A matplotlib Figure.
    """
    figure = _figure(11, 4.2)
    figure.suptitle(title)
    loss, accuracy = figure.subplots(1, 2)
    for name, history in runs.items():
        train, val = ([r for r in history if r["split"] == split] for split in ("train", "val"))
        loss.plot([r["step"] for r in train], _smooth([r["loss"] for r in train]), label=name)
        values = [r["accuracy"] for r in val]
        accuracy.plot([r["step"] for r in val], values, marker="o", markersize=3.5, label=f"{name}: {values[-1]:.3f}")
    loss.set(xlabel="step", ylabel="cross entropy of training batches, smoothed (nats)")
    accuracy.set(xlabel="step", ylabel="validation accuracy")
    for axes in (loss, accuracy):
        axes.grid(alpha=0.3)
        _name_curves(axes)
    return figure


def _name_curves(axes):
    """No legend to compare colours with: the curves' names in their own, where there is room."""
    if not axes.has_data():
        return
    names = {"handlelength": 0, "handletextpad": 0, "labelcolor": "linecolor", "prop": {"weight": "bold"}}
    legend = axes.legend(loc="best", framealpha=0.7, edgecolor="none", **names)
    for handle in legend.legend_handles:
        handle.set_visible(False)


def _smooth(values):
    """Exponential moving average over about a tenth of the values, 20 at most, unbiased at its start."""
    weight = 1 - 1 / max(1, min(len(values) / 10, 20))
    total, scale, smooth = 0.0, 0.0, []
    for value in values:
        total, scale = weight * total + (1 - weight) * value, weight * scale + (1 - weight)
        smooth.append(total / scale)
    return smooth


def save(figure, path):
    """Writes a figure as a PNG; whoever reads the file meanwhile sees the old picture or the new one."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a class may be named "$5"
    draft = f"{path}.new"
    figure.savefig(draft, dpi=110, format="png")
    os.replace(draft, path)


def denormalized(images, mean, std):
    """Undoes the input pipeline's normalization, for `image_grid`.

    Args:
      images: float [..., C], normalized: (x / 255 - mean) / std.
      mean, std: of each channel, in units of x / 255.

    Returns:
      float [..., C], x / 255 clipped to 0..1.
    """
    return (images * std + mean).clip(0, 1)


def image_grid(images, captions, columns=8, colors=None):
    """A grid of pictures.

    Args:
      images: float [N, H, W, 3] in 0..1, or uint8.
      captions: N strings.
      columns: int.
      colors: N colours of the captions.

    Returns:
      A matplotlib Figure.
    """
    rows = max(1, -(-len(images) // columns))
    figure = _figure(1.4 * columns, 1.65 * rows)
    for i, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.axis("off")
        if i < len(images):
            axes.imshow(images[i])
            axes.set_title(captions[i], fontsize=8, color=colors[i] if colors else "black")
    return figure


def confusion_matrix(matrix, class_names, title=""):
    """Which classes are taken for which.

    Args:
      matrix: int [C, C], images of class `row` that were taken for class `column`.
      class_names: C strings.
      title: str.

    Returns:
      A matplotlib Figure. A cell's colour is its share of its row; with up to 20 classes its count stands in it.
    """
    from matplotlib.colors import PowerNorm
    from matplotlib.ticker import PercentFormatter

    classes = len(class_names)
    few = classes <= 20
    side = max(5.0, 0.58 * classes if few else 0.14 * classes)
    figure = _figure(side + 1.6, side)
    figure.set_layout_engine("compressed")  # the axes are square
    lines = [textwrap.fill(line, int(12 * (side + 1.6))) for line in title.splitlines()]
    figure.suptitle("\n".join(lines), fontsize=10)
    axes = figure.subplots()
    share = matrix / matrix.sum(axis=1, keepdims=True).clip(1)
    # Without the counts, small shares have to be seen by their colour.
    picture = axes.imshow(share, cmap="Blues", norm=PowerNorm(1 if few else 0.5, 0, 1))
    axes.set(xlabel="predicted", ylabel="true")
    size = 9 if few else 5.5
    axes.set_xticks(range(classes), class_names, rotation=45 if few else 90, fontsize=size)
    if few:
        for tick in axes.get_xticklabels():
            tick.set(ha="right", rotation_mode="anchor")
    axes.set_yticks(range(classes), class_names, fontsize=size)
    if few:
        for row in range(classes):
            for column in range(classes):
                color = "white" if share[row, column] > 0.5 else "black" if matrix[row, column] else "0.75"
                text = f"{matrix[row, column]:,}"
                axes.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
    bar = figure.colorbar(picture, shrink=0.8, format=PercentFormatter(1))
    bar.set_label("of the images of the true class")
    return figure
