"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minidl import kernels
from minidl._tensor import Tensor
from minidl.backend import graph
from minidl.backend.arrays import on_device_of
from minidl.errors import ArgumentError
from minidl.kernels.cuda.optimizer import sgd_numbers, sgd_update_many
from minidl.optim.gathered import Gathered
from minidl.optim.many import together
from minidl.optim.optimizer import Optimizer
from minidl.optim.settings import check_numbers

__all__ = ["SGD"]


class SGD(Optimizer):
    """p <- p - lr v, with v <- momentum v + (1 - dampening) g (``torch.optim.SGD``; momentum as Sutskever et al. 2013).

    g is the gradient (negated by ``maximize``) plus ``weight_decay`` p. At a parameter's first step v is g itself.
    ``nesterov`` goes along g + momentum v instead. The state holds v as ``momentum_buffer``, none without momentum.
    Raises ArgumentError for negative settings, and for Nesterov without momentum or with dampening.
    """

    updates_many = True
    group_kernel = "sgd_update_group"

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def check_group(self, group: dict[str, Any]) -> None:
        super().check_group(group)
        check_numbers("SGD", group, "lr", "momentum", "weight_decay")
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ArgumentError(
                "SGD",
                expected="momentum > 0 and dampening 0 with nesterov",
                got=f"momentum={group['momentum']}, dampening={group['dampening']}",
                hint="Nesterov momentum requires a momentum and zero dampening",
            )

    def update_many(self, parameters: list[Tensor], group: dict[str, Any]) -> set[int]:
        chosen = together(parameters, self.state)
        launches: dict[Any, tuple[list[Any], list[Any], list[Any]]] = {}
        for parameter in chosen:
            buffer, first = self.buffer(parameter, "momentum_buffer") if group["momentum"] != 0 else (None, False)
            arrays = launches.setdefault((parameter.dtype, parameter.device, first), ([], [], []))
            arrays[0].append(parameter.data)
            arrays[1].append(parameter.grad.data)
            if buffer is not None:
                arrays[2].append(buffer)
        for (_, _, first), arrays in launches.items():
            with on_device_of(arrays[0][0]):
                now, current = graph.numbers(sgd_numbers, graph.live(lambda: group["lr"]), *_settings(group), first)
                sgd_update_many(*arrays, now if current is None else current)
        return {id(parameter) for parameter in chosen}

    def update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        buffer, first = self.buffer(parameter, "momentum_buffer") if group["momentum"] != 0 else (None, False)
        kernels.sgd_update(parameter.data, parameter.grad.data, buffer, group["lr"], *_settings(group), first)

    def buffer_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("momentum_buffer",) if group["momentum"] != 0 else ()

    def update_gathered(
        self, group: dict[str, Any], gathered: Gathered, gradients: list[Any], first: list[int]
    ) -> None:
        buffers = gathered.buffers[0] if gathered.buffers else None
        settings = group["lr"], *_settings(group), first
        kernels.sgd_update_group(gathered.arrays, gradients, buffers, *settings, gathered.memo)


def _settings(group: dict[str, Any]) -> tuple[float, float, float, bool, bool]:
    """What the kernels take beside the learning rate, in their order."""
    return group["momentum"], group["dampening"], group["weight_decay"], group["nesterov"], group["maximize"]
