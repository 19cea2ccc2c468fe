"""The cuBLAS wrapper against a fake library with the C interface: column-major rules, strides, stream and workspace."""

from __future__ import annotations

import ctypes
import gc
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from stand_in import StandIn

import minidl
from minidl.backend import cublas
from minidl.errors import ArgumentError, DeviceError, DTypeError, ShapeError
from minidl.kernels.cuda.gemm import gemm

DTYPES = (np.float32, np.float64)


_NUMBERS = ("transposed_a", "transposed_b", "m", "n", "k", "lda", "ldb", "ldc", "compute")


class Call(ctypes.Structure):
    """What the library was told last."""

    _fields_ = [
        *(
            (name, ctypes.c_int)
            for name in ["transposed_a", "transposed_b", "m", "n", "k", "lda", "ldb", "ldc", "compute"]
        ),
        ("stream", ctypes.c_void_p),
        ("workspace", ctypes.c_void_p),
    ]


def last(library: Any) -> Call:
    call = Call()
    library.fake_last(ctypes.byref(call))
    return call


def normal(*shape: int, seed: int, dtype: Any) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


# How a matrix (M, K) may lie so that cuBLAS can read it: the array to send to the device, and the view of it.
LAYOUTS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[Any, int, int], Any]]] = {
    "rows": (lambda x: x, lambda d, m, k: d),
    "transposed": (lambda x: x.T.copy(), lambda d, m, k: d.T),
    "part of wider rows": (lambda x: np.pad(x, ((1, 1), (2, 3))), lambda d, m, k: d[1 : 1 + m, 2 : 2 + k]),
    "part, transposed": (lambda x: np.pad(x.T, ((1, 1), (2, 3))), lambda d, m, k: d[1 : 1 + k, 2 : 2 + m].T),
    "every second row": (lambda x: np.repeat(x, 2, 0), lambda d, m, k: d[::2]),
}
COPIED: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[Any, int, int], Any]]] = {
    "every second column": (lambda x: np.repeat(x, 2, 1), lambda d, m, k: d[:, ::2]),
    "backwards": (lambda x: x[::-1, ::-1].copy(), lambda d, m, k: d[::-1, ::-1]),
}


def on_device(cupy: StandIn, x: np.ndarray, layout: str) -> Any:
    store, view = {**LAYOUTS, **COPIED}[layout]
    return view(cupy.module.asarray(store(x)), *x.shape)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [(5, 7, 9), (1, 7, 9), (5, 1, 9), (5, 7, 1), (1, 1, 9), (1, 1, 1)], ids=str)
def test_products_of_all_layouts(cupy: StandIn, fake_cublas: Any, sizes: tuple[int, int, int], dtype: Any) -> None:
    m, n, k = sizes
    a, b, bias = (normal(*s, seed=i, dtype=dtype) for i, s in enumerate([(m, k), (k, n), (n,)]))
    expected = a.astype(np.float64) @ b
    tolerance = 1e-5 if dtype is np.float32 else 1e-13
    before = fake_cublas.fake_calls()
    for left in LAYOUTS:
        for right in LAYOUTS:
            da, db = on_device(cupy, a, left), on_device(cupy, b, right)
            with cupy.counting() as counted:
                y = gemm(da, db)
                z = gemm(da, db, cupy.module.asarray(bias))
                wide = cupy.module.full((m, n + 3), 2, dtype)
                gemm(da, db, out=wide[:, 1 : 1 + n], accumulate=True)
            np.testing.assert_allclose(y.get(), expected, rtol=tolerance, atol=tolerance, err_msg=f"{left}, {right}")
            np.testing.assert_allclose(z.get(), expected + bias, rtol=tolerance, atol=tolerance)
            np.testing.assert_allclose(wide.get()[:, 1 : 1 + n], 2 + expected, rtol=tolerance, atol=tolerance)
            assert (wide.get()[:, [0, -2, -1]] == 2).all()
            assert y.flags.c_contiguous
            assert counted.to_host == []
            assert counted.to_device == [bias.nbytes]  # the bias, sent above
    assert fake_cublas.fake_calls() - before == 3 * len(LAYOUTS) ** 2


def test_the_column_major_numbers(cupy: StandIn, fake_cublas: Any) -> None:
    """Written out for one product: out^T (N, M) = b^T a^T, so cuBLAS is given b first."""
    xp = cupy.module
    wide, tall = xp.zeros((5, 20), np.float32), xp.zeros((7, 11), np.float32)
    out = xp.zeros((5, 30), np.float32)
    cublas.matmul(wide[:, :9], tall[:, 1:10].T, out[:, 2:9])
    call = last(fake_cublas)
    assert (call.transposed_a, call.transposed_b) == (1, 0)
    assert (call.m, call.n, call.k) == (7, 5, 9)
    assert (call.lda, call.ldb, call.ldc) == (11, 20, 30)


@pytest.mark.parametrize("layout", COPIED)
def test_what_cublas_cannot_read_is_copied_by_the_kernel_and_refused_by_the_wrapper(cupy: StandIn, layout: str) -> None:
    a, b = normal(5, 9, seed=0, dtype=np.float64), normal(9, 7, seed=1, dtype=np.float64)
    da, db = on_device(cupy, a, layout), cupy.module.asarray(b)
    np.testing.assert_allclose(gemm(da, db).get(), a @ b, rtol=1e-13)
    with pytest.raises(ArgumentError, match="without gaps"):
        cublas.matmul(da, db, cupy.module.empty((5, 7), np.float64))


def test_a_broadcast_row_is_copied(cupy: StandIn) -> None:
    row = cupy.module.asarray(normal(9, seed=0, dtype=np.float64))
    a, b = cupy.module.broadcast_to(row, (5, 9)), cupy.module.asarray(normal(9, 7, seed=1, dtype=np.float64))
    assert not cublas.readable(a)
    np.testing.assert_allclose(gemm(a, b).get(), np.broadcast_to(row.get(), (5, 9)) @ b.get(), rtol=1e-13)


@pytest.mark.parametrize("sizes", [(0, 7, 9), (5, 0, 9), (5, 7, 0)], ids=str)
def test_empty_sides(cupy: StandIn, sizes: tuple[int, int, int]) -> None:
    m, n, k = sizes
    a, b = cupy.module.zeros((m, k), np.float32), cupy.module.zeros((k, n), np.float32)
    bias = cupy.module.ones((n,), np.float32)
    np.testing.assert_array_equal(gemm(a, b).get(), np.zeros((m, n)))
    np.testing.assert_array_equal(gemm(a, b, bias).get(), np.ones((m, n)))


def test_a_result_that_was_nan_does_not_stay(cupy: StandIn) -> None:
    out = cupy.module.full((3, 3), np.nan, np.float32)
    one = cupy.module.ones((3, 3), np.float32)
    assert (gemm(one, one, out=out).get() == 3).all()


def test_one_handle_a_thread_and_a_workspace_a_stream(cupy: StandIn, fake_cublas: Any) -> None:
    xp = cupy.module
    one, before = xp.ones((3, 3), np.float32), fake_cublas.fake_handles()
    gemm(one, one)
    first = last(fake_cublas)
    assert (first.stream or 0) == 0
    side = xp.cuda.Stream(non_blocking=True)
    with side:
        gemm(one, one)
        second = last(fake_cublas)
    gemm(one, one)
    third = last(fake_cublas)
    assert second.stream == side.ptr
    assert (third.stream or 0) == 0
    assert second.workspace != first.workspace == third.workspace
    assert fake_cublas.fake_handles() == before + 1
    workspace = cublas.handle().release(side.ptr)
    assert workspace.data.ptr == second.workspace
    with side:
        gemm(one, one)
    assert last(fake_cublas).workspace != second.workspace

    seen = []
    thread = threading.Thread(target=lambda: (gemm(one, one), seen.append(fake_cublas.fake_handles())))
    thread.start()
    thread.join()
    gc.collect()
    assert seen == [before + 2]
    assert fake_cublas.fake_handles() == before + 1  # that of the thread ended with it


def test_precision_is_a_switch_for_float32_alone(cupy: StandIn, fake_cublas: Any) -> None:
    a32, b32 = (cupy.module.asarray(normal(6, 6, seed=i, dtype=np.float32)) for i in (0, 1))
    a64, b64 = a32.astype(np.float64), b32.astype(np.float64)
    exact = (a64 @ b64).get()

    def error(a: Any, b: Any) -> float:
        return float(np.abs(gemm(a, b).get() - exact).max())

    assert minidl.get_float32_matmul_precision() == "highest"
    assert error(a32, b32) < 1e-6
    minidl.set_float32_matmul_precision("high")
    assert 1e-4 < error(a32, b32) < 1e-2
    assert last(fake_cublas).compute == 77
    assert error(a64, b64) == 0
    minidl.set_float32_matmul_precision("highest")
    assert error(a32, b32) < 1e-6
    for other in ("medium", "tf32", True):
        with pytest.raises(ArgumentError, match='expected "highest" or "high"'):
            minidl.set_float32_matmul_precision(other)  # type: ignore[arg-type]


def test_refusals(cupy: StandIn) -> None:
    xp = cupy.module
    one = xp.ones((3, 3), np.float32)
    with pytest.raises(ShapeError):
        cublas.matmul(one, xp.ones((2, 3), np.float32), one)
    with pytest.raises(ShapeError):
        cublas.matmul(one, one, xp.ones((3, 4), np.float32))
    with pytest.raises(DTypeError):
        cublas.matmul(one, one.astype(np.float64), one)
    with pytest.raises(DTypeError):
        cublas.matmul(*[one.astype(np.int32)] * 3)
    with pytest.raises(ArgumentError, match="without gaps"):
        cublas.matmul(one, one, one.T)
    with pytest.raises(ArgumentError, match="accumulate"):
        gemm(one, one, accumulate=True)
    with pytest.raises(ArgumentError, match="accumulate"):
        gemm(one, one, one[0], out=one, accumulate=True)


def test_the_librarys_complaint_is_passed_on(cupy: StandIn, fake_cublas: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cublas, "_COMPUTE_32", 64)
    one = cupy.module.ones((3, 3), np.float32)
    with pytest.raises(DeviceError, match=r"\(3, 3\) @ \(3, 3\).*status 15, not supported"):
        gemm(one, one)


def test_the_library_is_looked_for_where_cupy_finds_it(cupy: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    places = list(cublas._candidates(13))
    assert "libcublas.so.13" in places
    assert any(place.endswith("/libcublas.so.13") for place in places[:1])  # the fake one, which is loaded already
    assert list(cublas._candidates(12))[-1] == "/usr/local/cuda/lib64/libcublas.so.12"


def test_no_library_is_one_sentence(cupy: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(cublas, "_candidates", lambda major: iter(["/nowhere/libcublas.so.13"]))
    monkeypatch.setattr(cublas.gpu, "cupy", lambda: cupy.module)
    with pytest.raises(
        DeviceError, match=r"libcublas.so.13.*none in /nowhere/libcublas.so.13.*pip install nvidia-cublas"
    ):
        cublas.library.__wrapped__()
