"""NAdam: Adam with Nesterov's look ahead, under a momentum that grows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minidl import kernels
from minidl._tensor import Tensor
from minidl.optim.counters import count_step, scalar
from minidl.optim.optimizer import Optimizer
from minidl.optim.settings import check_betas, check_numbers

__all__ = ["NAdam"]


class NAdam(Optimizer):
    """p <- p - lr m' / (sqrt(v / (1 - beta2^t)) + eps) (Dozat 2016; ``torch.optim.NAdam``).

    m and v are Adam's averages of g and g^2. At step t = 1, 2, ... the momentum is mu_t = beta1 (1 - 0.96^(t
    momentum_decay) / 2), and m' = (1 - mu_t) / (1 - mu_1 ... mu_t) g + mu_{t+1} / (1 - mu_1 ... mu_{t+1}) m. g is the
    gradient (negated by ``maximize``) plus ``weight_decay`` p; with ``decoupled_weight_decay`` the parameter shrinks
    by lr weight_decay instead. The state holds ``step``, ``mu_product``, ``exp_avg`` (m) and ``exp_avg_sq`` (v).
    Raises ArgumentError for settings out of range.
    """

    counters = ("step", "mu_product")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def check_group(self, group: dict[str, Any]) -> None:
        super().check_group(group)
        check_numbers("NAdam", group, "lr", "eps", "weight_decay", "momentum_decay")
        check_betas("NAdam", group["betas"])

    def update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        step = count_step(state)
        if "mu_product" not in state:
            state["mu_product"] = scalar(1.0)
        beta1, beta2 = group["betas"]
        mu, mu_next = (beta1 * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"])) for t in (step, step + 1))
        product = state["mu_product"].data
        product *= mu
        kernels.nadam_update(
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
            mu,
            mu_next,
            float(product),
        )
