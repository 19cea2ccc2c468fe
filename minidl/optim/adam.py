"""Adam, and AdamW, which decays weights apart from the gradient."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from minidl import kernels
from minidl._tensor import Tensor
from minidl.backend import graph
from minidl.backend.arrays import on_device_of
from minidl.kernels.cuda.optimizer import adam_numbers, adam_update_many
from minidl.optim.counters import count_step
from minidl.optim.gathered import Gathered
from minidl.optim.many import together
from minidl.optim.optimizer import Optimizer
from minidl.optim.settings import check_betas, check_numbers

__all__ = ["Adam", "AdamW"]

_BUFFERS = ("exp_avg", "exp_avg_sq", "step")
_WITH_MAXIMUM = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step")


class Adam(Optimizer):
    """p <- p - lr m' / (sqrt(v') + eps) (Kingma and Ba 2015; ``torch.optim.Adam``).

    m <- beta1 m + (1 - beta1) g and v <- beta2 v + (1 - beta2) g^2, corrected for their start at zero after t steps:
    m' = m / (1 - beta1^t), v' = v / (1 - beta2^t). g is the gradient (negated by ``maximize``) plus ``weight_decay`` p;
    with ``decoupled_weight_decay`` p <- p - lr weight_decay p comes first and g is the gradient alone (Loshchilov and
    Hutter 2019). ``amsgrad`` puts the largest v so far in v's place (Reddi et al. 2018). The state holds ``step``,
    ``exp_avg`` (m), ``exp_avg_sq`` (v) and, with amsgrad, ``max_exp_avg_sq``. ArgumentError for settings out of range.
    """

    updates_many = True
    group_kernel = "adam_update_group"

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def check_group(self, group: dict[str, Any]) -> None:
        super().check_group(group)
        who = type(self).__name__
        check_numbers(who, group, "lr", "eps", "weight_decay")
        check_betas(who, group["betas"])

    def update_many(self, parameters: list[Tensor], group: dict[str, Any]) -> set[int]:
        chosen = together(parameters, self.state)
        launches: dict[Any, tuple[list[Tensor], list[list[Any]]]] = {}
        for parameter in chosen:
            graph.each_step(partial(lambda p: count_step(self.state[p]), parameter))
            step = self._step(parameter)  # may differ: some parameters may have joined later
            buffers = [self.buffer(parameter, name)[0] for name in ("exp_avg", "exp_avg_sq")]
            if group["amsgrad"]:
                buffers.append(self.buffer(parameter, "max_exp_avg_sq")[0])
            key = parameter.dtype, parameter.device, step
            members, arrays = launches.setdefault(key, ([], [[], [], [], [], []]))
            members.append(parameter)
            for place, array in enumerate((parameter.data, parameter.grad.data, *buffers)):
                arrays[place].append(array)
        for members, arrays in launches.values():
            with on_device_of(arrays[0][0]):
                lr, step = graph.live(lambda: group["lr"]), graph.live(partial(self._step, members[0]))
                now, current = graph.numbers(adam_numbers, lr, *_settings(group), step)
                values, gradients, averages, squares, largest = arrays
                adam_update_many(values, gradients, averages, squares, largest, now if current is None else current)
        return {id(parameter) for parameter in chosen}

    def _step(self, parameter: Tensor) -> int:
        """The number of steps that a parameter has had."""
        return int(self.state[parameter]["step"].data)

    def update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        exp_avg, _ = self.buffer(parameter, "exp_avg")
        exp_avg_sq, _ = self.buffer(parameter, "exp_avg_sq")
        largest = self.buffer(parameter, "max_exp_avg_sq")[0] if group["amsgrad"] else None
        step = count_step(self.state[parameter])
        kernels.adam_update(
            parameter.data, parameter.grad.data, exp_avg, exp_avg_sq, largest, group["lr"], *_settings(group), step
        )

    def buffer_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return _WITH_MAXIMUM if group["amsgrad"] else _BUFFERS

    def update_gathered(
        self, group: dict[str, Any], gathered: Gathered, gradients: list[Any], first: list[int]
    ) -> None:
        exp_avgs, exp_avg_sqs, *largest, steps = gathered.buffers
        arrays = gathered.arrays, gradients, exp_avgs, exp_avg_sqs, largest[0] if largest else None, steps
        kernels.adam_update_group(*arrays, group["lr"], *_settings(group), gathered.memo)


def _settings(group: dict[str, Any]) -> tuple[float, float, float, float, bool, bool]:
    """What the kernels take beside the learning rate, in their order."""
    beta1, beta2 = group["betas"]
    return beta1, beta2, group["eps"], group["weight_decay"], group["decoupled_weight_decay"], group["maximize"]


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019; ``torch.optim.AdamW``); formulas at ``Adam``."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )
