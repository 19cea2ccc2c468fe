"""Adadelta: steps in the parameter's own units, from moving averages of squared gradients and squared steps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minidl import kernels
from minidl._tensor import Tensor
from minidl.backend.dtypes import is_real
from minidl.errors import ArgumentError
from minidl.optim.counters import count_step
from minidl.optim.optimizer import Optimizer
from minidl.optim.settings import check_numbers

__all__ = ["Adadelta"]


class Adadelta(Optimizer):
    """p <- p - lr d, with d = sqrt(u + eps) / sqrt(v + eps) g (Zeiler 2012; ``torch.optim.Adadelta``).

    v <- rho v + (1 - rho) g^2 before, u <- rho u + (1 - rho) d^2 after. g is the gradient (negated by ``maximize``)
    plus ``weight_decay`` p. The state holds ``step``, ``square_avg`` (v) and ``acc_delta`` (u). Raises ArgumentError
    for negative settings and unless 0 <= rho <= 1.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def check_group(self, group: dict[str, Any]) -> None:
        super().check_group(group)
        check_numbers("Adadelta", group, "lr", "eps", "weight_decay")
        rho = group["rho"]
        if not is_real(rho) or not 0 <= rho <= 1:
            raise ArgumentError("Adadelta", expected="0 <= rho <= 1", got=repr(rho), hint=f"Invalid rho value: {rho}")

    def update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        count_step(self.state[parameter])  # nothing depends on it: it is part of torch's state
        kernels.adadelta_update(
            parameter.data,
            parameter.grad.data,
            self.buffer(parameter, "square_avg")[0],
            self.buffer(parameter, "acc_delta")[0],
            group["lr"],
            group["rho"],
            group["eps"],
            group["weight_decay"],
            group["maximize"],
        )
