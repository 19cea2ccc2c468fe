"""Losses as modules; the formulas stand at the functions of the same names in ``minidl.nn.functional``."""

from __future__ import annotations

from minidl._tensor import Tensor
from minidl.backend.dtypes import is_real
from minidl.errors import ArgumentError
from minidl.nn import functional as F
from minidl.nn.arguments import reduction as check_reduction
from minidl.nn.module import Module

__all__ = ["CrossEntropyLoss", "MSELoss"]


class CrossEntropyLoss(Module):
    """Softmax and negative log-likelihood in one (``torch.nn.CrossEntropyLoss``).

    input: logits (N, C), (N, C, ...) or (C,); target: class indices (N,), (N, ...) or (), int64, or probabilities of
    the input's shape. ``weight`` (C,) scales the classes. The result is a scalar, or (N, ...) unreduced.
    torch's obsolete size_average and reduce are left out, so what follows ``weight`` is given by name.
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.reduction = check_reduction("CrossEntropyLoss", reduction)
        if not is_real(label_smoothing) or not 0.0 <= label_smoothing <= 1.0:
            raise ArgumentError(
                "CrossEntropyLoss", expected="label_smoothing between 0 and 1", got=repr(label_smoothing)
            )
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class MSELoss(Module):
    """The mean (or sum) of squared differences of two tensors of one shape (``torch.nn.MSELoss``)."""

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = check_reduction("MSELoss", reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, reduction=self.reduction)
