"""A trained net over a whole split: its logits, what they are worth, and the pictures of it.

Every image is counted, once. The calibration error is that of C. Guo, G. Pleiss, Y. Sun, K. Weinberger: On calibration
of modern neural networks, arXiv:1706.04599, 2017, with their 15 bins.
"""

from pathlib import Path

import numpy as np
import tensorflow.compat.v1 as tf
from tqdm import tqdm

from graph_resnet import plots
from graph_resnet.data import batches
from graph_resnet.errors import UserError
from graph_resnet.inference import metrics, restore
from graph_resnet.session import session_config

MISTAKES = 40  # pictures in mistakes.png


def run(trained, checkpoint, records, *, split="val", tta=False, precision="float32", threads=None):
    """Logits and labels of every image of a split, in order, in a graph of its own.

    Args:
      trained: a `config.TrainedNet`.
      checkpoint: prefix of the checkpoint.
      records: `find.Records`.
      split: 'val', 'test', or 'train', which is not augmented here: see `Records.split`.
      tta: averages the logits of each image and of its mirror image (test-time augmentation).
      precision: 'bfloat16' or 'float32'.
      threads: int, all cores where None.

    Returns:
      (float32 [N, C], int32 [N]).

    Raises:
      UserError: the checkpoint does not fit, or the net's output is not finite.
    """
    recipe = trained.recipe
    with tf.Graph().as_default(), tf.Session(config=session_config(precision, threads=threads)) as session:
        # Batches of the size in training: the same numbers to the last bit, wherever a kernel depends on that size.
        images, labels = batches.in_order(
            records, recipe.image_size, recipe.batch_size, split=split, mean=recipe.mean, std=recipe.std
        )
        logits = restore.logits(trained, images)
        if tta:
            logits = (logits + restore.logits(trained, tf.reverse(images, [2]), reuse=True)) / 2
        # TensorFlow's rewrite to bfloat16 leaves what is fetched in float32. In training the last layer is not fetched,
        # and here it shall compute the same: so something behind it is.
        logits = tf.identity(logits)
        restore.load(session, checkpoint)
        session.run(tf.local_variables_initializer())
        session.run(tf.tables_initializer())
        _, _, total = records.split(split)
        parts, seen = [], 0
        with tqdm(total=total, desc="evaluation", unit="image", leave=False, disable=None) as bar:
            while seen < total:
                parts.append(session.run([logits, labels]))
                seen += len(parts[-1][1])
                bar.update(len(parts[-1][1]))
    if seen != total:
        raise RuntimeError(f"evaluated {seen} images of {total}")
    logits, labels = (np.concatenate(each) for each in zip(*parts))
    wrong = np.count_nonzero(~np.isfinite(logits).all(axis=1))
    if wrong:
        raise UserError(f"checkpoint {checkpoint}: the net's output is not finite for {wrong:,} images: it diverged")
    return logits, labels


def measures(logits, labels, class_names):
    """What logits [N, C] are worth, ready for JSON: see `python -m graph_resnet.evaluate --help`."""
    ranks = metrics.ranks(logits, labels)
    matrix = metrics.confusion_matrix(labels, logits.argmax(axis=1), len(class_names))
    counts = matrix.sum(axis=1)
    return {
        "images": len(labels),
        "loss": float(metrics.cross_entropy(logits, labels).mean()),
        "accuracy": float((ranks == 0).mean()),
        "top5_accuracy": float((ranks < 5).mean()),
        "calibration_error": metrics.calibration_error(metrics.softmax(logits), labels),
        "classes": [
            {"name": name, "images": int(count), "accuracy": float(right / count) if count else None}
            for name, count, right in zip(class_names, counts, matrix.diagonal())
        ],
        "confusion": matrix.tolist(),
    }


def table(result):
    """The result of `measures` as text."""
    lines = [
        f"loss               {result['loss']:8.4f}  nats",
        f"accuracy           {result['accuracy']:8.2%}",
        f"top-5 accuracy     {result['top5_accuracy']:8.2%}",
        f"calibration error  {result['calibration_error']:8.4f}  expected, 15 bins",
        "",
    ]
    names = [each["name"] for each in result["classes"]]
    width = max(len("class"), *map(len, names))
    lines.append(f"{'class':<{width}}  {'images':>7}  {'accuracy':>8}  most often taken for")
    for each, row in zip(result["classes"], np.array(result["confusion"])):
        index = names.index(each["name"])
        others = np.where(np.arange(len(row)) == index, 0, row)
        worst = int(others.argmax())
        rest = f"{names[worst]} {others[worst] / each['images']:.1%}" if others[worst] else "-"
        accuracy = "-" if each["accuracy"] is None else f"{each['accuracy']:.2%}"
        lines.append(f"{each['name']:<{width}}  {each['images']:>7,}  {accuracy:>8}  {rest}")
    return "\n".join(lines)


def save_pictures(directory, logits, labels, matrix, records, *, split, class_names, title):
    """Writes `confusion.png` and `mistakes.png` into a directory, and returns their paths by name.

    Raises:
      UserError: it cannot be written.
    """
    paths = {name: str(Path(directory) / f"{name}.png") for name in ("confusion", "mistakes")}
    probabilities = metrics.softmax(logits)
    try:
        right = f"{np.trace(matrix) / len(labels):.2%} right"
        plots.save(plots.confusion_matrix(np.array(matrix), class_names, f"{title}\n{right}"), paths["confusion"])
        plots.save(_mistakes(probabilities, labels, records, split, class_names, title), paths["mistakes"])
    except OSError as error:
        raise UserError(f"{directory}: cannot be written ({error.strerror or error}); pass --output-dir DIR") from None
    return paths


def _mistakes(probabilities, labels, records, split, class_names, title):
    """A figure of the most confident errors."""
    predictions = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predictions != labels)
    worst = wrong[np.argsort(-probabilities[wrong, predictions[wrong]], kind="stable")][:MISTAKES]
    captions = [
        "\n".join(f"{_short(class_names[k])} {probabilities[i, k]:.1%}" for k in (labels[i], predictions[i]))
        for i in worst
    ]
    figure = plots.image_grid(batches.images(records, worst, split), captions)
    what = f"the {len(worst)} most confident of {len(wrong):,} mistakes: the true class, then the prediction"
    figure.suptitle(f"{title}\n{what if len(worst) else 'no mistakes'}", fontsize=10)
    return figure


def _short(name, most=16):
    return name if len(name) <= most else name[: most - 1] + "…"
