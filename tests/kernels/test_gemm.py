"""Matrix products and channel sums: plain and CPU against exact or float64 results; the scope of BLAS's threads."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl import kernels
from minidl.kernels.cpu import blas
from minidl.kernels.cpu import gemm as cpu
from minidl.kernels.plain import gemm as plain

from .arrays import normal

needs_blas = pytest.mark.skipif(not blas.AVAILABLE, reason="no OpenBLAS to call from Numba")
DIALECTS = [pytest.param(plain, id="plain"), pytest.param(cpu, id="cpu", marks=needs_blas)]


def matrix(rows: int, columns: int, layout: str, dtype: Any, seed: int) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((rows, columns)).astype(dtype)
    if layout == "transposed":
        return np.ascontiguousarray(x.T).T
    return np.repeat(x, 2, axis=1)[:, ::2] if layout == "strided" else x


lengths = st.sampled_from([0, 1, 2, 7, 16, 33, 130, 400])
layouts = st.sampled_from(["rows", "transposed", "strided"])


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=80, deadline=None, derandomize=True)
@given(M=lengths, K=lengths, N=lengths, layout_a=layouts, layout_b=layouts, with_bias=st.booleans())
def test_gemm(dialect: Any, M: int, K: int, N: int, layout_a: str, layout_b: str, with_bias: bool) -> None:
    for dtype in (np.float64, np.float32):
        a, b = matrix(M, K, layout_a, dtype, 1), matrix(K, N, layout_b, dtype, 2)
        bias = np.random.default_rng(3).standard_normal(N).astype(dtype) if with_bias else None
        wide = [torch.from_numpy(x.astype(np.float64)) for x in (a, b)]
        expected = wide[0] @ wide[1] + (torch.from_numpy(bias.astype(np.float64)) if bias is not None else 0)
        got = dialect.gemm(a, b, bias)
        assert got.shape == (M, N)
        assert got.dtype == dtype
        assert got.flags.c_contiguous
        bound = 1e-12 if dtype == np.float64 else 4 * np.finfo(dtype).eps * max(K, 1) ** 0.5
        if got.size:
            scale = max(float(expected.abs().max()), 1.0)
            assert float(np.abs(got - expected.numpy()).max()) <= bound * scale


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("shape", [(0, 3), (5, 1), (3001, 7), (4, 6, 5, 3), (0, 3, 2, 2), (9, 5, 20, 21)])
def test_channel_sum(dialect: Any, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(4)
    for dtype in (np.float64, np.float32):
        x = (rng.standard_normal(shape) * 1000 + 1).astype(dtype)
        for array in (x, x.swapaxes(0, 1).copy().swapaxes(0, 1)):
            got = dialect.channel_sum(array)
            assert got.shape == (shape[1],)
            assert got.dtype == dtype
            for c in range(shape[1]):
                values = x[:, c].astype(np.float64).ravel()
                exact = math.fsum(values)
                # float32 sums are added in float64 and rounded once
                unit = np.finfo(dtype).eps
                assert abs(got[c] - exact) <= unit * abs(exact) + 1e-13 * math.fsum(np.abs(values))


@needs_blas
@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one core: there is no second thread")
def test_bits_do_not_depend_on_threads() -> None:
    tall, wide = matrix(517, 211, "rows", np.float32, 5), matrix(211, 93, "transposed", np.float32, 6)
    threads = numba.get_num_threads()
    results = []
    try:
        for count in (1, 2):
            numba.set_num_threads(count)
            products = cpu.gemm(tall, wide), cpu.gemm(wide.T, tall.T)
            results.append([p.tobytes() for p in products] + [cpu.channel_sum(np.tile(tall, (9, 1))).tobytes()])
    finally:
        numba.set_num_threads(threads)
    assert results[0] == results[1]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("a", "b"),
    [((3, 5, 4), (3, 4, 6)), ((2, 1, 5, 4), (3, 4, 1)), ((4, 2), (5, 2, 3)), ((0, 2, 3), (3, 2)), ((2, 3, 0), (0, 4))],
)
def test_products_in_a_row(dialect: Any, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    rng = np.random.default_rng(8)
    x, y = rng.standard_normal(a), np.swapaxes(rng.standard_normal((*b[:-2], b[-1], b[-2])), -1, -2)
    expected = torch.from_numpy(x) @ torch.from_numpy(y)
    got = dialect.matmul(x, y)
    assert got.shape == tuple(expected.shape)
    np.testing.assert_allclose(got, expected.numpy(), rtol=1e-12, atol=1e-14)


@needs_blas
def test_products_in_a_row_have_the_same_bits_beside_another_thread() -> None:
    """Whoever is inside single_thread() takes OpenBLAS's threads from everybody."""
    for M, K, N in ((52, 46, 229), (141, 128, 201)):  # NumPy makes the first product, gemm the second
        a, b = normal(2, M, K), normal(1, N, K).swapaxes(1, 2)  # (1, N, K) -> (1, K, N)
        alone = cpu.matmul(a, b)
        with blas.single_thread():
            assert cpu.matmul(a, b).tobytes() == alone.tobytes()
        np.testing.assert_allclose(alone, np.matmul(a, b), rtol=1e-10, atol=1e-12)


@needs_blas
def test_decompositions_have_the_same_bits_beside_another_thread() -> None:
    for shape in ((202, 151), (97, 260)):
        a = normal(*shape)
        alone = kernels.svd(a)
        with blas.single_thread():
            assert [part.tobytes() for part in kernels.svd(a)] == [part.tobytes() for part in alone]
        u, s, vt = alone
        np.testing.assert_allclose((u * s) @ vt, a, atol=1e-12)
        np.testing.assert_allclose(s, torch.linalg.svdvals(torch.from_numpy(a)).numpy(), rtol=1e-12)


@needs_blas
def test_single_thread_gives_the_users_number_back() -> None:
    library = blas._library
    assert library is not None
    users = library.get_threads()
    try:
        library.set_threads(2)
        with blas.single_thread():
            assert library.get_threads() == 1
            with blas.single_thread():
                assert library.get_threads() == 1
            assert library.get_threads() == 1
        assert library.get_threads() == 2
        cpu.gemm(np.ones((64, 64)), np.ones((64, 64)))
        assert library.get_threads() == 2
    finally:
        library.set_threads(users)


@needs_blas
def test_description_names_the_library() -> None:
    assert "OpenBLAS" in blas.description()


@needs_blas
@settings(max_examples=40, deadline=None, derandomize=True)
@given(N=st.integers(0, 40), K=st.integers(1, 60), O=st.integers(1, 200), layout=layouts, with_input=st.booleans())
def test_linear_backward(N: int, K: int, O: int, layout: str, with_input: bool) -> None:
    for dtype in (np.float64, np.float32):
        grad, x, weight = (matrix(*shape, layout, dtype, i) for i, shape in enumerate([(N, O), (N, K), (O, K)]))
        got = cpu.linear_backward(grad, x, weight if with_input else None)
        wide = [a.astype(np.float64) for a in (grad, x, weight)]
        expected = wide[0] @ wide[2] if with_input else None, wide[0].T @ wide[1], wide[0].sum(0)
        for g, e, terms in zip(got, expected, (O, N, N)):
            if e is None:
                assert g is None
                continue
            assert (g.shape, g.dtype) == (e.shape, np.dtype(dtype))
            bound = 8 * np.finfo(dtype).eps * max(terms, 1) ** 0.5 * max(float(np.abs(e).max(initial=0)), 1.0)
            assert np.abs(g - e).max(initial=0) <= bound
