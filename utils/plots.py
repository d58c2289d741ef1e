"""Pictures of a run: curves, grids of images. matplotlib is imported on first use, with no display needed."""

import os


def _figure(width, height):
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def curves(history, title="", steps_an_epoch=None):
    """Loss and accuracy side by side, training and validation in one plot each.

    Args:
      history: the records of a run, as `utils.learning.train_with_bn` returns them.
      title: str.
      steps_an_epoch: float; adds an axis of epochs.

    Returns:
      A matplotlib Figure.
    """
    figure = _figure(11, 4.2)
    figure.suptitle(title)
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy")):
        for split, color, label in (("train", "tab:blue", "training batch"), ("val", "tab:orange", "validation")):
            points = [(r["step"], r[name]) for r in history if r["split"] == split]
            if not points:
                continue
            steps, values = zip(*points)
            if split == "train":
                axes.plot(steps, values, color=color, alpha=0.25, linewidth=0.8)
                values, label = _smooth(values), "training batches, smoothed"
            axes.plot(steps, values, color=color, linewidth=1.6, marker="o" if split == "val" else None, markersize=3.5)
            last = f"{values[-1]:.3f}"
            axes.annotate(
                f"{label}: {last}", (steps[-1], values[-1]), xytext=(-6, 10), textcoords="offset points",
                ha="right", color=color, fontsize=9, fontweight="bold",
            )  # fmt: skip
        axes.set(xlabel="step", ylabel="cross entropy (nats)" if name == "loss" else "accuracy")
        axes.grid(alpha=0.3)
        if steps_an_epoch:
            scale = (lambda x: x / steps_an_epoch, lambda x: x * steps_an_epoch)
            axes.secondary_xaxis("top", functions=scale).set_xlabel("epoch")
    return figure


def _smooth(values, weight=0.95):
    """Exponential moving average, unbiased at its start."""
    total, scale, smooth = 0.0, 0.0, []
    for value in values:
        total, scale = weight * total + (1 - weight) * value, weight * scale + (1 - weight)
        smooth.append(total / scale)
    return smooth


def save_curves(history, path, **options):
    """Writes `curves` as a PNG, in one go."""
    save(curves(history, **options), path)


def save(figure, path):
    """Writes a figure as a PNG; whoever reads the file meanwhile sees the old picture or the new one."""
    draft = f"{path}.new"
    figure.savefig(draft, dpi=110, format="png")
    os.replace(draft, path)


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
    rows = -(-len(images) // columns)
    figure = _figure(1.4 * columns, 1.65 * rows)
    for i, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.axis("off")
        if i < len(images):
            axes.imshow(images[i])
            axes.set_title(captions[i], fontsize=8, color=colors[i] if colors else "black")
    return figure
