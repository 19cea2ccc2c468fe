"""What things cost on a GPU: a launch, a node of a graph, and every kernel beside the least that its bytes allow."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import minidl
from benchmarks import report
from minidl import kernels
from minidl.backend import gpu
from minidl.backend.graph import Recording

__all__ = ["measure"]

REPEATS = 20
NODES = 500


class Case(NamedTuple):
    """A kernel call; what it has to move (bytes) and to compute (operations) at the least."""

    name: str
    call: Callable[[], Any]
    bytes: float
    operations: float = 0.0


def seconds_of(call: Callable[[], Any], repeats: int = REPEATS) -> float:
    """The median of single calls, by CUDA events."""
    cuda = gpu.cupy().cuda
    for _ in range(3):
        call()
    times = []
    for _ in range(repeats):
        start, stop = cuda.Event(), cuda.Event()
        start.record()
        call()
        stop.record()
        stop.synchronize()
        times.append(cuda.get_elapsed_time(start, stop) / 1000)
    return report.middle(times)[0]


def _array(*shape: int) -> Any:
    values = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    return minidl.from_numpy(values).to("gpu").data


def _outermost(*shape: int) -> Any:
    """(N, C, H, W) in the GPU's memory order, as a convolution gives it."""
    n, c, h, w = shape
    return _array(c, n, h, w).transpose(1, 0, 2, 3)  # (C, N, H, W) -> (N, C, H, W)


def cases() -> list[Case]:
    """The kernels of a training step, on arrays far larger than the level-2 cache."""
    x = _outermost(1024, 64, 32, 32)
    size = x.nbytes
    vector = _array(64)
    geometry: dict[str, Any] = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    window: dict[str, Any] = {"kernel_size": (2, 2), "stride": (2, 2), "padding": (0, 0)}
    means: dict[str, Any] = {"count_include_pad": True, "divisor_override": None, **window}
    _, mean, _, inverse_std = kernels.batch_norm_forward(x, vector, vector, 1e-5)
    pooled, positions = kernels.max_pool2d_forward(x, dilation=(1, 1), output_size=(16, 16), **window)
    flat = _array(2**26)
    buffers = [_array(2**26) for _ in range(3)]
    logits, target = _array(2**17, 128), minidl.zeros(2**17, dtype=minidl.int64, device="gpu").data
    a, b = _array(8192, 8192), _array(8192, 8192)
    inputs, filters = _outermost(512, 64, 16, 16), _array(128, 64, 3, 3)
    grad = kernels.conv2d_forward(inputs, filters, None, **geometry)
    flops = 2.0 * grad.size * 64 * 9
    conv_bytes = inputs.nbytes + grad.nbytes + filters.nbytes
    return [
        Case("copy", lambda: x.copy(order="K"), 2 * size),
        Case("relu_forward", lambda: kernels.relu_forward(x), 2 * size),
        Case("relu_backward", lambda: kernels.relu_backward(x, x), 3 * size),
        Case("batch_norm_forward", lambda: kernels.batch_norm_forward(x, vector, vector, 1e-5), 3 * size),
        Case(
            "batch_norm_backward", lambda: kernels.batch_norm_backward(x, x, vector, mean, inverse_std), 5 * size
        ),
        Case("channel_sum", lambda: kernels.channel_sum(x), size),
        Case(
            "max_pool2d_forward",
            lambda: kernels.max_pool2d_forward(x, dilation=(1, 1), output_size=(16, 16), **window),
            size + pooled.nbytes + positions.nbytes,
        ),
        Case(
            "max_pool2d_backward",
            lambda: kernels.max_pool2d_backward(pooled, positions, x.shape, dilation=(1, 1), **window),
            size + pooled.nbytes + positions.nbytes,
        ),
        Case(
            "avg_pool2d_forward",
            lambda: kernels.avg_pool2d_forward(x, output_size=(16, 16), **means),
            size + pooled.nbytes,
        ),
        Case(
            "avg_pool2d_backward",
            lambda: kernels.avg_pool2d_backward(pooled, x.shape, **means),
            size + pooled.nbytes,
        ),
        Case("dropout_forward", lambda: kernels.dropout_forward(x, 0.5, 1, 2, 1), 2 * size),
        Case("contiguous", lambda: kernels.contiguous(x), 2 * size),
        Case(
            "cross_entropy_forward",
            lambda: kernels.cross_entropy_forward(logits, target, None, -100, 0.0),
            2 * logits.nbytes,
        ),
        Case(
            "sgd_update",
            lambda: kernels.sgd_update(flat, buffers[0], buffers[1], 0.0, 0.9, 0.0, 0.0, False, False, False),
            5 * flat.nbytes,
        ),
        Case(
            "adam_update",
            lambda: kernels.adam_update(flat, *buffers, None, 0.0, 0.9, 0.999, 1e-8, 0.0, False, False, 1),
            7 * flat.nbytes,
        ),
        Case("gemm 8192", lambda: kernels.gemm(a, b), 3 * a.nbytes, 2.0 * 8192**3),
        Case("conv2d_forward", lambda: kernels.conv2d_forward(inputs, filters, None, **geometry), conv_bytes, flops),
        Case(
            "conv2d_input_gradient",
            lambda: kernels.conv2d_input_gradient(grad, filters, inputs.shape, **geometry),
            conv_bytes,
            flops,
        ),
        Case(
            "conv2d_weight_gradient",
            lambda: kernels.conv2d_weight_gradient(grad, inputs, filters.shape, **geometry),
            conv_bytes,
            flops,
        ),
    ]  # fmt: skip


def overheads() -> dict[str, float]:
    """Microseconds: of the host for an operation and a launch, of the device for a node of a graph."""
    x = minidl.zeros(32, device="gpu")

    def host(call: Callable[[], Any]) -> float:
        call()
        minidl.gpu.synchronize()
        start = time.perf_counter()
        for _ in range(NODES):
            call()
        elapsed = time.perf_counter() - start
        minidl.gpu.synchronize()
        return 1e6 * elapsed / NODES

    def chain() -> Any:
        y = x.data
        for _ in range(NODES):
            y = kernels.relu_forward(y)
        return y

    recording = Recording()
    recording.warm(chain)
    recording.record(chain)
    one = Recording()
    one.warm(lambda: kernels.relu_forward(x.data))
    one.record(lambda: kernels.relu_forward(x.data))
    whole, single = seconds_of(recording.replay), seconds_of(one.replay)
    return {
        "host, kernels.relu_forward": host(lambda: kernels.relu_forward(x.data)),
        "host, Tensor.relu without a graph": host(x.relu),
        "host, CuPy's own addition": host(lambda: x.data + x.data),
        "device, a graph of one node": 1e6 * single,
        "device, each further node": 1e6 * (whole - single) / (NODES - 1),
    }


def measure(write: Callable[[dict[str, Any]], None]) -> None:
    """The overheads, then every kernel in full float32 and, where products matter, in TF32."""
    costs = overheads()
    lines = ["overheads, us", "", report.table(["", "us"], [[name, f"{us:.2f}"] for name, us in costs.items()])]
    found: dict[str, Any] = {"overheads": costs, "kernels": [], "failure": None, "text": "\n".join(lines)}
    write(found)
    rows, copied = [], 0.0
    for case in cases():
        for precision in ("highest", "high") if case.operations else ("highest",):
            minidl.set_float32_matmul_precision(precision)
            seconds = seconds_of(case.call)
            rate = case.bytes / seconds
            copied = copied or rate  # the first case is the copy
            name = f"{case.name}, TF32" if precision == "high" else case.name
            found["kernels"].append(
                {"name": name, "seconds": seconds, "bytes": case.bytes, "operations": case.operations}
            )
            flops = f"{case.operations / seconds / 1e12:.1f}" if case.operations else ""
            rows.append(
                [name, report.number(1e6 * seconds), f"{rate / 1e9:.0f}", f"{100 * rate / copied:.0f} %", flops]
            )
            headings = ["kernel", "us", "GB/s at the least", "of the copy", "TFLOP/s"]
            found["text"] = "\n".join([*lines, "", report.table(headings, rows)])
            write(found)
    minidl.set_float32_matmul_precision("highest")
