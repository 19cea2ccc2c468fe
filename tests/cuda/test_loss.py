"""Cross entropy on the emulated GPU against the plain dialect: weights, smoothing, ignored rows, wrong targets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from comparison import agree, both_orders, orders
from emulator import Emulator
from kernels.arrays import normal

from minidl.kernels.cuda import loss as cuda
from minidl.kernels.plain import loss as plain

FORWARD = cuda.cross_entropy_forward, plain.cross_entropy_forward
BACKWARD = cuda.cross_entropy_backward, plain.cross_entropy_backward


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("ignore_index", [-100, 2])
def test_cross_entropy(emulator: Emulator, dtype: Any, weighted: bool, smoothing: float, ignore_index: int) -> None:
    tolerance = 1e-13 if dtype == np.float64 else 2e-6
    for count, classes in ((9, 10), (5, 3), (0, 4), (3, 1), (4, 37), (11, 100)):
        logits = (10 * normal(count, classes)).astype(dtype)
        target = np.random.default_rng(1).integers(0, classes, count)
        target[:1] = ignore_index if ignore_index < 0 else min(ignore_index, classes - 1)
        weight = np.abs(normal(classes, seed=2)).astype(dtype) if weighted else None
        settings = weight, ignore_index, smoothing
        _, probabilities = agree(emulator, *FORWARD, logits, target, *settings, tolerance=tolerance)
        scale = normal(count, seed=3, dtype=dtype)
        agree(emulator, *BACKWARD, scale, probabilities, target, *settings, tolerance=tolerance)


def test_every_memory_order_and_type_of_target(emulator: Emulator) -> None:
    logits, weight, scale = normal(5, 4), np.abs(normal(4, seed=2)), normal(5, seed=3)
    target = np.array([1, 0, 3, 3, 2])
    for x, kind in zip(orders(logits), (np.int64, np.int32, np.uint8, np.int64), strict=True):
        both = target[::-1].astype(kind), weight[::-1], -100, 0.2
        agree(emulator, *FORWARD, x, *both)
        agree(emulator, *BACKWARD, scale[::-1], x, *both)


def test_an_ignored_row_hides_its_logits_and_a_wrong_target_gives_nan(emulator: Emulator) -> None:
    logits = np.array([[np.nan, 1.0], [1.0, 2.0], [1.0, 2.0], [1.0, 2.0]])
    target = np.array([-100, 1, 2, -1])
    for weight in (None, np.ones(2)):
        arguments = target, weight, -100, 0.1

        losses, probabilities = both_orders(
            emulator, lambda arguments=arguments: cuda.cross_entropy_forward(logits, *arguments)
        )
        assert losses[0] == 0
        assert np.isnan(losses).tolist() == [False, False, True, True]
        gradient = cuda.cross_entropy_backward(np.ones(4), probabilities, *arguments)
        assert gradient[0].tolist() == [0, 0]
        assert np.isnan(gradient).all(axis=1).tolist() == [False, False, True, True]
