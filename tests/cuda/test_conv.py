"""Convolution on the emulated GPU against the plain dialect; its products are NumPy's here, cuBLAS is tested apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from comparison import agree, orders
from emulator import Emulator
from kernels.arrays import normal

from minidl.kernels.cuda import conv as cuda
from minidl.kernels.geometry import conv_output_size
from minidl.kernels.plain import conv as plain

Case = tuple[tuple[int, ...], tuple[int, ...], tuple[int, int], tuple[int, int], tuple[int, int], int]
CASES: dict[str, Case] = {
    "3x3 padded": ((3, 4, 9, 7), (5, 4, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "uneven everything": ((3, 4, 11, 8), (6, 4, 3, 2), (3, 2), (2, 1), (1, 2), 1),
    "groups": ((2, 6, 7, 7), (9, 2, 3, 3), (2, 2), (1, 1), (1, 1), 3),
    "depthwise": ((3, 4, 6, 5), (4, 1, 3, 3), (1, 1), (1, 1), (1, 1), 4),
    "1x1, a plain product": ((3, 5, 4, 6), (7, 5, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    "1x1 in groups": ((3, 6, 4, 6), (4, 3, 1, 1), (1, 1), (0, 0), (1, 1), 2),
    "1x1 strided": ((2, 5, 7, 6), (3, 5, 1, 1), (2, 2), (0, 0), (1, 1), 1),
    "pixels that no window sees": ((2, 3, 9, 9), (2, 3, 2, 2), (4, 3), (0, 0), (1, 1), 1),
    "a window as large as the image": ((4, 3, 5, 5), (6, 3, 5, 5), (1, 1), (0, 0), (1, 1), 1),
    "padding wider than the image": ((2, 2, 2, 3), (3, 2, 5, 5), (2, 2), (4, 4), (1, 1), 1),
    "one pixel": ((1, 1, 1, 1), (1, 1, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    "more pixels than a block has threads": ((5, 2, 12, 10), (2, 2, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "no images": ((0, 3, 5, 5), (4, 3, 3, 3), (1, 1), (0, 0), (1, 1), 1),
}


def numpy_gemm(a: Any, b: Any, bias: Any = None, out: Any = None, accumulate: bool = False) -> Any:
    """kernels/cuda/gemm.py in NumPy, into an array that holds NaN wherever nothing was written."""
    assert bias is None
    assert out.base is not None
    out[...] = a @ b + (out if accumulate else 0)
    return out


@pytest.fixture(autouse=True)
def products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "gemm", numpy_gemm)


def arrays(case: Case, dtype: Any) -> tuple[Any, Any, Any, Any]:
    """x, weight, bias and a gradient for the output."""
    shape, weight_shape, stride, padding, dilation, _ = case
    sizes = (conv_output_size(*values) for values in zip(shape[2:], weight_shape[2:], stride, padding, dilation))
    x, weight, bias = (
        normal(*shape, dtype=dtype),
        normal(*weight_shape, seed=1, dtype=dtype),
        normal(weight_shape[0], seed=2),
    )
    return x, weight, bias.astype(dtype), normal(shape[0], weight_shape[0], *sizes, seed=3, dtype=dtype)


@pytest.mark.parametrize("images_at_a_time", [1, 2, 100])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_forward_and_gradients(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, name: str, dtype: Any, images_at_a_time: int
) -> None:
    case = CASES[name]
    x, weight, bias, grad = arrays(case, dtype)
    _, channels, kh, kw = weight.shape
    column_bytes = case[5] * channels * kh * kw * grad.shape[2] * grad.shape[3] * x.itemsize
    monkeypatch.setattr(cuda, "COLUMN_BYTES", images_at_a_time * column_bytes)
    geometry = case[2:]
    tolerance = 5e-6 if dtype == np.float32 else 0
    y = agree(emulator, cuda.conv2d_forward, plain.conv2d_forward, x, weight, bias, *geometry, tolerance=tolerance)
    assert y.swapaxes(0, 1).flags.c_contiguous
    agree(emulator, cuda.conv2d_forward, plain.conv2d_forward, x, weight, None, *geometry, tolerance=tolerance)
    gradients = (
        (cuda.conv2d_input_gradient, plain.conv2d_input_gradient, (grad, weight, x.shape)),
        (cuda.conv2d_weight_gradient, plain.conv2d_weight_gradient, (grad, x, weight.shape)),
    )
    for ours, theirs, arguments in gradients:
        agree(emulator, ours, theirs, *arguments, *geometry, tolerance=tolerance)
    if not emulator.launches.count("im2col"):
        assert "1x1" in name or "one pixel" in name or "no images" in name


@pytest.mark.parametrize("name", ["uneven everything", "pixels that no window sees", "no images"])
def test_columns_and_their_adjoint(emulator: Emulator, name: str) -> None:
    case = CASES[name]
    geometry = case[2:5]
    for x in orders(arrays(case, np.float64)[0]):
        columns = agree(emulator, cuda.im2col, plain.im2col, x, case[1][2:], *geometry)
        for spread in (columns, np.asfortranarray(columns)):
            agree(emulator, cuda.col2im, plain.col2im, spread, x.shape, *geometry)


def test_every_memory_order(emulator: Emulator) -> None:
    case = CASES["3x3 padded"]
    x, weight, bias, grad = arrays(case, np.float64)
    geometry = case[2:]
    for images, filters, upstream in zip(orders(x), orders(weight), orders(grad)):
        agree(emulator, cuda.conv2d_forward, plain.conv2d_forward, images, filters, bias[::-1], *geometry)
        agree(emulator, cuda.conv2d_input_gradient, plain.conv2d_input_gradient, upstream, filters, x.shape, *geometry)
        agree(
            emulator,
            cuda.conv2d_weight_gradient,
            plain.conv2d_weight_gradient,
            upstream,
            images,
            weight.shape,
            *case[2:],
        )


@pytest.mark.parametrize(
    ("images", "each", "sizes"), [(128, 0.9, [26, 26, 26, 26, 24]), (4, 30, [1] * 4), (7, 12, [2, 2, 2, 1])]
)
def test_pieces_fill_the_cache_and_are_about_equal(images: int, each: float, sizes: list[int]) -> None:
    """``each`` is how many MiB the columns of one image take."""
    shapes = cuda._Shapes((images, 1, int(each * 2**20 / 40), 10), (3, 1, 1, 1), (1, 1), (0, 0), (1, 1), 1)
    assert [last - first for first, last in shapes.pieces(4)] == sizes
