"""The emulation itself: that it computes what CUDA would, and that it sees the mistakes which it is there to see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comparison import both_orders
from emulator import EmulationError, Emulator
from kernels.arrays import normal

from minidl.backend.launcher import Program
from minidl.kernels.cuda import shared

PRELUDE = Path(shared.__file__).with_name("common.cu")
SOURCE = """
// y = x shifted by one place within a block, through shared memory.
extern "C" __global__ void shift(C_ORDER const real *x, C_ORDER real *y, int synchronized) {
    __shared__ real kept[64];
    kept[threadIdx.x] = x[blockIdx.x * 64 + threadIdx.x];
    if (synchronized) __syncthreads();
    y[blockIdx.x * 64 + threadIdx.x] = kept[(threadIdx.x + 63) % 64];
}

extern "C" __global__ void sums(C_ORDER const real *x, C_ORDER real *by_warp, C_ORDER real *by_block) {
    real value = x[blockIdx.x * blockDim.x + threadIdx.x];
    by_warp[blockIdx.x * blockDim.x + threadIdx.x] = lane_sum(value, 8);
    for (int i = 0; i < 3; ++i) by_block[blockIdx.x * blockDim.x + threadIdx.x] = block_sum(value + i);
}

extern "C" __global__ void reach(C_ORDER const real *x, C_ORDER real *y, int offset) {
    y[threadIdx.x] = x[(int)threadIdx.x + offset];
}

extern "C" __global__ void part_ways(C_ORDER real *y, int how) {
    if (how == 0 && threadIdx.x >= 32) return;
    if (how == 1 && threadIdx.x % 32 == 5) return;
    real sum = warp_sum((real)1);
    __syncthreads();
    y[threadIdx.x] = sum;
}

// Sums over two warps, several times through the same place; without `synchronized` a fast warp overwrites its part
// before a slow one has read it.
extern "C" __global__ void overtake(C_ORDER const real *x, C_ORDER real *y, int synchronized) {
    __shared__ real parts[2];
    for (int i = 0; i < 3; ++i) {
        real sum = warp_sum(x[threadIdx.x] * (i + 1));
        if (synchronized) __syncthreads();
        if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = sum;
        __syncthreads();
        y[i * 64 + threadIdx.x] = parts[0] + parts[1];
    }
}

extern "C" __global__ void last_writer(C_ORDER real *y) { y[0] = threadIdx.x; }
"""


@pytest.fixture
def program(tmp_path: Path) -> Program:
    (tmp_path / "example.cu").write_text(SOURCE, encoding="utf-8")
    return Program(tmp_path / "example.cu", PRELUDE)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_over_lanes_and_blocks(emulator: Emulator, program: Program, dtype: Any) -> None:
    x = normal(3, 96, dtype=dtype)

    def sums() -> Any:
        by_warp, by_block = np.empty_like(x), np.empty_like(x)
        program.launch("sums", 3, 96, x, by_warp, by_block)
        return by_warp, by_block

    by_warp, by_block = both_orders(emulator, sums)
    np.testing.assert_allclose(by_warp, x.reshape(3, 12, 8).sum(2).repeat(8, 1), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(by_block, (x + 2).sum(1, keepdims=True).repeat(96, 1), rtol=1e-5)


def test_a_missing_synchronization_is_seen(emulator: Emulator, program: Program) -> None:
    x = normal(2, 64)

    def shift(synchronized: bool) -> Any:
        y = np.empty_like(x)
        program.launch("shift", 2, 64, x, y, synchronized)
        return y

    np.testing.assert_array_equal(both_orders(emulator, lambda: shift(True)), np.roll(x, 1, axis=1))
    with pytest.raises(AssertionError, match="the result depends on the order of the threads"):
        both_orders(emulator, lambda: shift(False))


def test_a_warp_that_overtakes_another_is_seen(emulator: Emulator, program: Program) -> None:
    x = normal(64)

    def overtake(synchronized: bool) -> Any:
        y = np.empty((3, 64))
        program.launch("overtake", 1, 64, x, y, synchronized)
        return y

    expected = x.sum() * np.array([[1], [2], [3]]).repeat(64, axis=1)
    np.testing.assert_allclose(both_orders(emulator, lambda: overtake(True)), expected, rtol=1e-12)
    assert not np.allclose(overtake(False), expected)


def test_threads_that_write_one_place_are_seen(emulator: Emulator, program: Program) -> None:
    def write() -> Any:
        y = np.empty(1)
        program.launch("last_writer", 1, 64, y)
        return y

    with pytest.raises(AssertionError, match="the result depends on the order of the threads"):
        both_orders(emulator, write)


@pytest.mark.parametrize(("offset", "index"), [(-1, -1), (1, 64), (10**9, 10**9)])
def test_an_index_outside_an_array_is_seen(emulator: Emulator, program: Program, offset: int, index: int) -> None:
    with pytest.raises(EmulationError, match=f"^reach, block 0, thread .*: index {index} is outside of x"):
        program.launch("reach", 1, 64, np.zeros(64), np.zeros(64), offset)
    program.launch("reach", 1, 64, np.zeros(64), np.zeros(64), 0)  # and the next launch is none the worse


@pytest.mark.parametrize(("how", "barrier"), [(0, r"__syncthreads\(\)"), (1, "a shuffle")])
def test_threads_that_miss_a_barrier_are_seen(emulator: Emulator, program: Program, how: int, barrier: str) -> None:
    y = np.zeros(64)
    with pytest.raises(EmulationError, match=f"part_ways, block 0, .*: waits at {barrier} for threads that never"):
        program.launch("part_ways", 1, 64, y, how)
    program.launch("part_ways", 1, 64, y, 2)
    assert (y == 32).all()


def test_what_does_not_compile_is_said(emulator: Emulator, tmp_path: Path) -> None:
    (tmp_path / "broken.cu").write_text('\n\nextern "C" __global__ void f(int i) { nonsense(i); }', encoding="utf-8")
    with pytest.raises(EmulationError, match=r"broken.cu:3:.*nonsense"):
        Program(tmp_path / "broken.cu", PRELUDE).launch("f", 1, 1, 1)
