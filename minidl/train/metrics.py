"""How good predictions are: accuracy, and scikit-learn's confusion matrix and report for each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl._tensor import Tensor
from minidl.errors import ExtraError, ShapeError

__all__ = ["accuracy", "classification_report", "confusion_matrix"]


def accuracy(predictions: Tensor | np.ndarray, labels: Tensor | np.ndarray) -> float:
    """The fraction of right answers, in [0, 1].

    predictions: classes (N,), or scores (N, C) whose largest is the answer. labels: classes (N,). NaN for N = 0.
    Raises ShapeError where the two do not fit.
    """
    predicted, true = _classes(predictions), np.asarray(labels)
    if predicted.shape != true.shape or true.ndim != 1:
        raise ShapeError(
            "accuracy", expected="as many predictions as labels (N,)", got=f"{predicted.shape}, {true.shape}"
        )
    return float(np.mean(predicted == true)) if len(true) else float("nan")


def confusion_matrix(predictions: Tensor | np.ndarray, labels: Tensor | np.ndarray, num_classes: int) -> np.ndarray:
    """Counts (C, C): row = true class, column = predicted class; the diagonal holds the right answers.

    predictions: classes (N,) or scores (N, C); labels: classes (N,). As ``sklearn.metrics.confusion_matrix``.
    """
    if not len(np.asarray(labels)):
        return np.zeros((num_classes, num_classes), np.int64)  # scikit-learn refuses to count nothing
    metrics = _sklearn("confusion_matrix")
    return metrics.confusion_matrix(np.asarray(labels), _classes(predictions), labels=np.arange(num_classes))


def classification_report(
    predictions: Tensor | np.ndarray, labels: Tensor | np.ndarray, classes: Sequence[str]
) -> dict[str, Any]:
    """Precision, recall, F1 and support of every class and their averages, by name.

    predictions: classes (N,) or scores (N, C); labels: classes (N,); classes: the name of each class. A class that was
    never predicted has precision 0. As ``sklearn.metrics.classification_report(output_dict=True)``.
    """
    metrics = _sklearn("classification_report")
    return metrics.classification_report(
        np.asarray(labels),
        _classes(predictions),
        labels=np.arange(len(classes)),
        target_names=list(classes),
        output_dict=True,
        zero_division=0,
    )


def _classes(predictions: Tensor | np.ndarray) -> np.ndarray:
    array = np.asarray(predictions)
    return array.argmax(axis=1) if array.ndim == 2 else array


def _sklearn(who: str) -> Any:
    try:
        from sklearn import metrics
    except ImportError as error:
        raise ExtraError(who, "scikit-learn") from error
    return metrics
