"""RMSprop: the gradient over the root of a moving average of its squares."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minidl import kernels
from minidl._tensor import Tensor
from minidl.optim.counters import count_step
from minidl.optim.optimizer import Optimizer
from minidl.optim.settings import check_numbers

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """p <- p - lr g / (sqrt(v) + eps), with v <- alpha v + (1 - alpha) g^2 (Tieleman and Hinton 2012).

    As ``torch.optim.RMSprop``. g is the gradient (negated by ``maximize``) plus ``weight_decay`` p. ``centered`` takes
    the square of g's own moving average off v (Graves 2013). With ``momentum``, b <- momentum b + g / (sqrt(v) + eps)
    and p <- p - lr b. The state holds ``step``, ``square_avg`` (v), ``momentum_buffer`` (b) and ``grad_avg``, the last
    two where they are used. Raises ArgumentError for negative settings.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def check_group(self, group: dict[str, Any]) -> None:
        super().check_group(group)
        check_numbers("RMSprop", group, "lr", "eps", "momentum", "weight_decay", "alpha")

    def update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        count_step(self.state[parameter])  # nothing depends on it: it is part of torch's state
        square_avg, _ = self.buffer(parameter, "square_avg")
        momentum_buffer = self.buffer(parameter, "momentum_buffer")[0] if group["momentum"] > 0 else None
        grad_avg = self.buffer(parameter, "grad_avg")[0] if group["centered"] else None
        kernels.rmsprop_update(
            parameter.data,
            parameter.grad.data,
            square_avg,
            grad_avg,
            momentum_buffer,
            group["lr"],
            group["alpha"],
            group["eps"],
            group["weight_decay"],
            group["momentum"],
            group["maximize"],
        )
