"""The wider range of losses as modules; the formulas stand at the functions of the same meaning in ``functional``.

torch's obsolete size_average and reduce are left out, so what follows them is given by name.
"""

from __future__ import annotations

from minidl._tensor import Tensor
from minidl.backend.dtypes import is_real
from minidl.errors import ArgumentError
from minidl.nn import functional as F
from minidl.nn.arguments import reduction as check_reduction
from minidl.nn.module import Module

__all__ = ["BCELoss", "BCEWithLogitsLoss", "HuberLoss", "KLDivLoss", "L1Loss", "NLLLoss", "SmoothL1Loss"]


class L1Loss(Module):
    """The mean (or sum) of |input - target| of two tensors of one shape (``torch.nn.L1Loss``)."""

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = check_reduction("L1Loss", reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(Module):
    """Squared below ``beta``, absolute above (``torch.nn.SmoothL1Loss``)."""

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__()
        self.reduction = check_reduction("SmoothL1Loss", reduction)
        if not is_real(beta) or beta < 0:
            raise ArgumentError("SmoothL1Loss", expected="beta of at least 0", got=repr(beta))
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(Module):
    """Squared below ``delta``, absolute above (``torch.nn.HuberLoss``)."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__()
        self.reduction = check_reduction("HuberLoss", reduction)
        if not is_real(delta) or not delta > 0:
            raise ArgumentError("HuberLoss", expected="delta above 0", got=repr(delta))
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class KLDivLoss(Module):
    """The Kullback-Leibler divergence of probabilities from log-probabilities (``torch.nn.KLDivLoss``)."""

    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__()
        self.reduction = reduction if reduction == "batchmean" else check_reduction("KLDivLoss", reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class BCELoss(Module):
    """Binary cross entropy of probabilities (``torch.nn.BCELoss``); ``weight`` broadcasts to the input."""

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean") -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.reduction = check_reduction("BCELoss", reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy(input, target, weight=self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(Module):
    """Binary cross entropy of scores (``torch.nn.BCEWithLogitsLoss``); ``pos_weight``: of the positive examples."""

    def __init__(
        self, weight: Tensor | None = None, *, reduction: str = "mean", pos_weight: Tensor | None = None
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)
        self.reduction = check_reduction("BCEWithLogitsLoss", reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            input, target, weight=self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class NLLLoss(Module):
    """Negative log-likelihood of log-probabilities (N, C) at class indices (N,) (``torch.nn.NLLLoss``).

    As in ``CrossEntropyLoss``, what follows ``weight`` is given by name.
    """

    def __init__(self, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.reduction = check_reduction("NLLLoss", reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(input, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction)
