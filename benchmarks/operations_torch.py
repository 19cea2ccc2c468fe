"""The single operations by PyTorch: the functions that its own forward and backward call, without autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from benchmarks import operations
from benchmarks.operations import Case, fingerprint, output_shape

Run = Callable[[], Any]
aten: Any = torch.ops.aten


def prepare(case: Case) -> tuple[Run, list[float] | None]:
    """A function that runs the operation once, and the fingerprint of its results (None where they are random)."""
    torch.set_grad_enabled(False)
    run = _MAKERS[case.kind.removesuffix(" forward").removesuffix(" backward")](case)
    result = run()
    if case.kind.startswith(("dropout", "peak", "sgd", "adam")):
        return run, None
    first = result[0] if isinstance(result, tuple) and case.kind.endswith("forward") else result
    results = first if isinstance(first, tuple) else (first,)
    return run, fingerprint([r.numpy() for r in results if r is not None])


def _draw(case: Case, shape: tuple[int, ...], number: int) -> Any:
    """The input as a tensor; weights of convolutions channels last, as in a tuned network."""
    array = torch.from_numpy(operations.draw(case, shape, number))
    return array.contiguous(memory_format=torch.channels_last) if array.ndim == 4 else array


def _product(case: Case) -> Run:
    a = _draw(case, case.shape, 0)
    return lambda: a @ a


def _copy(case: Case) -> Run:
    source = _draw(case, case.shape, 0)
    to = torch.empty_like(source)
    return lambda: to.copy_(source)


def _conv(case: Case) -> Run:
    x, weight, bias = _draw(case, case.shape, 0), _draw(case, case.weight, 1), _draw(case, case.weight[:1], 2)
    return lambda: torch.nn.functional.conv2d(x, weight, bias, padding=case.padding)


def _conv_gradient(input_gradient: bool) -> Callable[[Case], Run]:
    def make(case: Case) -> Run:
        x, weight, grad = _draw(case, case.shape, 0), _draw(case, case.weight, 1), _draw(case, output_shape(case), 3)
        geometry = [1, 1], [case.padding] * 2, [1, 1], False, [0, 0], 1
        which = 0 if input_gradient else 1
        mask = [input_gradient, not input_gradient, False]
        return lambda: aten.convolution_backward(grad, x, weight, None, *geometry, mask)[which]

    return make


def _linear(case: Case) -> Run:
    x, weight, bias = _draw(case, case.shape, 0), _draw(case, case.weight, 1), _draw(case, case.weight[:1], 2)
    return lambda: torch.nn.functional.linear(x, weight, bias)


def _linear_weight_gradient(case: Case) -> Run:
    x, grad = _draw(case, case.shape, 0), _draw(case, output_shape(case), 3)
    return lambda: grad.t().mm(x)


def _linear_input_gradient(case: Case) -> Run:
    weight, grad = _draw(case, case.weight, 1), _draw(case, output_shape(case), 3)
    return lambda: grad.mm(weight)


def _max_pool(case: Case) -> Run:
    x, grad = _draw(case, case.shape, 0), _draw(case, output_shape(case), 3)
    window = [2, 2], [2, 2], [0, 0], [1, 1], False
    if case.kind.endswith("forward"):
        return lambda: aten.max_pool2d_with_indices(x, *window)
    _, indices = aten.max_pool2d_with_indices(x, *window)
    return lambda: aten.max_pool2d_with_indices_backward(grad, x, *window, indices)


def _average_pool(case: Case) -> Run:
    x, grad = _draw(case, case.shape, 0), _draw(case, output_shape(case), 3)
    window = [2, 2], [2, 2], [0, 0], False, True, None
    if case.kind.endswith("forward"):
        return lambda: aten.avg_pool2d(x, *window)
    return lambda: aten.avg_pool2d_backward(grad, x, *window)


def _batch_norm(case: Case) -> Run:
    x, grad = _draw(case, case.shape, 0), _draw(case, case.shape, 3)
    weight, bias = _draw(case, case.shape[1:2], 1), _draw(case, case.shape[1:2], 2)
    if case.kind.endswith("forward"):
        return lambda: aten.native_batch_norm(x, weight, bias, None, None, True, 0.1, 1e-5)
    _, mean, inverse_std = aten.native_batch_norm(x, weight, bias, None, None, True, 0.1, 1e-5)
    return lambda: aten.native_batch_norm_backward(
        grad, x, weight, None, None, mean, inverse_std, True, 1e-5, [True, True, True]
    )


def _dropout(case: Case) -> Run:
    x = _draw(case, case.shape, 0)
    if case.kind.endswith("forward"):
        return lambda: aten.native_dropout(x, 0.25, True)
    _, mask = aten.native_dropout(x, 0.25, True)
    return lambda: aten.native_dropout_backward(x, mask, 1 / 0.75)


def _activation(forward: Any, backward: Any, of_result: bool) -> Callable[[Case], Run]:
    """An activation whose gradient is computed from its result, or from its input."""

    def make(case: Case) -> Run:
        x, grad = _draw(case, case.shape, 0), _draw(case, case.shape, 3)
        if case.kind.endswith("forward"):
            return lambda: forward(x)
        saved = forward(x) if of_result else x
        return lambda: backward(grad, saved)

    return make


def _cross_entropy(case: Case) -> Run:
    logits, target = _draw(case, case.shape, 0), torch.from_numpy(operations.labels(case))
    loss = torch.nn.functional.cross_entropy
    if case.kind.endswith("forward"):
        return lambda: loss(logits, target)
    log_probabilities = torch.log_softmax(logits, 1)
    one = torch.ones(())
    _, total = aten.nll_loss_forward(log_probabilities, target, None, 1, -100)

    def backward() -> Any:
        grad = aten.nll_loss_backward(one, log_probabilities, target, None, 1, -100, total)
        return aten._log_softmax_backward_data(grad, log_probabilities, 1, torch.float32)

    return backward


def _optimizer(make: Callable[[list[Any]], torch.optim.Optimizer]) -> Callable[[Case], Run]:
    def prepare_step(case: Case) -> Run:
        parameter = torch.nn.Parameter(_draw(case, case.shape, 0))
        parameter.grad = _draw(case, case.shape, 1)
        return make([parameter]).step

    return prepare_step


_MAKERS: dict[str, Callable[[Case], Run]] = {
    "peak product": _product,
    "peak copy": _copy,
    "conv": _conv,
    "conv weight gradient": _conv_gradient(input_gradient=False),
    "conv input gradient": _conv_gradient(input_gradient=True),
    "linear": _linear,
    "linear weight gradient": _linear_weight_gradient,
    "linear input gradient": _linear_input_gradient,
    "max pool": _max_pool,
    "average pool": _average_pool,
    "batch norm": _batch_norm,
    "dropout": _dropout,
    "relu": _activation(torch.relu, lambda grad, y: aten.threshold_backward(grad, y, 0), True),
    "leaky relu": _activation(
        torch.nn.functional.leaky_relu, lambda grad, x: aten.leaky_relu_backward(grad, x, 0.01, False), False
    ),
    "tanh": _activation(torch.tanh, aten.tanh_backward, True),
    "sigmoid": _activation(torch.sigmoid, aten.sigmoid_backward, True),
    "cross entropy": _cross_entropy,
    "sgd with momentum": _optimizer(lambda p: torch.optim.SGD(p, lr=1e-8, momentum=0.9, fused=True)),
    "adam": _optimizer(lambda p: torch.optim.Adam(p, lr=1e-8, fused=True)),
}
