"""Predicts class probabilities with a trained net. Typical use, for a few images and for a service:

    for prediction in predict("runs/notebook", ["cat.jpg", array]):
        print(prediction.class_name, prediction.probability)

    with Predictor("runs/notebook") as predictor:
        prediction = predictor(image)[0]

A `Predictor` keeps one graph and one session for any number of calls.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from graph_resnet import config, machine
from graph_resnet.data import image_files
from graph_resnet.data.of_runs import record_side
from graph_resnet.errors import UserError
from graph_resnet.inference import metrics
from graph_resnet.session import resolved_precision

BATCH = 128  # images at once


@dataclass(frozen=True)
class Prediction:
    """A net's prediction for one image.

    Attributes:
      image: as passed by the caller: a path, a PIL image or an array.
      class_name, label, probability: the most probable class, its number, and its probability, 0..1.
      probabilities: float64 [C], of each class.
      class_names: C strings.
    """

    image: Any = field(repr=False)
    class_name: str
    label: int
    probability: float
    probabilities: np.ndarray = field(repr=False)
    class_names: tuple[str, ...] = field(repr=False)

    def top(self, count: int) -> list[dict[str, Any]]:
        """The most probable classes as dicts {"class", "label", "probability"}; of equals, the lower label first."""
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [
            {
                "class": self.class_names[k],
                "label": int(k),
                "probability": round(float(self.probabilities[k]), 6),
            }
            for k in order
        ]


def predict(train_dir: str | Path, images: Any, *, checkpoint: str | Path | None = None) -> list[Prediction]:
    """Classifies images with a trained net, in float32, in a new graph.

    Each image is converted to the size of a training record (`image_files.load`), then normalized and resized as in
    training.

    Args:
      train_dir: of a run of `graph_resnet.train`.
      images: paths of image files, PIL images and uint8 arrays [H, W], [H, W, 3] (RGB) or [H, W, 4] (RGBA), of any
        sizes; or a single one of them, or an array [N, H, W, 3].
      checkpoint: as in `evaluation.evaluate`.

    Returns:
      A `Prediction` for each image, in order.

    Raises:
      UserError: one line: no such train dir, a checkpoint that does not fit, an image that cannot be used, ...
    """
    with Predictor(train_dir, checkpoint=checkpoint) as predictor:
        return predictor(images)


class Predictor:
    """A trained net for any number of calls, from one or several threads.

    Args:
      train_dir: of a run of `graph_resnet.train`.
      checkpoint, precision, threads, before_tensorflow: as in `evaluation.evaluate`. For one image at a time,
        precision='auto' and threads=1 are quickest; the latter counts where no session of the process was open before.

    Attributes:
      class_names: C strings.
      checkpoint: its prefix.
      notes: lines about newer checkpoints that could not be read, and retired fields of config.json.

    Raises:
      UserError: no such train dir, a checkpoint that does not fit, or a precision that this CPU does not have.
    """

    def __init__(
        self,
        train_dir: str | Path,
        *,
        checkpoint: str | Path | None = None,
        precision: str = "float32",
        threads: int | None = None,
        before_tensorflow: Callable[[], object] | None = None,
    ):
        net = config.read(train_dir)
        precision = resolved_precision(precision, net.precision)
        if before_tensorflow is not None:
            before_tensorflow()
        import tensorflow.compat.v1 as tf

        from graph_resnet.inference import restore, saved_model

        self.class_names = net.class_names
        self.notes = list(net.notes)
        self.checkpoint = restore.find_checkpoint(train_dir, checkpoint, say=self.notes.append)
        self._side = record_side(net.recipe)
        with tf.Graph().as_default():
            # Weights as constants, batch norm folded: for one image that is twice as quick.
            tf.import_graph_def(saved_model.frozen(net, self.checkpoint, threads=threads), name="")
            self._session = restore.session(precision, threads=threads, inline=True)
            self._logits = self._session.make_callable("logits:0", ["images:0"])
        self._graph_errors = (tf.errors.OpError, RuntimeError)
        self._pool = ThreadPoolExecutor(machine.cores())
        self._closed = False

    def __call__(self, images: Any) -> list[Prediction]:
        """Classifies images: see `predict`."""
        results = list(self.stream([images] if _is_one(images) else images))
        for result in results:
            if isinstance(result, UserError):
                raise result
        return results

    def stream(self, images: Iterable[Any]) -> Iterator[Prediction | UserError]:
        """Yields a `Prediction` or, for an unusable image, a `UserError`; in order, computed in batches.

        Raises:
          UserError: the net diverged, or the predictor is closed.
        """
        if self._closed:
            raise UserError(
                f"Predictor of {self.checkpoint}: it is closed; use it inside its `with`, or make a new one"
            )
        iterator = iter(images)
        while batch := list(itertools.islice(iterator, BATCH)):
            load = functools.partial(_load, side=self._side)
            with image_files.quiet():
                loaded = [load(batch[0])] if len(batch) == 1 else list(self._pool.map(load, batch))
            pixels = [image for image in loaded if not isinstance(image, UserError)]
            rows = iter(self._probabilities(pixels) if pixels else ())
            for image, array in zip(batch, loaded):
                yield array if isinstance(array, UserError) else self._prediction(image, next(rows))

    def _probabilities(self, pixels: list[np.ndarray]) -> np.ndarray:
        try:
            logits = self._logits(np.stack(pixels))
        except self._graph_errors as error:
            raise UserError(f"checkpoint {self.checkpoint}: the net cannot be run ({error})") from error
        if not np.isfinite(logits).all():
            raise UserError(f"checkpoint {self.checkpoint}: the net's output is not finite: it diverged")
        return metrics.softmax(logits)

    def _prediction(self, image: Any, probabilities: np.ndarray) -> Prediction:
        best = int(probabilities.argmax())
        return Prediction(
            image, self.class_names[best], best, float(probabilities[best]), probabilities, self.class_names
        )

    def close(self) -> None:
        """Closes the session and the threads."""
        self._closed = True
        self._session.close()
        self._pool.shutdown()

    def __enter__(self) -> Predictor:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _is_one(images: Any) -> bool:
    """Whether the argument is a single image, or something that can only be meant as one."""
    if isinstance(images, (str, bytes, os.PathLike, Image.Image)) or not isinstance(images, Iterable):
        return True
    return getattr(images, "ndim", None) in (0, 2, 3)


def _load(image: Any, side: int) -> np.ndarray | UserError:
    """An image of any accepted kind as uint8 [side, side, 3], or what is wrong with it."""
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.shape == (side, side, 3):
        return image  # as it would come out
    try:
        if isinstance(image, (str, os.PathLike)):
            return image_files.load(image, side)
        return image_files.from_image(image if isinstance(image, Image.Image) else _from_array(image), side)
    except UserError as error:
        return error


def _from_array(array: Any) -> Image.Image:
    if not isinstance(array, np.ndarray):
        raise UserError(f"image: {type(array).__name__}; pass a path, a PIL image or a uint8 array [H, W, 3]")
    fits = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if array.dtype != np.uint8 or not fits or 0 in array.shape:
        raise UserError(f"image: array {array.dtype} {list(array.shape)}; pass uint8 [H, W, 3], [H, W, 4] or [H, W]")
    return Image.fromarray(array)
