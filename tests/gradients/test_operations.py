"""Every case of the table gets every check; the table of worst errors stands at the end of the run."""

from __future__ import annotations

import re

import pytest

import minidl
from gradients import (
    cases_accumulation,
    cases_activation,
    cases_activation_more,
    cases_arithmetic,
    cases_arrangement,
    cases_conv,
    cases_conv_axes,
    cases_elementwise,
    cases_embedding,
    cases_group_norm,
    cases_loss,
    cases_loss_more,
    cases_matmul,
    cases_normalization,
    cases_pooling,
    cases_pooling_axes,
    cases_products,
    cases_reduction,
    cases_rounding,
    cases_selection,
    cases_shape,
    checks,
)
from gradients.case import Bad, Case, Operation
from gradients.report import Report

FAMILIES = (
    cases_arithmetic,
    cases_elementwise,
    cases_matmul,
    cases_products,
    cases_reduction,
    cases_rounding,
    cases_accumulation,
    cases_shape,
    cases_arrangement,
    cases_selection,
    cases_conv,
    cases_conv_axes,
    cases_pooling,
    cases_pooling_axes,
    cases_normalization,
    cases_group_norm,
    cases_activation,
    cases_activation_more,
    cases_loss,
    cases_loss_more,
    cases_embedding,
)
OPERATIONS: list[Operation] = [operation for family in FAMILIES for operation in family.OPERATIONS]
ALL = [pytest.param(o.name, case, id=case.name) for o in OPERATIONS for case in o.cases]


def cases_with(check: str) -> list[object]:
    """The cases for which a check has a meaning."""
    return [parameter for parameter in ALL if getattr(parameter.values[1], check) is True]


def test_names_of_cases_are_unique() -> None:
    names = [case.name for operation in OPERATIONS for case in operation.cases]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("operation", "case"), ALL)
def test_forward(operation: str, case: Case, report: Report) -> None:
    error = checks.forward(case)
    report.add(operation, case.name, "forward", error)
    assert error <= case.forward


@pytest.mark.parametrize(("operation", "case"), ALL)
def test_gradient(operation: str, case: Case, report: Report) -> None:
    error = checks.first_order(case)
    report.add(operation, case.name, "gradient", error)
    assert error <= case.gradient


@pytest.mark.parametrize(("operation", "case"), cases_with("second_order"))
def test_second_order(operation: str, case: Case, report: Report) -> None:
    error = checks.second_order(case)
    report.add(operation, case.name, "second order", error)
    assert error <= case.gradient


@pytest.mark.parametrize(("operation", "case"), cases_with("gradcheck"))
def test_gradcheck(operation: str, case: Case) -> None:
    assert checks.gradcheck(case)


@pytest.mark.parametrize(("operation", "case"), ALL)
def test_single_precision(operation: str, case: Case) -> None:
    assert checks.single_precision(case) <= case.float32


@pytest.mark.parametrize(("operation", "case"), ALL)
def test_strides(operation: str, case: Case) -> None:
    errors = {name: checks.strided(case, layout) for name, layout in checks.LAYOUTS.items()}
    assert {name: error for name, error in errors.items() if not error <= case.gradient} == {}


@pytest.mark.parametrize(
    "bad", [pytest.param(bad, id=f"{operation.name}: {bad.name}") for operation in OPERATIONS for bad in operation.bad]
)
def test_bad_call(bad: Bad) -> None:
    with pytest.raises(bad.error) as caught:
        bad.call(minidl)
    assert re.search(bad.says, str(caught.value), re.DOTALL), str(caught.value)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_at_least_four_bad_calls(operation: Operation) -> None:
    assert len(operation.bad) >= 4
