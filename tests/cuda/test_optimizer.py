"""SGD and Adam on the emulated GPU over several steps against the plain dialect; many tensors in one launch."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from comparison import both_orders, orders
from emulator import Emulator
from kernels.arrays import close, normal

from minidl.kernels.cuda import optimizer as cuda
from minidl.kernels.plain import optimizer as plain

TYPES = [np.float32, np.float64]
TOLERANCE = {np.float32: 1e-6, np.float64: 1e-14}
STEPS = 3
SHAPES: list[tuple[int, ...]] = [(5, 7), (), (0, 3), (9001,), (4, 3, 3, 3), (4096,), (1,)]

SGD: list[dict[str, Any]] = [
    {},
    {"weight_decay": 0.1, "maximize": True},
    {"momentum": 0.9},
    {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1},
    {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "maximize": True},
]
ADAM: list[dict[str, Any]] = [
    {},
    {"weight_decay": 0.1},
    {"weight_decay": 0.1, "decoupled": True},
    {"amsgrad": True, "maximize": True},
]


def sgd_settings(options: dict[str, Any], step: int) -> tuple[Any, ...]:
    names = {"momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False, "maximize": False}
    return (0.1 / step, *(options.get(name, default) for name, default in names.items()), step == 1)


def adam_settings(options: dict[str, Any], step: int) -> tuple[Any, ...]:
    names = {"weight_decay": 0.0, "decoupled": False, "maximize": False}
    return (0.1 / step, 0.9, 0.99, 1e-6, *(options.get(name, default) for name, default in names.items()), step)


def states(kind: str, options: dict[str, Any], shape: tuple[int, ...], dtype: Any) -> list[Any]:
    """The parameter and its buffers."""
    parameter = np.asarray(normal(*shape, dtype=dtype))
    if kind == "sgd":  # the first step must not read the buffer
        return [parameter, *[np.full(shape, np.nan, dtype)] * ("momentum" in options)]
    return [parameter, *(np.zeros(shape, dtype) for _ in range(3 if "amsgrad" in options else 2))]


def gradients(shape: tuple[int, ...], dtype: Any) -> list[Any]:
    return [np.asarray(normal(*shape, seed=10 + step, dtype=dtype)) for step in range(STEPS)]


CASES = [("sgd", options) for options in SGD] + [("adam", options) for options in ADAM]
SETTINGS: dict[str, Callable[..., tuple[Any, ...]]] = {"sgd": sgd_settings, "adam": adam_settings}


def run(dialect: Any, kind: str, options: dict[str, Any], start: list[Any], grads: list[Any]) -> list[Any]:
    """What several steps make of copies of the start."""
    arrays = [x.copy(order="K") for x in start]
    missing = (2 if kind == "sgd" else 4) - len(arrays)
    for step, grad in enumerate(grads, 1):
        update = getattr(dialect, f"{kind}_update")
        update(arrays[0], grad, *arrays[1:], *[None] * missing, *SETTINGS[kind](options, step))
    return arrays


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("kind", "options"), CASES)
def test_one_tensor(emulator: Emulator, kind: str, options: dict[str, Any], dtype: Any) -> None:
    for shape in SHAPES[:4]:
        start = states(kind, options, shape, dtype)
        grads = gradients(shape, dtype)
        got = both_orders(emulator, lambda s=start, g=grads: tuple(run(cuda, kind, options, s, g)))
        wide = [x.astype(np.float64) for x in start], [g.astype(np.float64) for g in grads]
        for x, expected in zip(got, run(plain, kind, options, *wide), strict=True):
            close(x, expected, TOLERANCE[dtype])


@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("kind", "options"), CASES)
def test_many_tensors_in_one_launch(
    emulator: Emulator, kind: str, options: dict[str, Any], dtype: Any, on_device: bool
) -> None:
    """Also with the numbers on the device, where they change between launches with the same arguments."""
    shapes = SHAPES if kind == "adam" else SHAPES * 8  # more tensors than go into one launch
    starts = [states(kind, options, shape, dtype) for shape in shapes]
    missing = (2 if kind == "sgd" else 4) - len(starts[0])
    all_grads = [gradients(shape, dtype) for shape in shapes]

    def update() -> Any:
        lists = [[x.copy() for x in column] for column in zip(*starts, strict=True)]
        numbers: Any = OnDevice(getattr(cuda, f"{kind}_numbers")(*SETTINGS[kind](options, 1)))
        for step in range(STEPS):
            now = getattr(cuda, f"{kind}_numbers")(*SETTINGS[kind](options, step + 1))
            numbers.array[...] = now
            now = numbers if on_device else now
            upstream = [grads[step] for grads in all_grads]
            getattr(cuda, f"{kind}_update_many")(lists[0], upstream, *lists[1:], *[[]] * missing, now)
        return tuple(itertools.chain(*zip(*lists, strict=True)))

    got = both_orders(emulator, update)
    assert emulator.launches == [kind] * 2 * STEPS * -(-len(shapes) // cuda.MANY)
    expected = itertools.chain(
        *(run(cuda, kind, options, start, grads) for start, grads in zip(starts, all_grads, strict=True))
    )
    for x, alone in zip(got, expected, strict=True):
        np.testing.assert_array_equal(x, alone)


class OnDevice:
    """An array that is no NumPy array to the wrappers, but one of the emulation's."""

    def __init__(self, array: Any) -> None:
        self.array = array.copy()
        self.data = type("Memory", (), {"ptr": self.array.ctypes.data})()

    def __len__(self) -> int:
        return len(self.array)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.array, name)


def test_any_memory_order(emulator: Emulator) -> None:
    """Parameter and buffers in one order: the kernel, with the gradient brought into it; else the plain form."""
    options = {"momentum": 0.9, "weight_decay": 0.1}
    start, grads = normal(4, 3, 3, 3), gradients((4, 3, 3, 3), np.float64)
    expected = run(plain, "sgd", options, [start, np.zeros_like(start)], grads)
    for x in orders(start):
        for grad in orders(grads[0]):
            emulator.launches.clear()
            buffer = np.zeros_like(x)
            got = run(cuda, "sgd", options, [x, buffer], [grad, *grads[1:]])
            for ours, theirs in zip(got, expected, strict=True):
                close(ours, theirs, 1e-14)
            assert emulator.launches.count("sgd") == STEPS
    got = run(cuda, "sgd", options, [start, np.asfortranarray(np.zeros_like(start))], grads)
    assert emulator.launches.count("sgd") == STEPS
    close(got[0], expected[0], 1e-14)


def test_amsgrad_keeps_nan(emulator: Emulator) -> None:
    parameter, grad = np.zeros(3), np.array([1.0, np.nan, 2.0])
    averages = [np.zeros(3) for _ in range(3)]
    cuda.adam_update(parameter, grad, *averages, 0.1, 0.9, 0.99, 1e-8, 0.0, False, False, 1)
    cuda.adam_update(parameter, np.ones(3), *averages, 0.1, 0.9, 0.99, 1e-8, 0.0, False, False, 2)
    assert np.isnan(averages[2]).tolist() == [False, True, False]
