"""The single operations by minidl's kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.operations import Case, draw, fingerprint, labels, output_shape
from minidl import kernels

Run = Callable[[], Any]


def prepare(case: Case) -> tuple[Run, list[float] | None]:
    """A function that runs the operation once, and the fingerprint of its results (None where they are random)."""
    run = _MAKERS[case.kind.removesuffix(" forward").removesuffix(" backward")](case)
    result = run()
    if case.kind.startswith(("dropout", "peak", "sgd", "adam")):
        return run, None
    first = result[0] if isinstance(result, tuple) and case.kind.endswith("forward") else result
    return run, fingerprint(list(first) if isinstance(first, tuple) else [first])


def _product(case: Case) -> Run:
    a = draw(case, case.shape, 0)
    return lambda: a @ a


def _copy(case: Case) -> Run:
    source, to = draw(case, case.shape, 0), np.empty(case.shape, np.float32)
    return lambda: np.copyto(to, source)


def _conv_geometry(case: Case) -> dict[str, Any]:
    return {"stride": (1, 1), "padding": (case.padding,) * 2, "dilation": (1, 1), "groups": 1}


def _conv(case: Case) -> Run:
    x, weight, bias = draw(case, case.shape, 0), draw(case, case.weight, 1), draw(case, case.weight[:1], 2)
    geometry = _conv_geometry(case)
    return lambda: kernels.conv2d_forward(x, weight, bias, **geometry)


def _conv_weight_gradient(case: Case) -> Run:
    x, grad, geometry = draw(case, case.shape, 0), draw(case, output_shape(case), 3), _conv_geometry(case)
    return lambda: kernels.conv2d_weight_gradient(grad, x, case.weight, **geometry)


def _conv_input_gradient(case: Case) -> Run:
    weight, grad, geometry = draw(case, case.weight, 1), draw(case, output_shape(case), 3), _conv_geometry(case)
    return lambda: kernels.conv2d_input_gradient(grad, weight, case.shape, **geometry)


def _linear(case: Case) -> Run:
    x, weight, bias = draw(case, case.shape, 0), draw(case, case.weight, 1), draw(case, case.weight[:1], 2)
    return lambda: kernels.gemm(x, weight.T, bias)


def _linear_weight_gradient(case: Case) -> Run:
    x, grad = draw(case, case.shape, 0), draw(case, output_shape(case), 3)
    return lambda: kernels.gemm(grad.T, x)


def _linear_input_gradient(case: Case) -> Run:
    weight, grad = draw(case, case.weight, 1), draw(case, output_shape(case), 3)
    return lambda: kernels.gemm(grad, weight)


def _max_pool(case: Case) -> Run:
    x, grad = draw(case, case.shape, 0), draw(case, output_shape(case), 3)
    out = grad.shape[2], grad.shape[3]
    window = (2, 2), (2, 2), (0, 0), (1, 1)
    if case.kind.endswith("forward"):
        return lambda: kernels.max_pool2d_forward(x, *window, out)
    _, positions = kernels.max_pool2d_forward(x, *window, out)
    return lambda: kernels.max_pool2d_backward(grad, positions, case.shape, *window)


def _average_pool(case: Case) -> Run:
    x, grad = draw(case, case.shape, 0), draw(case, output_shape(case), 3)
    out = grad.shape[2], grad.shape[3]
    window = (2, 2), (2, 2), (0, 0)
    if case.kind.endswith("forward"):
        return lambda: kernels.avg_pool2d_forward(x, *window, out, True, None)
    return lambda: kernels.avg_pool2d_backward(grad, case.shape, *window, True, None)


def _batch_norm(case: Case) -> Run:
    x, grad = draw(case, case.shape, 0), draw(case, case.shape, 3)
    weight, bias = draw(case, case.shape[1:2], 1), draw(case, case.shape[1:2], 2)
    if case.kind.endswith("forward"):
        return lambda: kernels.batch_norm_forward(x, weight, bias, 1e-5)
    _, mean, _, inverse_std = kernels.batch_norm_forward(x, weight, bias, 1e-5)
    return lambda: kernels.batch_norm_backward(grad, x, weight, mean, inverse_std)


def _dropout(case: Case) -> Run:
    x = draw(case, case.shape, 0)
    return lambda: kernels.dropout_forward(x, 0.25, 1, 2, 3)  # the same call on the gradient is backward


def _activation(forward: Any, backward: Any, of_result: bool, *arguments: float) -> Callable[[Case], Run]:
    """An activation whose gradient is computed from its result, or from its input."""

    def make(case: Case) -> Run:
        x, grad = draw(case, case.shape, 0), draw(case, case.shape, 3)
        if case.kind.endswith("forward"):
            return lambda: forward(x, *arguments)
        saved = forward(x, *arguments) if of_result else x
        return lambda: backward(grad, saved, *arguments)

    return make


def _cross_entropy(case: Case) -> Run:
    logits, target = draw(case, case.shape, 0), labels(case)
    if case.kind.endswith("forward"):
        return lambda: np.atleast_1d(kernels.cross_entropy_forward(logits, target, None, -100, 0.0)[0].mean())
    _, probabilities = kernels.cross_entropy_forward(logits, target, None, -100, 0.0)
    scale = np.full(len(target), 1 / len(target), np.float32)
    return lambda: kernels.cross_entropy_backward(scale, probabilities, target, None, -100, 0.0)


def _sgd(case: Case) -> Run:
    parameter, gradient, momentum = (draw(case, case.shape, i) for i in range(3))
    return lambda: kernels.sgd_update(parameter, gradient, momentum, 1e-8, 0.9, 0.0, 0.0, False, False, False)


def _adam(case: Case) -> Run:
    parameter, gradient, average = (draw(case, case.shape, i) for i in range(3))
    square = gradient**2
    return lambda: kernels.adam_update(
        parameter, gradient, average, square, None, 1e-8, 0.9, 0.999, 1e-8, 0.0, False, False, 10
    )


_MAKERS: dict[str, Callable[[Case], Run]] = {
    "peak product": _product,
    "peak copy": _copy,
    "conv": _conv,
    "conv weight gradient": _conv_weight_gradient,
    "conv input gradient": _conv_input_gradient,
    "linear": _linear,
    "linear weight gradient": _linear_weight_gradient,
    "linear input gradient": _linear_input_gradient,
    "max pool": _max_pool,
    "average pool": _average_pool,
    "batch norm": _batch_norm,
    "dropout": _dropout,
    "relu": _activation(kernels.relu_forward, kernels.relu_backward, True),
    "leaky relu": _activation(kernels.leaky_relu_forward, kernels.leaky_relu_backward, False, 0.01),
    "tanh": _activation(kernels.tanh_forward, kernels.tanh_backward, True),
    "sigmoid": _activation(kernels.sigmoid_forward, kernels.sigmoid_backward, True),
    "cross entropy": _cross_entropy,
    "sgd with momentum": _sgd,
    "adam": _adam,
}
