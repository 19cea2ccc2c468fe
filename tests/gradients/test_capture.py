"""Every case of the table, captured: recorded on some inputs, replayed on others, equal to eager on those."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import minidl
from gradients.case import Case, Draw
from gradients.test_operations import ALL
from minidl.errors import GraphError

# Cases whose generator is made inside the step: a replay goes on with it, where eager starts it anew.
OWN_GENERATOR = re.compile("dropout.*p 0.[0-9]")
DEPENDS_ON_VALUES = re.compile("getitem: mask|masked_select|nonzero|one_hot: classes counted")


def _inputs(case: Case, number: int) -> list[Any]:
    arrays = [np.array(array) for array in case.inputs(Draw(f"{case.name} {number}"))]
    tensors = [minidl.from_numpy(array) for array in arrays]
    for position, tensor in enumerate(tensors):
        if tensor.is_floating_point() and position not in case.constant:
            tensor.requires_grad_(True)
    return tensors


def _flat(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (tuple, list)) else [result]


def _with_gradients(run: Any, case: Case, number: int) -> list[np.ndarray]:
    minidl.manual_seed(number)
    inputs = _inputs(case, number)
    outputs = _flat(run(*inputs))
    return [t.detach().numpy() for t in (*outputs, *[x.grad for x in inputs if x.grad is not None])]


def _named(pattern: re.Pattern[str], wanted: bool) -> list[Any]:
    return [row for row in ALL if bool(pattern.match(row.values[1].name)) is wanted]


@pytest.mark.parametrize(("operation", "case"), _named(DEPENDS_ON_VALUES, True))
def test_a_size_that_depends_on_values_is_refused(operation: str, case: Case) -> None:
    with pytest.raises(GraphError, match=r"indexing: .*mask|where: .*values|one_hot: "):
        minidl.capture(lambda *inputs: case.call(minidl, *inputs))(*_inputs(case, 1))


@pytest.mark.parametrize(
    ("operation", "case"),
    [row for row in _named(DEPENDS_ON_VALUES, False) if not OWN_GENERATOR.match(row.values[1].name)],
)
def test_a_replay_equals_eager(operation: str, case: Case) -> None:
    def step(*inputs: Any) -> Any:
        outputs = _flat(case.call(minidl, *inputs))
        smooth = [output for output in outputs if output.requires_grad]
        if smooth:
            minidl.autograd.backward([(output * output.detach().cos()).sum() for output in smooth])
        return tuple(output.detach() for output in outputs)

    captured = minidl.capture(step)
    _with_gradients(captured, case, 1)
    replayed = _with_gradients(captured, case, 2)
    eager = _with_gradients(step, case, 2)
    assert len(replayed) == len(eager)
    for a, b in zip(replayed, eager):
        # NumPy's arithmetic on scalars and on arrays without axes may differ in the last bit; all else is exact.
        np.testing.assert_allclose(a, b, rtol=0 if a.ndim else 1e-15, atol=0)
