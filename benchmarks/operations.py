"""The single operations: shapes from the networks, the work each has to do, and the inputs both sides get."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from benchmarks.workloads import MINIDL, TORCH, Column

COLUMNS: tuple[Column, Column] = (MINIDL, TORCH)


@dataclass(frozen=True)
class Case:
    """One operation on one shape. ``amount`` is its work in floating-point operations or bytes, as ``unit`` says.

    Bytes count every array that goes in or out once: what has to move at least.
    """

    kind: str
    place: str
    shape: tuple[int, ...]  # of the input: images (N, C, H, W), a matrix (N, K), or parameters (M,)
    amount: float
    unit: str  # "GFLOP/s" or "GB/s"
    weight: tuple[int, ...] = ()  # convolutions: (O, C, k, k), products: (O, K)
    padding: int = 0


def _conv(place: str, n: int, c: int, size: int, o: int, k: int, padding: int = 0, first: bool = False) -> list[Case]:
    out = size + 2 * padding - k + 1
    flops = 2 * n * out * out * o * c * k * k
    kinds = ["conv forward", "conv weight gradient"] + ([] if first else ["conv input gradient"])
    return [Case(kind, place, (n, c, size, size), flops, "GFLOP/s", (o, c, k, k), padding) for kind in kinds]


def _linear(place: str, n: int, k: int, o: int) -> list[Case]:
    kinds = ["linear forward", "linear weight gradient", "linear input gradient"]
    return [Case(kind, place, (n, k), 2 * n * k * o, "GFLOP/s", (o, k)) for kind in kinds]


def _streaming(kind: str, place: str, shape: tuple[int, ...], arrays: float) -> Case:
    """An operation that moves ``arrays`` times its input of float32."""
    return Case(kind, place, shape, 4 * arrays * prod(shape), "GB/s")


ACTIVATIONS = (128, 32, 28, 28)  # model A after its second convolution, 12.8 MB

CASES: list[Case] = [
    Case("peak product", "2048 x 2048 x 2048", (2048, 2048), 2 * 2048**3, "GFLOP/s"),
    Case("peak copy", "8 MB (cache)", (2**21,), 8 * 2**21, "GB/s"),
    Case("peak copy", "256 MB (memory)", (2**26,), 8 * 2**26, "GB/s"),
    *_conv("LeNet conv1", 128, 3, 32, 6, 5, first=True),
    *_conv("LeNet conv2", 128, 6, 14, 16, 5),
    *_conv("model A conv1", 128, 3, 32, 32, 3, first=True),
    *_conv("model A conv2", 128, 32, 30, 32, 3),
    *_conv("model A conv3", 128, 32, 14, 64, 3),
    *_conv("model A conv4", 128, 64, 12, 64, 3),
    *_conv("model B conv3", 32, 64, 14, 128, 3),
    *_conv("model B conv4", 32, 128, 12, 256, 3),
    *_conv("003 conv1", 64, 3, 32, 32, 3, 1, first=True),
    *_conv("003 conv2", 64, 32, 16, 64, 3, 1),
    *_conv("003 conv3", 64, 64, 8, 128, 3, 1),
    *_conv("002 conv2", 128, 32, 32, 32, 3, 1),
    *_linear("MLP fc1", 128, 3072, 120),
    *_linear("model A fc1", 128, 1600, 512),
    *_linear("model B fc1", 32, 6400, 1024),
    _streaming("max pool forward", "LeNet pool1", (128, 6, 28, 28), 1.25),
    _streaming("max pool backward", "LeNet pool1", (128, 6, 28, 28), 1.25),
    _streaming("max pool forward", "model A pool1", ACTIVATIONS, 1.25),
    _streaming("max pool backward", "model A pool1", ACTIVATIONS, 1.25),
    _streaming("average pool forward", "003 pool1", (64, 32, 32, 32), 1.25),
    _streaming("average pool backward", "003 pool1", (64, 32, 32, 32), 1.25),
    _streaming("batch norm forward", "003 bn1", (64, 32, 32, 32), 2),
    _streaming("batch norm backward", "003 bn1", (64, 32, 32, 32), 3),
    _streaming("batch norm forward", "002 bn1", (128, 32, 32, 32), 2),
    _streaming("batch norm backward", "002 bn1", (128, 32, 32, 32), 3),
    _streaming("batch norm forward", "002 bn5", (128, 512), 2),
    _streaming("batch norm backward", "002 bn5", (128, 512), 3),
    _streaming("dropout forward", "002 dropout1", (128, 32, 16, 16), 2),
    _streaming("dropout backward", "002 dropout1", (128, 32, 16, 16), 2),
    *[
        _streaming(f"{name} {way}", "model A", ACTIVATIONS, arrays)
        for name in ("relu", "leaky relu", "tanh", "sigmoid")
        for way, arrays in (("forward", 2), ("backward", 3))
    ],
    _streaming("cross entropy forward", "batch 128", (128, 10), 2),
    _streaming("cross entropy backward", "batch 128", (128, 10), 2),
    _streaming("cross entropy forward", "batch 1000", (1000, 10), 2),
    _streaming("cross entropy backward", "batch 1000", (1000, 10), 2),
    _streaming("sgd with momentum", "003 network", (1_211_018,), 5),
    _streaming("adam", "003 network", (1_211_018,), 7),
]


def draw(case: Case, shape: tuple[int, ...], number: int) -> np.ndarray:
    """Input ``number`` of a case: standard normal float32; images (N, C, H, W) lie channels last in memory."""
    random = np.random.default_rng(number)
    if len(shape) != 4 or shape == case.weight:
        return random.standard_normal(shape, dtype=np.float32)
    n, c, h, w = shape
    return random.standard_normal((n, h, w, c), dtype=np.float32).transpose(0, 3, 1, 2)  # (N, H, W, C) -> (N, C, H, W)


def output_shape(case: Case) -> tuple[int, ...]:
    """The shape of what the operation makes of its input, and so of the gradient that comes back."""
    n = case.shape[0]
    if case.kind.startswith("conv"):
        out = case.shape[2] + 2 * case.padding - case.weight[2] + 1
        return n, case.weight[0], out, out
    if case.kind.startswith("linear"):
        return n, case.weight[0]
    if "pool" in case.kind:
        return n, case.shape[1], case.shape[2] // 2, case.shape[3] // 2
    return case.shape


def labels(case: Case) -> np.ndarray:
    """The classes (N,) int64 of a cross entropy."""
    return np.random.default_rng(4).integers(0, case.shape[1], case.shape[0])


def fingerprint(arrays: list[np.ndarray]) -> list[float]:
    """Sum of |x| and of x * position mod 7, in float64, logical order: equal if both sides computed the same."""
    figures = []
    for array in arrays:
        values = np.ascontiguousarray(array).ravel().astype(np.float64)
        figures += [float(np.abs(values).sum()), float(np.abs(values) @ (np.arange(values.size) % 7))]
    return figures
