"""The matrix product A B^T in float32, as in a linear layer's x W^T, by register tiles of dot products.

Both matrices have K side by side, so vectors run along K in A and in B, and the lanes of a sum are added up at the end.
BLAS first copies both matrices into an order of its own, which for the products of a small network, with one side of
at most a few hundred rows, takes half as long as the multiplication (us, BLAS and tiles, 2 cores: 128 x 3072 times
3072 x 120: 663 and 477; 64 x 2048 times 2048 x 512: 985 and 632; 10 x 6400 times 6400 x 1024: 2353 and 742).

Every element is one sum in an order that depends on K alone.
"""

# mypy: disallow-untyped-defs=False
# (Numba infers the types of kernels; their docstrings give shapes.)

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from llvmlite import ir
from numba import cfunc, prange, types
from numba.extending import intrinsic

from minidl.kernels.cpu.caching import njit
from minidl.kernels.cpu.conv_pixels import PARALLEL, SERIAL
from minidl.kernels.cpu.conv_tiles import ALONE
from minidl.kernels.cpu.memory import address_of
from minidl.kernels.cpu.microkernel import AVAILABLE as TILES
from minidl.kernels.cpu.microkernel import LANES, call_tile

__all__ = ["AVAILABLE", "DOT_COLUMNS", "dot_product"]

# The tile: rows of A times columns of the result. 24 accumulators, the vectors of A and one of B fill the 32 registers
# of AVX-512; AVX2 has too few for it to pay.
DOT_ROWS, DOT_COLUMNS = 3, 8
AVAILABLE = TILES and LANES == 16

# Its job: int64 numbers at these positions, distances in bytes.
_A_LINE, _B_LINE, _C_LINE, _VECTORS, _TAIL, _RELU, _DOT_FIELDS = range(7)


def _emit_dot(builder: Any, rows: int, arguments: Any) -> None:
    """LLVM instructions of c[i, j] = start[j] + sum over k of a[i, k] b[j, k], for `rows` rows i and 8 columns j.

    arguments: addresses of job, A, B, start and result as int64. K is VECTORS whole vectors and TAIL numbers more.
    """
    job, a, b, start, c = arguments
    word, byte = ir.IntType(64), ir.IntType(8).as_pointer()
    integer, bit = ir.IntType(32), ir.IntType(1)
    vector, bits = ir.VectorType(ir.FloatType(), LANES), ir.VectorType(bit, LANES)
    zero = ir.Constant(vector, [0.0] * LANES)

    def constant(value):
        return ir.Constant(word, value)

    def function(name, *parameters):
        known = builder.module.globals.get(name)
        return known or ir.Function(builder.module, ir.FunctionType(vector, parameters), name)

    multiply_add = function(f"llvm.fma.v{LANES}f32", vector, vector, vector)
    masked_load = function(f"llvm.masked.load.v{LANES}f32.p0", vector.as_pointer(), integer, bits, vector)
    fields = builder.inttoptr(job, word.as_pointer())
    a_line, b_line, c_line, vectors, tail, relu = (
        builder.load(builder.gep(fields, [constant(i)])) for i in range(_DOT_FIELDS)
    )
    a, b, start, c = (builder.inttoptr(address, byte) for address in (a, b, start, c))
    a_rows = [builder.gep(a, [builder.mul(a_line, constant(i))]) for i in range(rows)]
    b_rows = [builder.gep(b, [builder.mul(b_line, constant(j))]) for j in range(DOT_COLUMNS)]

    def load(pointer, offset, mask=None):
        place = builder.bitcast(builder.gep(pointer, [offset]), vector.as_pointer())
        if mask is not None:
            return builder.call(masked_load, [place, ir.Constant(integer, 4), mask, zero])
        value = builder.load(place)
        value.align = 4
        return value

    def products(sums, offset, mask=None):
        left = [load(row, offset, mask) for row in a_rows]
        result = list(sums)
        for j, column in enumerate(b_rows):
            right = load(column, offset, mask)
            for i in range(rows):
                at = i * DOT_COLUMNS + j
                result[at] = builder.call(multiply_add, [left[i], right, result[at]])
        return result

    # whole vectors
    before = builder.block
    loop, after = (builder.function.append_basic_block(name) for name in ("loop", "after"))
    builder.cbranch(builder.icmp_signed(">", vectors, constant(0)), loop, after)
    builder.position_at_end(loop)
    step = builder.phi(word)
    sums = [builder.phi(vector) for _ in range(rows * DOT_COLUMNS)]
    summed = products(sums, builder.mul(step, constant(4 * LANES)))
    following = builder.add(step, constant(1))
    step.add_incoming(constant(0), before)
    step.add_incoming(following, loop)
    for old, new in zip(sums, summed):
        old.add_incoming(zero, before)
        old.add_incoming(new, loop)
    builder.cbranch(builder.icmp_signed("<", following, vectors), loop, after)

    # what is left of K, by a mask that may be empty
    builder.position_at_end(after)
    totals = [builder.phi(vector) for _ in range(rows * DOT_COLUMNS)]
    for total, new in zip(totals, summed):
        total.add_incoming(zero, before)
        total.add_incoming(new, loop)

    def splat(value, to):
        undefined = ir.Constant(to, ir.Undefined)
        filled = builder.insert_element(undefined, value, ir.Constant(integer, 0))
        return builder.shuffle_vector(filled, undefined, ir.Constant(ir.VectorType(integer, LANES), [0] * LANES))

    positions = ir.Constant(ir.VectorType(integer, LANES), list(range(LANES)))
    mask = builder.icmp_signed("<", positions, splat(builder.trunc(tail, integer), positions.type))
    totals = products(totals, builder.mul(vectors, constant(4 * LANES)), mask)

    def pick(x, y, places):
        return builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(integer, len(places)), places))

    def fold(x, y, size):
        """Every block of `size` lanes of x, then of y, and so on, each as the sum of its two halves."""
        low = [block + p + side for block in range(0, LANES, size) for side in (0, LANES) for p in range(size // 2)]
        return builder.fadd(pick(x, y, low), pick(x, y, [place + size // 2 for place in low]))

    eight = ir.VectorType(ir.FloatType(), DOT_COLUMNS)
    begin = builder.load(builder.bitcast(start, eight.as_pointer()))
    begin.align = 4
    nothing = ir.Constant(eight, [0.0] * DOT_COLUMNS)
    clamp = builder.icmp_signed("!=", relu, constant(0))
    undefined = ir.Constant(ir.VectorType(bit, DOT_COLUMNS), ir.Undefined)
    every = pick(builder.insert_element(undefined, clamp, ir.Constant(integer, 0)), undefined, [0] * DOT_COLUMNS)
    for i in range(rows):
        # Eight columns at a time: two vectors' halves are added and share a vector, then four, then eight.
        level, size = totals[i * DOT_COLUMNS : (i + 1) * DOT_COLUMNS], LANES
        while len(level) > 1:
            half = len(level) // 2
            level = [fold(level[j], level[j + half], size) for j in range(half)]  # so that they end up in order
            size //= 2
        value = pick(level[0], level[0], list(range(0, LANES, size)))
        for p in range(1, size):
            value = builder.fadd(value, pick(level[0], level[0], list(range(p, LANES, size))))
        value = builder.fadd(value, begin)
        negative = builder.and_(builder.fcmp_ordered("<", value, nothing), every)
        place = builder.bitcast(builder.gep(c, [builder.mul(c_line, constant(i))]), eight.as_pointer())
        builder.store(builder.select(negative, nothing, value), place).align = 4


@intrinsic(prefer_literal=True)
def _dot(typing_context, rows, job, a, b, start, c):
    """The tile of dot products as a call within a Numba function; rows is a constant."""
    size = rows.literal_value

    def code(context, builder, signature, arguments):
        _emit_dot(builder, size, arguments[1:])
        return context.get_dummy_value()

    return types.void(rows, *(types.int64,) * 5), code


@functools.cache
def _dot_address(rows: int) -> int:
    """Address of the compiled tile of dot products, for microkernel.call_tile."""

    def tile(job: int, a: int, b: int, start: int, c: int) -> None:
        _dot(rows, job, a, b, start, c)

    compiled = cfunc(types.void(*(types.int64,) * 5), cache=True)(tile)
    _keep.append(compiled)
    return int(compiled.address)


_keep: list[Any] = []  # compiled tiles live as long as the process: kernels know them by address only


@njit(**SERIAL)
def _dot_part(a, b, start, c, tile, height, relu, row, rows, column, columns, job):
    """Rows row to row+rows and columns column to column+columns of c (M, N) = a (M, K) b (N, K)^T + start (N,)."""
    K, N = a.shape[1], b.shape[0]
    job[_A_LINE] = 4 * K
    job[_B_LINE] = 4 * K
    job[_C_LINE] = 4 * N
    job[_VECTORS] = K // LANES
    job[_TAIL] = K % LANES
    job[_RELU] = relu
    for j in range(column, column + columns, DOT_COLUMNS):
        q = min(j, column + columns - DOT_COLUMNS)  # the last tile may overlap the one before it
        for i in range(row, row + rows, height):
            p = min(i, row + rows - height)
            call_tile(
                tile, address_of(job, 0), address_of(a, p * K), address_of(b, q * K), address_of(start, q),
                address_of(c, p * N + q),
            )  # fmt: skip


@njit(**SERIAL)
def _dot_share(a, b, start, c, tile, height, relu, job, worker, workers):
    """The columns of one worker: it reads its part of b, and all of a."""
    M, N = c.shape
    blocks = N // DOT_COLUMNS
    first = worker * blocks // workers * DOT_COLUMNS
    stop = N if worker == workers - 1 else (worker + 1) * blocks // workers * DOT_COLUMNS
    _dot_part(a, b, start, c, tile, height, relu, 0, M, first, stop - first, job)


@njit(**PARALLEL)
def _dot_parallel(a, b, start, c, tile, height, relu, jobs):
    workers = len(jobs)
    for worker in prange(workers):
        _dot_share(a, b, start, c, tile, height, relu, jobs[worker], np.int64(worker), workers)


def dot_product(a, b, start, c, relu, threads):
    """c (M, N) = a (M, K) times the transpose of b (N, K), + start (N,); N at least DOT_COLUMNS; float32."""
    M, N = c.shape
    height = min(DOT_ROWS, M)
    jobs = np.empty((min(threads, N // DOT_COLUMNS), _DOT_FIELDS), np.int64)
    if c.size * a.shape[1] <= ALONE:
        _dot_share(a, b, start, c, _dot_address(height), height, int(relu), jobs[0], 0, 1)
    else:
        _dot_parallel(a, b, start, c, _dot_address(height), height, int(relu), jobs)
