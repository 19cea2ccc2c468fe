"""``minidl.capture`` on the stand-in for a GPU: a case of each operation as a CUDA graph, replayed on other values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gradients.case import Case, Draw
from gradients.on_device import OnDevice
from gradients.test_capture import DEPENDS_ON_VALUES, OWN_GENERATOR
from gradients.test_operations import ALL
from stand_in import StandIn

import minidl
from minidl.errors import GraphError

GPU = OnDevice("gpu")
RECORDED = 3  # calls until a step is a graph: two that warm up, and the one that is recorded


def inputs_of(case: Case, number: int) -> list[Any]:
    """The inputs of a case on the GPU; another number, other values."""
    tensors = [minidl.from_numpy(np.array(array)).to("gpu") for array in case.inputs(Draw(f"{case.name} {number}"))]
    return [
        t.requires_grad_(True) if t.is_floating_point() and place not in case.constant else t
        for place, t in enumerate(tensors)
    ]


def suitable(case: Case) -> bool:
    """Whether a captured step can hold the case, and has an input that says where it runs."""
    left_out = DEPENDS_ON_VALUES.match(case.name) or OWN_GENERATOR.match(case.name) or case.name == "new tensors"
    return not left_out and "empty" not in case.name and bool(case.inputs(Draw(case.name)))


def first_cases() -> list[Any]:
    """The first suitable case of each operation."""
    found: dict[str, Any] = {}
    for row in ALL:
        operation, case = row.values
        if suitable(case):
            found.setdefault(operation, pytest.param(case, id=case.name))
    return list(found.values())


@pytest.mark.parametrize("case", first_cases())
def test_a_replay_equals_eager(case: Case, cupy: StandIn) -> None:
    def step(*inputs: Any) -> Any:
        result = case.call(GPU, *inputs)
        outputs = list(result) if isinstance(result, (tuple, list)) else [result]
        smooth = [output for output in outputs if output.requires_grad]
        if smooth:
            minidl.autograd.backward([(output * output.detach().cos()).sum() for output in smooth])
        return tuple(output.detach() for output in outputs)

    def run(function: Any, number: int) -> list[np.ndarray]:
        minidl.manual_seed(number)
        inputs = inputs_of(case, number)
        outputs = function(*inputs)
        return [t.detach().cpu().numpy() for t in (*outputs, *[x.grad for x in inputs if x.grad is not None])]

    captured = minidl.capture(step)
    for number in range(RECORDED):
        run(captured, number)
    assert captured.recordings == 1
    launched = cupy.replays
    replayed = run(captured, RECORDED)
    assert cupy.replays > launched
    eager = run(step, RECORDED)
    assert len(replayed) == len(eager)
    for a, b in zip(replayed, eager):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("step", [lambda x: x[[1, 0]], lambda x: x + minidl.tensor([1.0, 2.0], device="gpu")])
def test_copies_from_the_host_are_refused(step: Any, cupy: StandIn) -> None:
    captured = minidl.capture(step)
    x = minidl.ones(2, device="gpu")
    for _ in range(RECORDED - 1):
        captured(x)
    with pytest.raises(GraphError, match=r"capture: .*no copy from the host.*before the step"):
        captured(x)


def test_places_outside_are_found_before_the_recording(cupy: StandIn) -> None:
    captured = minidl.capture(lambda table, places: table[places])
    table = minidl.ones(3, 2, device="gpu")
    with pytest.raises(IndexError, match="axis 0"):
        captured(table, minidl.tensor([3], device="gpu"))
