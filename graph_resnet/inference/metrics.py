"""Metrics of a classifier's logits: accuracy, loss, calibration, confusion. NumPy only.

The calibration error is from
[1] C. Guo, G. Pleiss, Y. Sun, K. Weinberger: On calibration of modern neural networks, arXiv:1706.04599, 2017.

Typical use, with float logits [N, C] and int labels [N]:

    probabilities = softmax(logits)
    accuracy = (ranks(logits, labels) == 0).mean()
    top5 = (ranks(logits, labels) < 5).mean()
"""

from typing import Any

import numpy as np


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """float [N, C] -> float64 [N, C], natural logarithms of probabilities."""
    shifted = np.asarray(logits, np.float64) - np.max(logits, axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def softmax(logits: np.ndarray) -> np.ndarray:
    """float [N, C] -> float64 [N, C] in 0..1, rows that sum to 1."""
    return np.exp(log_softmax(logits))


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """float64 [N], in nats, of logits [N, C] and int labels [N]."""
    return -log_softmax(logits)[np.arange(len(labels)), labels]


def ranks(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The number of classes ranked before the true one: int [N], 0 if the prediction is right, below k for top-k.

    Of equal logits the lower class number ranks first, as in argmax.
    """
    labels = np.asarray(labels)[:, None]
    true = np.take_along_axis(logits, labels, axis=1)
    before = (logits == true) & (np.arange(logits.shape[1]) < labels)
    return ((logits > true) | before).sum(axis=1)


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """int64 [C, C]: number of images of class `row` predicted as class `column`."""
    index = np.asarray(labels, np.int64) * num_classes + predictions
    return np.bincount(index, minlength=num_classes**2).reshape(num_classes, num_classes)


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """The expected calibration error [1, eq. 3]: the mean difference between confidence and accuracy.

    Args:
      probabilities: float [N, C]; an image's confidence is its largest probability.
      labels: int [N].
      bins: equal intervals (m / bins, (m + 1) / bins] of confidence; 15 in [1].

    Returns:
      float in 0..1.
    """
    _, confidence, right = _bin_sums(probabilities, labels, bins)
    return float(np.abs(right - confidence).sum() / len(labels))


def calibration_bins(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> list[dict[str, Any]]:
    """The bins of `calibration_error`, lowest confidence first.

    Returns:
      Dicts {"images": int, "confidence": mean, 0..1, "accuracy": 0..1}; the last two are None without images.
    """
    return [
        {"images": int(n), "confidence": float(c / n) if n else None, "accuracy": float(r / n) if n else None}
        for n, c, r in zip(*_bin_sums(probabilities, labels, bins))
    ]


def _bin_sums(probabilities: np.ndarray, labels: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each bin: number of images, sum of their confidences, number of right predictions. float64 [bins]."""
    confidence = np.max(probabilities, axis=1)
    right = ranks(probabilities, labels) == 0
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    return (
        np.bincount(index, minlength=bins),
        np.bincount(index, weights=confidence, minlength=bins),
        np.bincount(index, weights=right, minlength=bins),
    )
