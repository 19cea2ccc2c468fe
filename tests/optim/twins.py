"""The same parameters and gradients for an optimizer of ours and for torch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import minidl
from minidl import nn, optim

SHAPES = [(4, 3), (5,), (2, 3, 3, 2), ()]


class Twins:
    """Parameters of several shapes in both libraries, and steps with random gradients, some of them None."""

    def __init__(self, name: str, seed: int = 0, shapes: list[tuple[int, ...]] = SHAPES, **options: Any) -> None:
        self.random = np.random.default_rng(seed)
        values = [self.random.standard_normal(shape) for shape in shapes]
        self.ours = [nn.Parameter(minidl.tensor(value)) for value in values]
        self.theirs = [torch.nn.Parameter(torch.tensor(value)) for value in values]
        self.optimizer = getattr(optim, name)(self.ours, **options)
        self.reference = getattr(torch.optim, name)(self.theirs, **options)
        self.steps = 0

    def step(self, count: int = 1, tolerance: float = 1e-12) -> None:
        """Steps in both libraries; in each, a parameter whose turn it is has no gradient."""
        for _ in range(count):
            for i, (p, q) in enumerate(zip(self.ours, self.theirs, strict=True)):
                if (self.steps + i) % 4 == 1 or not q.requires_grad:
                    p.grad = q.grad = None
                    continue
                gradient = self.random.standard_normal(tuple(q.shape)).astype(str(q.dtype).split(".")[1])
                p.grad, q.grad = minidl.tensor(gradient), torch.tensor(gradient)
            self.optimizer.step()
            self.reference.step()
            self.steps += 1
            self.check(tolerance)

    def check(self, tolerance: float = 1e-12) -> None:
        """All parameters agree."""
        for i, (p, q) in enumerate(zip(self.ours, self.theirs, strict=True)):
            ours, theirs = p.detach().numpy(), q.detach().numpy()
            assert ours.dtype == theirs.dtype
            scale = max(1.0, float(np.abs(theirs).max()))
            assert np.abs(ours - theirs).max() <= tolerance * scale, f"parameter {i} after {self.steps} steps"


def to_minidl(value: Any) -> Any:
    """A torch state_dict with its tensors turned into ours."""
    if isinstance(value, torch.Tensor):
        return minidl.tensor(value.numpy().copy())
    if isinstance(value, dict):
        return {key: to_minidl(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [to_minidl(entry) for entry in value]
    return value
