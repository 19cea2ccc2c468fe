"""Adamax: Adam with the largest gradient of late in place of the mean square."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minidl import kernels
from minidl._tensor import Tensor
from minidl.optim.counters import count_step
from minidl.optim.optimizer import Optimizer
from minidl.optim.settings import check_betas, check_numbers

__all__ = ["Adamax"]


class Adamax(Optimizer):
    """p <- p - lr / (1 - beta1^t) m / u (Kingma and Ba 2015, section 7.1; ``torch.optim.Adamax``).

    m <- beta1 m + (1 - beta1) g, u <- max(beta2 u, |g| + eps) at step t = 1, 2, ...; g is the gradient (negated by
    ``maximize``) plus ``weight_decay`` p. The state holds ``step``, ``exp_avg`` (m) and ``exp_inf`` (u). Raises
    ArgumentError for settings out of range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def check_group(self, group: dict[str, Any]) -> None:
        super().check_group(group)
        check_numbers("Adamax", group, "lr", "eps", "weight_decay")
        check_betas("Adamax", group["betas"])

    def update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        step = count_step(self.state[parameter])
        beta1, beta2 = group["betas"]
        kernels.adamax_update(
            parameter.data,
            parameter.grad.data,
            self.buffer(parameter, "exp_avg")[0],
            self.buffer(parameter, "exp_inf")[0],
            group["lr"],
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            group["maximize"],
            step,
        )
