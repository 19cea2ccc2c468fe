"""One fused optimizer step against torch's, over several steps: all options, both types, odd layouts."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from minidl.kernels.cpu import optimizer as cpu
from minidl.kernels.plain import optimizer as plain

from .arrays import close, normal

STEPS = 7  # RAdam's rectification sets in at the sixth


def gradients(shape: tuple[int, ...], dtype: Any) -> list[Any]:
    return [normal(*shape, seed=10 + step, dtype=dtype) for step in range(STEPS)]


def follow_torch(optimizer: type[torch.optim.Optimizer], start: Any, grads: list[Any], **options: Any) -> Any:
    parameter = torch.nn.Parameter(torch.tensor(start))
    algorithm = optimizer([parameter], foreach=False, **options)  # type: ignore[call-arg]
    for grad in grads:
        parameter.grad = torch.tensor(grad)
        algorithm.step()
    return parameter.detach().numpy()


@pytest.mark.parametrize("kernels", [plain, cpu])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight_decay": 0.1, "maximize": True},
        {"momentum": 0.9},
        {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1},
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "maximize": True},
    ],
)
def test_sgd_equals_torch(kernels: Any, dtype: Any, options: dict[str, Any]) -> None:
    start, grads = normal(5, 7, dtype=dtype), gradients((5, 7), dtype)
    parameter = start.copy()
    momentum = options.get("momentum", 0.0)
    buffer = np.full_like(start, np.nan) if momentum else None  # the first step must not read it
    for i, grad in enumerate(grads):
        kernels.sgd_update(
            parameter,
            grad,
            buffer,
            0.05,
            momentum,
            options.get("dampening", 0.0),
            options.get("weight_decay", 0.0),
            options.get("nesterov", False),
            options.get("maximize", False),
            i == 0,
        )
    expected = follow_torch(torch.optim.SGD, start, grads, lr=0.05, **options)
    close(parameter, expected, 1e-12 if dtype == np.float64 else 3e-7)


@pytest.mark.parametrize("kernels", [plain, cpu])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize(
    "options", [{}, {"weight_decay": 0.1}, {"amsgrad": True, "weight_decay": 0.05, "maximize": True, "eps": 1e-3}]
)
def test_adam_equals_torch(kernels: Any, dtype: Any, decoupled: bool, options: dict[str, Any]) -> None:
    start, grads = normal(5, 7, dtype=dtype), gradients((5, 7), dtype)
    grads[2] /= 10  # a smaller gradient, so that the maximum of AMSGrad is not the newest value
    parameter, average, square = start.copy(), np.zeros_like(start), np.zeros_like(start)
    largest = np.zeros_like(start) if options.get("amsgrad") else None
    decay = options.get("weight_decay", 0.0)
    for i, grad in enumerate(grads):
        kernels.adam_update(
            parameter,
            grad,
            average,
            square,
            largest,
            0.02,
            0.8,
            0.9,
            options.get("eps", 1e-8),
            decay,
            decoupled,
            options.get("maximize", False),
            i + 1,
        )
    optimizer = torch.optim.AdamW if decoupled else torch.optim.Adam
    options = {**options, "weight_decay": decay}  # AdamW's own default is not 0
    expected = follow_torch(optimizer, start, grads, lr=0.02, betas=(0.8, 0.9), **options)
    close(parameter, expected, 1e-12 if dtype == np.float64 else 1e-6)


Step = Callable[..., None]  # (file, parameter, gradient, buffers, step counted from 1)


def step_adagrad(file: Any, p: Any, g: Any, buffers: list[Any], step: int) -> None:
    file.adagrad_update(p, g, *buffers, 0.1, 0.2, 1e-3, 0.1, True, step)


def step_rmsprop(file: Any, p: Any, g: Any, buffers: list[Any], step: int) -> None:
    file.rmsprop_update(p, g, buffers[0], None, None, 0.1, 0.8, 1e-3, 0.1, 0, True)


def step_rmsprop_centered(file: Any, p: Any, g: Any, buffers: list[Any], step: int) -> None:
    file.rmsprop_update(p, g, *buffers, 0.1, 0.8, 1e-3, 0, 0.9, False)


def step_adadelta(file: Any, p: Any, g: Any, buffers: list[Any], step: int) -> None:
    file.adadelta_update(p, g, *buffers, 0.5, 0.8, 1e-3, 0.1, True)


def step_asgd(file: Any, p: Any, g: Any, buffers: list[Any], step: int) -> None:
    eta = 0.1 if step == 1 else float(np.float32(0.1 / (1 + 0.3 * 0.1 * (step - 1)) ** 0.75))
    mu = float(np.float32(1 / max(1, step - 1 - 1)))
    file.asgd_update(p, g, *buffers, float(np.float32(eta)), mu, 0.3, 0.1, True)


def step_adamax(file: Any, p: Any, g: Any, buffers: list[Any], step: int) -> None:
    file.adamax_update(p, g, *buffers, 0.1, 0.8, 0.9, 1e-3, 0.1, True, step)


def momenta(beta1: float, decay: float, step: int) -> tuple[float, float, float]:
    """NAdam's momenta of this step and the next, and torch's float32 product of all up to this one."""
    every = [beta1 * (1 - 0.5 * 0.96 ** (t * decay)) for t in range(1, step + 2)]
    return every[-2], every[-1], float(np.prod([np.float32(mu) for mu in every[:-1]]))


def step_nadam(file: Any, p: Any, g: Any, buffers: list[Any], step: int) -> None:
    file.nadam_update(p, g, *buffers, 0.1, 0.8, 0.9, 1e-3, 0.1, False, True, step, *momenta(0.8, 0.5, step))


def step_nadam_decoupled(file: Any, p: Any, g: Any, buffers: list[Any], step: int) -> None:
    file.nadam_update(p, g, *buffers, 0.1, 0.9, 0.99, 1e-3, 0.1, True, False, step, *momenta(0.9, 4e-3, step))


def step_radam(file: Any, p: Any, g: Any, buffers: list[Any], step: int) -> None:
    file.radam_update(p, g, *buffers, 0.1, 0.8, 0.9, 1e-3, 0.1, False, True, step)


def step_radam_decoupled(file: Any, p: Any, g: Any, buffers: list[Any], step: int) -> None:
    file.radam_update(p, g, *buffers, 0.1, 0.8, 0.95, 1e-3, 0.1, True, False, step)


BETAS = {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1, "maximize": True}
OTHERS: list[tuple[Step, int, str, str, dict[str, Any]]] = [
    (
        step_adagrad,
        1,
        "optimizer_adagrad",
        "Adagrad",
        {"lr": 0.1, "lr_decay": 0.2, "eps": 1e-3, "weight_decay": 0.1, "maximize": True},
    ),
    (
        step_rmsprop,
        1,
        "optimizer_adagrad",
        "RMSprop",
        {"lr": 0.1, "alpha": 0.8, "eps": 1e-3, "weight_decay": 0.1, "maximize": True},
    ),
    (
        step_rmsprop_centered,
        3,
        "optimizer_adagrad",
        "RMSprop",
        {"lr": 0.1, "alpha": 0.8, "eps": 1e-3, "momentum": 0.9, "centered": True},
    ),
    (
        step_adadelta,
        2,
        "optimizer_adagrad",
        "Adadelta",
        {"lr": 0.5, "rho": 0.8, "eps": 1e-3, "weight_decay": 0.1, "maximize": True},
    ),
    (step_adamax, 2, "optimizer_adamax", "Adamax", BETAS),
    (step_nadam, 2, "optimizer_adamax", "NAdam", {**BETAS, "momentum_decay": 0.5}),
    (
        step_nadam_decoupled,
        2,
        "optimizer_adamax",
        "NAdam",
        {"lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-3, "weight_decay": 0.1, "decoupled_weight_decay": True},
    ),
    (step_radam, 2, "optimizer_adamax", "RAdam", BETAS),
    (
        step_radam_decoupled,
        2,
        "optimizer_adamax",
        "RAdam",
        {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1, "decoupled_weight_decay": True},
    ),
    (
        step_asgd,
        1,
        "optimizer_asgd",
        "ASGD",
        {"lr": 0.1, "lambd": 0.3, "t0": 1, "weight_decay": 0.1, "maximize": True},
    ),
]


@pytest.mark.parametrize("dialect", ["plain", "cpu"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("step", "count", "file", "name", "options"), OTHERS, ids=lambda v: getattr(v, "__name__", ""))
def test_the_others_equal_torch(
    step: Step, count: int, file: str, name: str, options: dict[str, Any], dtype: Any, dialect: str
) -> None:
    kernels = importlib.import_module(f"minidl.kernels.{dialect}.{file}")
    start, grads = normal(5, 7, dtype=dtype), gradients((5, 7), dtype)
    grads[1] /= 10
    expected = follow_torch(getattr(torch.optim, name), start, grads, **options)
    for order in ("C", "F", "slice"):  # transposed, and spread over memory: always the caller's own memory
        base = np.zeros((5, 14), dtype=dtype)
        parameter = base[:, ::2] if order == "slice" else np.empty_like(start, order=order)
        parameter[...] = start
        buffers = [np.zeros_like(parameter) for _ in range(count)]
        for i, grad in enumerate(grads):
            step(kernels, parameter, grad, buffers, i + 1)
        close(parameter, expected, 1e-12 if dtype == np.float64 else 2e-6)


def test_odd_layouts_are_updated_in_place() -> None:
    """Transposed (dense) and sliced parameters, and gradients that lie otherwise: always the caller's own memory."""
    start, grad = normal(6, 8), normal(6, 8, seed=1)
    for order in ("C", "F", "slice"):
        base = np.zeros((6, 16))
        base[:, ::2] = start
        parameter = base[:, ::2] if order == "slice" else np.array(start, order=order)
        average, square = np.zeros_like(parameter), np.zeros_like(parameter)
        for grad_ in (grad, np.asfortranarray(grad)):
            parameter[...], average[...], square[...] = start, 0, 0
            cpu.adam_update(parameter, grad_, average, square, None, 0.1, 0.9, 0.99, 1e-8, 0.0, False, False, 1)
            close(parameter, follow_torch(torch.optim.Adam, start, [grad], lr=0.1, betas=(0.9, 0.99)))
            parameter[...] = start
            cpu.sgd_update(parameter, grad_, None, 0.1, 0.0, 0.0, 0.0, False, False, True)
            close(parameter, start - 0.1 * grad)
