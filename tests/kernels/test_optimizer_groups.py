"""Many parameters in one call: the bits of single calls, whatever the layouts, missing gradients and overlaps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minidl.kernels.cpu import optimizer as single
from minidl.kernels.cpu import optimizer_groups as cpu
from minidl.kernels.plain import optimizer_groups as plain

from .arrays import close, normal

SHAPES: list[tuple[int, ...]] = [(6, 3, 5, 5), (6,), (40, 31), (), (0, 3), (1,), (300, 21), (4097,)]
LARGE = [*SHAPES, (120, 200)]  # enough elements for the parallel kernel

Arrays = list[Any]


def arrays(shapes: list[tuple[int, ...]], seed: int, dtype: Any) -> Arrays:
    return [np.asarray(normal(*shape, seed=seed + i, dtype=dtype)) for i, shape in enumerate(shapes)]


class Sgd:
    """The state of a group, and how a step is made."""

    def __init__(self, shapes: list[tuple[int, ...]], dtype: Any) -> None:
        self.parameters, self.buffers = arrays(shapes, 0, dtype), arrays(shapes, 100, dtype)
        self.memo: dict[str, Any] = {}

    def everything(self) -> Arrays:
        return [*self.parameters, *self.buffers]

    def step(self, kernels: Any, gradients: Arrays) -> None:
        first = {2, 5} if not self.memo else ()
        kernels.sgd_update_group(
            self.parameters, gradients, self.buffers, 0.1, 0.9, 0.0, 0.01, True, True, first, self.memo
        )

    def step_singly(self, gradients: Arrays, number: int) -> None:
        for i, (p, g, b) in enumerate(zip(self.parameters, gradients, self.buffers)):
            if g is not None:
                single.sgd_update(p, g, b, 0.1, 0.9, 0.0, 0.01, True, True, number == 0 and i in (2, 5))


class PlainSgd(Sgd):
    def step(self, kernels: Any, gradients: Arrays) -> None:
        kernels.sgd_update_group(self.parameters, gradients, None, 1, 0, 0, 0, False, False, (), self.memo)

    def step_singly(self, gradients: Arrays, number: int) -> None:
        for p, g in zip(self.parameters, gradients):
            if g is not None:
                single.sgd_update(p, g, None, 1, 0, 0, 0, False, False, False)


class Adam(Sgd):
    amsgrad, decoupled = False, False

    def __init__(self, shapes: list[tuple[int, ...]], dtype: Any) -> None:
        super().__init__(shapes, dtype)
        self.squares = [np.asarray(np.abs(x)) for x in arrays(shapes, 200, dtype)]
        self.largest = [x.copy() for x in self.squares]
        self.steps = [np.full((), 3 * i, np.float32) for i in range(len(shapes))]  # corrections differ

    def everything(self) -> Arrays:
        return [*self.parameters, *self.buffers, *self.squares, *self.largest, *self.steps]

    def step(self, kernels: Any, gradients: Arrays) -> None:
        largest = self.largest if self.amsgrad else None
        settings = 0.01, 0.8, 0.999, 1e-8, 0.1, self.decoupled, False
        kernels.adam_update_group(
            self.parameters, gradients, self.buffers, self.squares, largest, self.steps, *settings, self.memo
        )

    def step_singly(self, gradients: Arrays, number: int) -> None:
        settings = 0.01, 0.8, 0.999, 1e-8, 0.1, self.decoupled, False
        for i, (p, g) in enumerate(zip(self.parameters, gradients)):
            if g is not None:
                self.steps[i][...] += 1
                largest = self.largest[i] if self.amsgrad else None
                single.adam_update(p, g, self.buffers[i], self.squares[i], largest, *settings, int(self.steps[i]))


class AmsgradW(Adam):
    amsgrad, decoupled = True, True


def same_bits(got: Arrays, expected: Arrays) -> None:
    for i, (x, y) in enumerate(zip(got, expected, strict=True)):
        assert x.dtype == y.dtype
        assert x.tobytes() == y.tobytes(), i


def gradients_of(shapes: list[tuple[int, ...]], number: int, dtype: Any) -> Arrays:
    """New arrays at every step, some of them absent, one that lies otherwise and one of another type."""
    found = arrays(shapes, 1000 * (number + 1), dtype)
    found[2 if number % 2 else 6] = np.asfortranarray(found[2 if number % 2 else 6])
    found[(number + 1) % 8] = None
    if number == 3:
        found[0] = found[0].astype(np.float64 if dtype == np.float32 else np.float32)
    return found


@pytest.mark.parametrize("group", [Sgd, PlainSgd, Adam, AmsgradW])
@pytest.mark.parametrize(("shapes", "dtype"), [(SHAPES, np.float32), (LARGE, np.float32), (SHAPES, np.float64)])
def test_the_bits_are_those_of_single_updates(shapes: Any, group: type[Sgd], dtype: Any) -> None:
    together, singly, specified = (group(shapes, dtype) for _ in range(3))
    for number in range(5):
        gradients = gradients_of(shapes, number, dtype)
        kept = [None if g is None else g.copy() for g in gradients]
        together.step(cpu, gradients)
        singly.step_singly(gradients, number)
        specified.step(plain, gradients)
        specified.memo["seen"] = True  # the plain form keeps no notes; the group asks by them whether a step was made
        same_bits([g for g in gradients if g is not None], [g for g in kept if g is not None])
        same_bits(together.everything(), singly.everything())
    for got, expected in zip(together.everything(), specified.everything()):
        close(got, expected, 1e-12 if dtype == np.float64 else 5e-6)


def test_the_kernel_is_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Single updates only for what has no address: here the second parameter, and a gradient in the second step."""
    calls: list[int] = []
    update = single.sgd_update
    monkeypatch.setattr(cpu, "sgd_update", lambda p, *rest: (calls.append(p.size), update(p, *rest)))
    group = Sgd(SHAPES, np.float32)
    group.parameters[1] = np.zeros(12, np.float32)[::2]
    group.step(cpu, arrays(SHAPES, 300, np.float32))
    assert calls == [6]
    gradients = arrays(SHAPES, 400, np.float32)
    gradients[2] = np.asfortranarray(gradients[2])
    group.step(cpu, gradients)
    assert calls == [6, 6, 1240]


def overlapping(case: str) -> Callable[[Sgd], Arrays]:
    """What makes a group whose result depends on the order of the updates, and its gradients."""

    def change(group: Sgd) -> Arrays:
        gradients = arrays(SHAPES, 300, np.float32)
        if case == "parameter twice":
            for members in (group.parameters, group.buffers, *([group.squares] if isinstance(group, Adam) else [])):
                members[6] = members[2]
            gradients[6] = gradients[2]
        elif case == "buffers share":
            memory = normal(1240 + 6200, seed=6, dtype=np.float32)
            group.buffers[2], group.buffers[6] = memory[:1240].reshape(40, 31), memory[1140:7440].reshape(300, 21)
        elif case == "a later parameter is a gradient":
            gradients[2] = group.parameters[6].reshape(-1)[:1240].reshape(40, 31)
        elif case == "an earlier parameter is a gradient":
            gradients[6] = np.resize(group.parameters[2], (300, 21))
            gradients[1] = group.parameters[0].reshape(-1)[444:]
        elif case == "a buffer is the gradient":
            gradients[2] = group.buffers[2]
        elif case == "a later parameter, transposed":
            gradients[2] = group.parameters[6].reshape(-1)[:1240].reshape(31, 40).T
        elif case == "a parameter with gaps":
            group.parameters[1] = group.parameters[2].reshape(-1)[:60:10]
        return gradients

    return change


CASES = [
    "parameter twice",
    "buffers share",
    "a later parameter is a gradient",
    "an earlier parameter is a gradient",
    "a buffer is the gradient",
    "a later parameter, transposed",
    "a parameter with gaps",
]


@pytest.mark.parametrize("group", [Sgd, Adam])
@pytest.mark.parametrize("case", CASES)
def test_overlapping_memory_is_updated_in_order(case: str, group: type[Sgd], monkeypatch: pytest.MonkeyPatch) -> None:
    together, singly = group(SHAPES, np.float32), group(SHAPES, np.float32)
    gradients, again = overlapping(case)(together), overlapping(case)(singly)
    calls: list[Any] = []
    name = "adam_update" if group is Adam else "sgd_update"
    update = getattr(single, name)
    monkeypatch.setattr(cpu, name, lambda *arguments: (calls.append(arguments), update(*arguments)))
    together.step(cpu, gradients)
    singly.step_singly(again, 0)
    assert len(calls) == len(SHAPES)
    same_bits(together.everything(), singly.everything())
