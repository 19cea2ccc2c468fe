"""Averaged stochastic gradient descent: a shrinking step, and the mean of the weights along the way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minidl import kernels
from minidl._tensor import Tensor
from minidl.backend.dtypes import is_real
from minidl.errors import DTypeError
from minidl.optim.counters import count_step, scalar
from minidl.optim.optimizer import Optimizer
from minidl.optim.settings import check_numbers

__all__ = ["ASGD"]


class ASGD(Optimizer):
    """p <- (1 - lambd eta) p - eta g, and ``ax`` <- ax + mu (p - ax) (Polyak and Juditsky 1992; ``torch.optim.ASGD``).

    g is the gradient (negated by ``maximize``) plus ``weight_decay`` p. After t steps eta = lr / (1 + lambd lr t)^alpha
    (at the first, lr) and mu = 1 / max(1, t - t0): until step ``t0`` the average is the parameter itself. The model
    computes with p; the averaged weights lie in ``state[parameter]["ax"]``, and it is for the user to copy them into a
    model. The state also holds ``step``, ``eta`` and ``mu``. Raises ArgumentError for negative lr or weight_decay.
    """

    counters = ("step", "eta", "mu")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def check_group(self, group: dict[str, Any]) -> None:
        super().check_group(group)
        check_numbers("ASGD", group, "lr", "weight_decay")
        for name in ("lambd", "alpha", "t0"):
            if not is_real(group[name]):
                raise DTypeError("ASGD", expected=f"{name} as a number", got=repr(group[name]))

    def update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state, lr = self.state[parameter], group["lr"]
        step = count_step(state)
        if "eta" not in state:
            state["eta"], state["mu"] = scalar(lr), scalar(1.0)
        ax, _ = self.buffer(parameter, "ax")
        eta, mu = state["eta"].data, state["mu"].data
        kernels.asgd_update(
            parameter.data,
            parameter.grad.data,
            ax,
            float(eta),
            float(mu),
            group["lambd"],
            group["weight_decay"],
            group["maximize"],
        )
        eta[...] = lr / (1 + group["lambd"] * lr * step) ** group["alpha"]
        mu[...] = 1 / max(1, step - group["t0"])
