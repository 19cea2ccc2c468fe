"""Every case of the table and every layer on the GPU, against torch on the CPU, in float64 and float32."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gradients import checks
from gradients.case import Case
from gradients.on_device import OnDevice
from gradients.report import Report
from gradients.test_layers import LAYERS, Layer, results, twins
from gradients.test_operations import ALL, cases_with

from minidl import kernels

GPU = OnDevice("gpu")


@pytest.mark.parametrize(("operation", "case"), ALL)
def test_float64(operation: str, case: Case, report: Report) -> None:
    forward, gradient = checks.forward(case, GPU), checks.first_order(case, GPU)
    report.add(f"gpu: {operation}", case.name, "forward", forward)
    report.add(f"gpu: {operation}", case.name, "gradient", gradient)
    assert forward <= case.forward
    assert gradient <= case.gradient


@pytest.mark.parametrize(("operation", "case"), cases_with("second_order"))
def test_second_order(operation: str, case: Case, report: Report) -> None:
    error = checks.second_order(case, GPU)
    report.add(f"gpu: {operation}", case.name, "second order", error)
    assert error <= case.gradient


@pytest.mark.parametrize(("operation", "case"), ALL)
def test_float32(operation: str, case: Case) -> None:
    assert checks.single_precision(case, GPU) <= case.float32


@pytest.mark.parametrize(("operation", "case"), ALL)
def test_strides(operation: str, case: Case) -> None:
    errors = {name: checks.strided(case, layout, GPU) for name, layout in checks.LAYOUTS.items()}
    assert {name: error for name, error in errors.items() if not error <= case.gradient} == {}


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_layer(layer: Layer) -> None:
    ours, theirs = twins(layer)
    got, want = results(GPU, ours.to("gpu"), layer), results(torch, theirs, layer)
    for order, allowed in (("forward", 1e-9), ("gradient", 1e-7), ("second order", 1e-7)):
        pairs = zip(got[order], want[order], strict=True)
        assert max(checks.relative_error(our, their) for our, their in pairs) <= allowed, order


def test_the_kernels_are_cudas() -> None:
    x = GPU.from_numpy(np.zeros((2, 2), np.float32)).data
    names = ("conv2d_forward", "gemm", "batch_norm_forward", "max_pool2d_forward", "relu_forward", "sgd_update")
    assert {kernels.dialect_of(name, x) for name in names} == {"cuda"}
