"""RAdam: Adam whose first steps are damped until its second moment can be trusted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minidl import kernels
from minidl._tensor import Tensor
from minidl.optim.counters import count_step
from minidl.optim.optimizer import Optimizer
from minidl.optim.settings import check_betas, check_numbers

__all__ = ["RAdam"]


class RAdam(Optimizer):
    """p <- p - lr r m' sqrt(1 - beta2^t) / (sqrt(v) + eps) (Liu et al. 2020; ``torch.optim.RAdam``).

    m' = m / (1 - beta1^t) and v are Adam's averages of g and g^2. r rises to 1 with the number of gradients in v; as
    long as there are too few (5 by the paper's count) the step is lr m' instead. g is the gradient (negated by
    ``maximize``) plus ``weight_decay`` p; with ``decoupled_weight_decay`` the parameter shrinks by lr weight_decay
    instead. The state holds ``step``, ``exp_avg`` (m) and ``exp_avg_sq`` (v). ArgumentError for settings out of range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def check_group(self, group: dict[str, Any]) -> None:
        super().check_group(group)
        check_numbers("RAdam", group, "lr", "eps", "weight_decay")
        check_betas("RAdam", group["betas"])

    def update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        step = count_step(self.state[parameter])
        beta1, beta2 = group["betas"]
        kernels.radam_update(
            parameter.data,
            parameter.grad.data,
            self.buffer(parameter, "exp_avg")[0],
            self.buffer(parameter, "exp_avg_sq")[0],
            group["lr"],
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            group["decoupled_weight_decay"],
            group["maximize"],
            step,
        )
