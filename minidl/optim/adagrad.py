"""Adagrad: the gradient over the root of all its squares so far."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minidl import kernels
from minidl._tensor import Tensor
from minidl.backend.arrays import on_device_of
from minidl.optim.counters import count_step, scalar
from minidl.optim.optimizer import Optimizer
from minidl.optim.settings import check_numbers

__all__ = ["Adagrad"]


class Adagrad(Optimizer):
    """p <- p - lr' g / (sqrt(s) + eps), with s <- s + g^2 (Duchi et al. 2011; ``torch.optim.Adagrad``).

    g is the gradient (negated by ``maximize``) plus ``weight_decay`` p; lr' = lr / (1 + (t - 1) ``lr_decay``) at step
    t = 1, 2, ...; s begins as ``initial_accumulator_value``. The state holds ``step`` and ``sum`` (s), from the start.
    Raises ArgumentError for negative settings.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter]["step"] = scalar(0.0)
                self._sum(parameter)

    def check_group(self, group: dict[str, Any]) -> None:
        super().check_group(group)
        check_numbers("Adagrad", group, "lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")

    def update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        step = count_step(self.state[parameter])
        kernels.adagrad_update(
            parameter.data,
            parameter.grad.data,
            self._sum(parameter),
            group["lr"],
            group["lr_decay"],
            group["eps"],
            group["weight_decay"],
            group["maximize"],
            step,
        )

    def _sum(self, parameter: Tensor) -> Any:
        """The sum of squares; as in torch, what it begins with is the constructor's value for every group."""
        total, fresh = self.buffer(parameter, "sum")
        if fresh:
            with on_device_of(total):
                total.fill(self.defaults["initial_accumulator_value"])
        return total
