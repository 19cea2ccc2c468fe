"""Cross-entropy kernels against torch with random output gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minidl.kernels.cpu import loss as cpu
from minidl.kernels.plain import loss as plain

from .arrays import close, layouts, leaf, normal


@pytest.mark.parametrize("kernels", [plain, cpu])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("ignore_index", [-100, 2])
def test_cross_entropy_equals_torch(
    kernels: Any, dtype: Any, weighted: bool, smoothing: float, ignore_index: int
) -> None:
    tolerance = 1e-12 if dtype == np.float64 else 2e-6
    for count, classes in ((9, 10), (5, 3), (0, 4), (3, 1), (4, 37)):
        logits = (10 * normal(count, classes)).astype(dtype)
        target = np.random.default_rng(1).integers(0, classes, count)
        target[:1] = ignore_index if ignore_index < 0 else min(ignore_index, classes - 1)
        weight = np.abs(normal(classes, seed=2)).astype(dtype) if weighted else None
        tensor = leaf(logits)
        expected = F.cross_entropy(
            tensor,
            torch.tensor(target),
            None if weight is None else torch.tensor(weight),
            ignore_index=ignore_index,
            reduction="none",
            label_smoothing=smoothing,
        )
        scale = normal(count, seed=3, dtype=dtype)
        expected.backward(torch.tensor(scale))
        for logits_ in layouts(logits):
            losses, probabilities = kernels.cross_entropy_forward(logits_, target, weight, ignore_index, smoothing)
            assert losses.dtype == probabilities.dtype == dtype
            close(losses, expected, tolerance)
            close(probabilities, F.softmax(tensor, 1), tolerance)
            arguments = scale, probabilities, target, weight, ignore_index, smoothing
            close(kernels.cross_entropy_backward(*arguments), tensor.grad, tolerance)


@pytest.mark.parametrize("kernels", [plain, cpu])
def test_an_ignored_row_hides_its_logits(kernels: Any) -> None:
    """A row that does not count gives 0 and gradient 0 even where its logits are NaN."""
    logits = np.array([[np.nan, 1.0], [1.0, 2.0]])
    target = np.array([-100, 1])
    losses, probabilities = kernels.cross_entropy_forward(logits, target, None, -100, 0.1)
    assert losses[0] == 0
    gradient = kernels.cross_entropy_backward(np.ones(2), probabilities, target, None, -100, 0.1)
    assert gradient[0].tolist() == [0, 0]
    assert np.isfinite(gradient[1]).all()
