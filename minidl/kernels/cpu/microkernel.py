"""The innermost loop of convolution: a small product whose whole result stays in vector registers.

A tile is `rows` x `vectors` registers of `lanes` float32 numbers, and one call computes

    acc[i, l] = start + sum over runs r and steps k of
                A[a + table[r, 0] + k * a_step + i * a_row] * B[b + table[r, 1] + k * b_step + l]

for rows i and lanes l of all vectors, every A a single number broadcast to all lanes. Because A is addressed by a table
of runs and by strides, it need not be stored as a matrix: the im2col matrix of a convolution is read straight from the
image, where the numbers of a window's row lie side by side. Nothing but the products touches memory in between, which
is why a tile runs at about the peak of the processor; BLAS reaches that too, but must first be given the matrix.

LLVM's own vectoriser does not find such a tile in plain loops, so it is emitted as LLVM instructions by a Numba
intrinsic. Every size is a function of its own, compiled when it is first needed and cached on disk; kernels call it by
its address, which they get as an argument. So a size is compiled once, however many kernels use it, and no address
stands in anybody's cache.
"""

# mypy: disallow-untyped-defs=False
# (Numba infers the types of kernels; their docstrings give shapes.)

from __future__ import annotations

import functools
import platform
from typing import Any

import llvmlite.binding
import numba
from llvmlite import ir
from numba import cfunc, types
from numba.extending import intrinsic

__all__ = [
    "ACCUMULATE",
    "AVAILABLE",
    "A_ROW",
    "A_STEP",
    "B_STEP",
    "CLAMP",
    "C_ROW",
    "FIELDS",
    "LANES",
    "LAST_LANES",
    "MOST_ROWS",
    "RUNS",
    "STEPS",
    "TABLE",
    "call_tile",
    "tile_address",
]

# A job is what many calls have in common: int64 numbers at these positions. Strides and table entries are in bytes.
A_ROW = 0  # from one row of the tile to the next, in A
A_STEP = 1  # from one step to the next, in A
B_STEP = 2  # from one step to the next, in B
C_ROW = 3  # from one row of the tile to the next, in the result
RUNS = 4  # number of runs, at least 1
STEPS = 5  # number of steps in each run, at least 1
TABLE = 6  # address of (RUNS, 2) int64: where each run starts in A and in B
LAST_LANES = 7  # lanes in use of the last vector, 1 to `lanes`; the others are neither read nor written
ACCUMULATE = 8  # 1: start from what the result holds; 0: start from the vectors at `start`, the same for every row
CLAMP = 9  # 1: replace negative results by zero (ReLU; NaN stays NaN)
FIELDS = 10


def _features() -> set[str]:
    """Instruction sets that Numba compiles for: the processor's, or what NUMBA_CPU_FEATURES says."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return set()
    asked = numba.config.CPU_FEATURES
    if asked is not None:
        return {name[1:] for name in asked.split(",") if name.startswith("+")}
    return {name for name, present in llvmlite.binding.get_host_cpu_features().items() if present}


_found = _features()
# Lanes of the widest vectors; and the most rows of a tile by its number of vectors, so that accumulators, the vectors
# of B and one broadcast number fit in the registers: 32 with AVX-512, 16 with AVX2.
LANES = 16 if {"avx512f", "avx512vl"} <= _found else 8
MOST_ROWS = {1: 14, 2: 14} if LANES == 16 else {1: 12, 2: 6}
AVAILABLE = {"avx2", "fma"} <= _found


def _emit(builder: Any, lanes: int, rows: int, vectors: int, arguments: Any) -> None:
    """LLVM instructions of one tile; arguments: addresses of job, A, B, start and result as int64."""
    job, a, b, start, c = arguments
    word, bit, byte, single = ir.IntType(64), ir.IntType(1), ir.IntType(8), ir.FloatType()
    vector, mask_type = ir.VectorType(single, lanes), ir.VectorType(bit, lanes)
    numbers = ir.VectorType(ir.IntType(32), lanes)
    bytes_pointer, vector_pointer = byte.as_pointer(), vector.as_pointer()
    zero = ir.Constant(vector, [0.0] * lanes)
    align = ir.Constant(ir.IntType(32), 4)

    def constant(value):
        return ir.Constant(word, value)

    def field(position):
        return builder.load(builder.gep(builder.inttoptr(job, word.as_pointer()), [constant(position)]))

    def move(pointer, offset):
        return builder.gep(pointer, [offset])

    def splat(value):
        undefined = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
        filled = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(filled, undefined, ir.Constant(numbers, [0] * lanes))

    def function(name, result, *parameters):
        known = builder.module.globals.get(name)
        return known or ir.Function(builder.module, ir.FunctionType(result, parameters), name)

    suffix = f"v{lanes}f32"
    multiply_add = function(f"llvm.fma.{suffix}", vector, vector, vector, vector)
    masked_load = function(f"llvm.masked.load.{suffix}.p0", vector, vector_pointer, ir.IntType(32), mask_type, vector)
    masked_store = function(
        f"llvm.masked.store.{suffix}.p0", ir.VoidType(), vector, vector_pointer, ir.IntType(32), mask_type
    )

    def load(pointer, j):
        """Vector j of a row; the last one by the mask."""
        place = builder.bitcast(move(pointer, constant(4 * lanes * j)), vector_pointer)
        if j == vectors - 1:
            return builder.call(masked_load, [place, align, mask, zero])
        value = builder.load(place)
        value.align = 4
        return value

    def store(value, pointer, j):
        place = builder.bitcast(move(pointer, constant(4 * lanes * j)), vector_pointer)
        if j == vectors - 1:
            builder.call(masked_store, [value, place, align, mask])
        else:
            builder.store(value, place).align = 4

    def block(name):
        return builder.function.append_basic_block(name)

    a_row, a_step, b_step, c_row, runs, steps, table = (
        field(position) for position in (A_ROW, A_STEP, B_STEP, C_ROW, RUNS, STEPS, TABLE)
    )
    positions = ir.Constant(numbers, list(range(lanes)))
    mask = builder.icmp_signed("<", positions, splat(builder.trunc(field(LAST_LANES), ir.IntType(32))))
    a, b, start, c = (builder.inttoptr(address, bytes_pointer) for address in (a, b, start, c))
    table = builder.inttoptr(table, word.as_pointer())
    tile = [(i, j) for i in range(rows) for j in range(vectors)]
    results = [move(c, builder.mul(c_row, constant(i))) for i in range(rows)]

    # start: from the result, or the same vectors for every row
    from_result, from_start, outer, inner, next_run, finish = (
        block(name) for name in ("from_result", "from_start", "outer", "inner", "next_run", "finish")
    )
    builder.cbranch(builder.icmp_signed("!=", field(ACCUMULATE), constant(0)), from_result, from_start)
    builder.position_at_end(from_result)
    held = [load(results[i], j) for i, j in tile]
    builder.branch(outer)
    builder.position_at_end(from_start)
    fresh = [load(start, j) for j in range(vectors)]
    builder.branch(outer)

    # for every run
    builder.position_at_end(outer)
    run = builder.phi(word)
    sums = [builder.phi(vector) for _ in tile]
    a_run = move(a, builder.load(move(table, builder.shl(run, constant(1)))))
    b_run = move(b, builder.load(move(table, builder.add(builder.shl(run, constant(1)), constant(1)))))
    # A processor adds one or two times a register to a pointer for nothing: one pointer serves three rows.
    a_runs = [move(a_run, builder.mul(a_row, constant(i))) for i in range(0, rows, 3)]
    builder.branch(inner)

    # for every step: the products
    builder.position_at_end(inner)
    step = builder.phi(word)
    a_now, b_now = [builder.phi(bytes_pointer) for _ in a_runs], builder.phi(bytes_pointer)
    totals = [builder.phi(vector) for _ in tile]
    columns = [load(b_now, j) for j in range(vectors)]
    products = []
    for i in range(rows):
        place = move(a_now[i // 3], builder.mul(a_row, constant(i % 3))) if i % 3 else a_now[i // 3]
        value = builder.load(builder.bitcast(place, single.as_pointer()))
        value.align = 4
        wide = splat(value)
        products += [builder.call(multiply_add, [wide, columns[j], totals[i * vectors + j]]) for j in range(vectors)]
    left = builder.sub(step, constant(1))
    step.add_incoming(steps, outer)
    step.add_incoming(left, inner)
    for now, first in zip([*a_now, b_now], [*a_runs, b_run]):
        now.add_incoming(first, outer)
        now.add_incoming(move(now, b_step if now is b_now else a_step), inner)
    for total, old, new in zip(totals, sums, products):
        total.add_incoming(old, outer)
        total.add_incoming(new, inner)
    builder.cbranch(builder.icmp_signed("!=", left, constant(0)), inner, next_run)

    builder.position_at_end(next_run)
    following = builder.add(run, constant(1))
    run.add_incoming(constant(0), from_result)
    run.add_incoming(constant(0), from_start)
    run.add_incoming(following, next_run)
    for (_, j), total, value, new in zip(tile, sums, held, products):
        total.add_incoming(value, from_result)
        total.add_incoming(fresh[j], from_start)
        total.add_incoming(new, next_run)
    builder.cbranch(builder.icmp_signed("<", following, runs), outer, finish)

    builder.position_at_end(finish)
    clamp = splat(builder.icmp_signed("!=", field(CLAMP), constant(0)))
    for (i, j), value in zip(tile, products):
        negative = builder.and_(clamp, builder.fcmp_ordered("<", value, zero))
        store(builder.select(negative, zero, value), results[i], j)


@intrinsic(prefer_literal=True)
def _tile(typing_context, lanes, rows, vectors, job, a, b, start, c):
    """The tile as a call within a Numba function; lanes, rows and vectors are constants."""
    size = lanes.literal_value, rows.literal_value, vectors.literal_value

    def code(context, builder, signature, arguments):
        _emit(builder, *size, arguments[3:])
        return context.get_dummy_value()

    return types.void(lanes, rows, vectors, *(types.int64,) * 5), code


@functools.cache
def tile_address(lanes: int, rows: int, vectors: int) -> int:
    """Address of the compiled tile of this size, for `call_tile`. It is compiled, or read from the cache, only once."""

    def tile(job: int, a: int, b: int, start: int, c: int) -> None:
        _tile(lanes, rows, vectors, job, a, b, start, c)

    compiled = cfunc(types.void(*(types.int64,) * 5), cache=True)(tile)
    _keep.append(compiled)
    return int(compiled.address)


_keep: list[Any] = []  # compiled tiles live as long as the process: kernels know them by address only


@intrinsic
def call_tile(typing_context, tile, job, a, b, start, c):
    """Call a compiled tile by its address; job, a, b, start and c are addresses too."""

    def code(context, builder, signature, arguments):
        word = ir.IntType(64)
        function = ir.FunctionType(ir.VoidType(), [word] * 5).as_pointer()
        builder.call(builder.inttoptr(arguments[0], function), arguments[1:])
        return context.get_dummy_value()

    return types.void(*(types.int64,) * 6), code
