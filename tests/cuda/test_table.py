"""Every case of the table on the stand-in for a GPU: values and gradients against torch, and nothing copied unasked."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from gradients import cases_activation, cases_conv, cases_loss, cases_normalization, cases_pooling, checks
from gradients.case import Case
from gradients.on_device import OnDevice
from gradients.test_operations import ALL
from stand_in import StandIn

GPU = OnDevice("gpu:1")  # of two; the first is the current one, and what works here finds its way

# A list as an index comes from the host: it is copied to the device because the caller asks for it.
LISTS = re.compile("getitem|index")

# Where second order takes another way than first order: operations of their own, composite forms.
FAMILIES = (cases_conv, cases_pooling, cases_normalization, cases_activation, cases_loss)
OPERATIONS = [operation for family in FAMILIES for operation in family.OPERATIONS]
TWICE = [pytest.param(case, id=case.name) for o in OPERATIONS for case in o.cases if case.second_order is True]


@pytest.mark.parametrize(("operation", "case"), ALL)
def test_values_and_gradients(operation: str, case: Case, install: Callable[..., StandIn]) -> None:
    cupy = install(2)
    with cupy.counting() as counted:
        forward = checks.forward(case, GPU)
    assert forward <= case.forward
    tensors = len(case.inputs(checks.Draw(case.name)))
    if not LISTS.match(operation):
        assert len(counted.to_device) <= tensors + 2, "operations copy from the host"
    assert checks.first_order(case, GPU) <= case.gradient


@pytest.mark.parametrize("case", TWICE)
def test_second_order(case: Case, install: Callable[..., StandIn]) -> None:
    install(2)
    assert checks.second_order(case, GPU) <= case.gradient
