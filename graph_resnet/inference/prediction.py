"""Picture files -> class probabilities of a trained net, a batch at a time."""

import functools
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow.compat.v1 as tf

from graph_resnet import machine
from graph_resnet.data import image_files
from graph_resnet.data.find import record_side
from graph_resnet.errors import UserError
from graph_resnet.inference import metrics, restore
from graph_resnet.session import session_config

BATCH = 128


def predict(trained, checkpoint, paths):
    """Classifies picture files, in float32, in a graph of its own.

    Each becomes a picture of the size of a training record (`image_files.load`), and then what the net saw in training:
    normalized and resized as `cifar10_input` does it.

    Args:
      trained: a `config.TrainedNet`.
      checkpoint: prefix of the checkpoint.
      paths: list of str.

    Yields:
      (path, float64 [num_classes] probabilities), or (path, `UserError`) for a file that cannot be used; in order.
    """
    side = record_side(trained.recipe)
    with (
        tf.Graph().as_default(),
        tf.Session(config=session_config()) as session,
        ThreadPoolExecutor(machine.cores()) as pool,
    ):
        images = tf.placeholder(tf.uint8, [None, side, side, 3])
        logits = restore.logits_of_pictures(trained, images)
        restore.load(session, checkpoint)
        for first in range(0, len(paths), BATCH):
            batch = paths[first : first + BATCH]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow's: a line for each bad file is enough
                loaded = list(pool.map(functools.partial(_load, side=side), batch))
            good = [each for each in loaded if not isinstance(each, UserError)]
            found = iter(_probabilities(session.run(logits, {images: good}), checkpoint) if good else ())
            for path, each in zip(batch, loaded):
                yield path, (each if isinstance(each, UserError) else next(found))


def _load(path, side):
    try:
        return image_files.load(path, side)
    except UserError as error:
        return error


def _probabilities(logits, checkpoint):
    if not np.isfinite(logits).all():
        raise UserError(f"checkpoint {checkpoint}: the net's output is not finite: it diverged")
    return metrics.softmax(logits)


def best(probabilities, class_names, top):
    """The `top` likeliest classes: dicts {"class", "label", "probability"}, likeliest first."""
    order = np.argsort(-probabilities, kind="stable")[:top]
    return [{"class": class_names[k], "label": int(k), "probability": round(float(probabilities[k]), 6)} for k in order]
