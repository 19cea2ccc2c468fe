"""Cross entropy between logits and class indices: the softmax and the logarithm in one stable formula."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.plain.activation import log_softmax_forward

__all__ = ["cross_entropy_backward", "cross_entropy_forward"]


def _class_weights(weight: Any | None, like: Any) -> Any:
    """The weight of every class, (C,): ones where none is given."""
    return np.ones(like.shape[1], dtype=like.dtype, like=like) if weight is None else weight


def cross_entropy_forward(
    logits: Any, target: Any, weight: Any | None, ignore_index: int, label_smoothing: float
) -> tuple[Any, Any]:
    """The loss of every row, as ``torch.nn.functional.cross_entropy(..., reduction="none")``.

    With p = softmax(logits), y = target and s = label_smoothing::

        loss[n] = -(1 - s) * weight[y] * log p[n, y] - s / C * sum_c weight[c] * log p[n, c]

    ``logits`` (N, C); ``target`` (N,) int64 in [0, C) or ``ignore_index`` (the loss there is 0; the caller checks the
    range); ``weight`` (C,) or None. Returns the losses (N,) and the probabilities (N, C) that backward needs.
    """
    count, classes = logits.shape
    log_probabilities = log_softmax_forward(logits, 1)
    weight = _class_weights(weight, logits)
    ignored = target == ignore_index
    chosen = np.where(ignored, 0, target)
    losses = -weight[chosen] * log_probabilities[np.arange(count, like=logits), chosen]
    if label_smoothing:
        smooth = -(log_probabilities * weight).sum(axis=1)
        losses = (1 - label_smoothing) * losses + (label_smoothing / classes) * smooth
    return np.where(ignored, np.zeros_like(losses), losses), np.exp(log_probabilities)


def cross_entropy_backward(
    scale: Any, probabilities: Any, target: Any, weight: Any | None, ignore_index: int, label_smoothing: float
) -> Any:
    """The gradient with respect to the logits, (N, C), where ``scale`` (N,), or () for all rows, is dL/dloss[n].

    With p = probabilities, y = target, s = label_smoothing, W = sum of the weights and [.] = 1 where true::

        dlogits[n, c] = scale[n] * ((1 - s) * weight[y] * (p[n, c] - [c = y]) + s / C * (p[n, c] * W - weight[c]))

    Rows whose target is ``ignore_index`` get 0.
    """
    classes = probabilities.shape[1]
    weight = _class_weights(weight, probabilities)
    ignored = target == ignore_index
    chosen = np.where(ignored, 0, target)
    is_target = chosen[:, None] == np.arange(classes, like=probabilities)
    gradient = (1 - label_smoothing) * weight[chosen][:, None] * (probabilities - is_target)
    if label_smoothing:
        gradient += (label_smoothing / classes) * (probabilities * weight.sum() - weight)
    return np.where(ignored[:, None], np.zeros_like(gradient), scale.reshape(-1, 1) * gradient)
