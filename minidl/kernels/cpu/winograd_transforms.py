"""The four transforms of Winograd's convolution F(2x2, 3x3), a row of tiles at a time, as LLVM instructions.

A 3x3 convolution makes a tile of 2x2 results out of a window of 4x4 inputs. Winograd's form needs 16 products for that
instead of 36:

    y = A^T [(G w G^T) * (B^T x B)] A

with * element by element, so that over channels and tiles it is 16 matrix products, one for each element: the planes.
Being bilinear, it can be transposed, and serves the two gradients with the same matrices:

    dx = B [(G w G^T) * (A dy A^T)] B^T,    dw = G^T [(B^T x B) * (A dy A^T)] G

    B^T = [1  0 -1  0]     G = [ 1   0   0 ]     A^T = [1  1  1  0]
          [0  1  1  0]         [1/2 1/2 1/2]           [0  1 -1  1]
          [0 -1  1  0]         [1/2 -1/2 1/2]
          [0 -1  0  1]         [ 0   0   1 ]

Here are the transforms of activations: of windows (B^T x B), of results (A^T p A), of their gradients (A dy A^T), and
back to windows (B p B^T, added up where windows overlap). They consist of additions alone. Lanes are channels; a row of
tiles is walked vector by vector, so that what neighbouring windows share is loaded and transformed once.

Source: Lavin and Gray 2015, Fast Algorithms for Convolutional Neural Networks; the signs of the last row are chosen so
that nothing is negated.
"""

# mypy: disallow-untyped-defs=False
# (Numba infers the types of kernels; their docstrings give shapes.)

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import cfunc, types
from numba.extending import intrinsic

from minidl.kernels.cpu.microkernel import LANES

__all__ = [
    "ADD",
    "COUNT",
    "FIELDS",
    "LAST",
    "LINE",
    "PIXEL",
    "PLANE",
    "RELU",
    "ROW",
    "VECTORS",
    "transform_address",
]

# A job is what many calls have in common: int64 numbers at these positions. Distances are in bytes.
ROW = 0  # from one row of the image to the next
PIXEL = 1  # from one pixel to the next
PLANE = 2  # from one of the 16 planes to the next
LINE = 3  # from one tile to the next, in a plane
COUNT = 4  # tiles in the row
VECTORS = 5  # vectors of channels
LAST = 6  # lanes in use of the last vector, 1 to LANES
RELU = 7  # results: 1 to replace negative ones by zero (NaN stays NaN)
ADD = 8  # back to windows: 1 to add the upper two rows to what the image holds; all else is overwritten
FIELDS = 9

Values = list[Any]


class _Emitter:
    """What the four transforms share: addresses, loads and stores of a vector, and loops."""

    def __init__(self, builder: Any, arguments: Any) -> None:
        self.builder = builder
        self.word, self.byte = ir.IntType(64), ir.IntType(8).as_pointer()
        self.vector = ir.VectorType(ir.FloatType(), LANES)
        self.zero = ir.Constant(self.vector, [0.0] * LANES)
        job, self.image, self.planes, self.start = (builder.inttoptr(a, self.byte) for a in arguments[:4])
        fields = builder.bitcast(job, self.word.as_pointer())
        (self.row, self.pixel, self.plane, self.line, self.count, self.vectors, last, relu, add) = (
            builder.load(builder.gep(fields, [self.constant(i)])) for i in range(FIELDS)
        )
        self.relu = builder.icmp_signed("!=", relu, self.constant(0))
        self.add = builder.icmp_signed("!=", add, self.constant(0))
        numbers = ir.VectorType(ir.IntType(32), LANES)
        positions = ir.Constant(numbers, list(range(LANES)))
        last = self.splat(builder.trunc(last, ir.IntType(32)), numbers)
        self.last = builder.icmp_signed("<", positions, last)
        self.mask: Any = None  # None: the whole vector
        bits = ir.VectorType(ir.IntType(1), LANES)
        pointer, align = self.vector.as_pointer(), ir.IntType(32)
        suffix = f"v{LANES}f32.p0"
        self.masked_load = self.function(f"llvm.masked.load.{suffix}", self.vector, pointer, align, bits, self.vector)
        self.masked_store = self.function(
            f"llvm.masked.store.{suffix}", ir.VoidType(), self.vector, pointer, align, bits
        )

    def function(self, name: str, result: Any, *parameters: Any) -> Any:
        known = self.builder.module.globals.get(name)
        return known or ir.Function(self.builder.module, ir.FunctionType(result, parameters), name)

    def constant(self, value: int) -> Any:
        return ir.Constant(self.word, value)

    def splat(self, value: Any, to: Any) -> Any:
        undefined = ir.Constant(to, ir.Undefined)
        filled = self.builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
        return self.builder.shuffle_vector(
            filled, undefined, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        )

    def move(self, pointer: Any, distance: Any, times: int = 1) -> Any:
        if times == 0:
            return pointer
        return self.builder.gep(pointer, [self.builder.mul(distance, self.constant(times))])

    def load(self, pointer: Any) -> Any:
        place = self.builder.bitcast(pointer, self.vector.as_pointer())
        if self.mask is not None:
            return self.builder.call(self.masked_load, [place, ir.Constant(ir.IntType(32), 4), self.mask, self.zero])
        value = self.builder.load(place)
        value.align = 4
        return value

    def store(self, value: Any, pointer: Any) -> None:
        place = self.builder.bitcast(pointer, self.vector.as_pointer())
        if self.mask is not None:
            self.builder.call(self.masked_store, [value, place, ir.Constant(ir.IntType(32), 4), self.mask])
        else:
            self.builder.store(value, place).align = 4

    def plus(self, a: Any, b: Any) -> Any:
        return self.builder.fadd(a, b)

    def minus(self, a: Any, b: Any) -> Any:
        return self.builder.fsub(a, b)

    def loop(self, count: Any, carried: Values, body: Callable[[Any, Values], Values]) -> Values:
        """body(number of the turn, values) -> values, `count` times, at least once; the values after the last turn."""
        builder = self.builder
        before = builder.block
        block = builder.function.append_basic_block("loop")
        builder.branch(block)
        builder.position_at_end(block)
        turn = builder.phi(self.word)
        values = [builder.phi(value.type) for value in carried]
        after = body(turn, list(values))
        following = builder.add(turn, self.constant(1))
        end = builder.block
        turn.add_incoming(self.constant(0), before)
        turn.add_incoming(following, end)
        for phi, first, later in zip(values, carried, after):
            phi.add_incoming(first, before)
            phi.add_incoming(later, end)
        done = builder.function.append_basic_block("done")
        builder.cbranch(builder.icmp_signed("<", following, count), block, done)
        builder.position_at_end(done)
        return after

    def over_vectors(self, row: Callable[[Any], None]) -> None:
        """row(distance of the vector from the first channel, in bytes) for every vector, the last one masked."""
        builder, size = self.builder, self.constant(4 * LANES)
        whole = builder.sub(self.vectors, self.constant(1))

        def turn(number: Any, _: Values) -> Values:
            row(builder.mul(number, size))
            return []

        with builder.if_then(builder.icmp_signed(">", whole, self.constant(0))):
            self.loop(whole, [], turn)
        self.mask = self.last
        row(builder.mul(whole, size))


def _window_column(emit: _Emitter, x: Values) -> Values:
    """B^T of four vectors."""
    return [emit.minus(x[0], x[2]), emit.plus(x[1], x[2]), emit.minus(x[2], x[1]), emit.minus(x[3], x[1])]


def _result_column(emit: _Emitter, p: Values) -> Values:
    """A^T of four vectors."""
    return [emit.plus(p[0], emit.plus(p[1], p[2])), emit.plus(emit.minus(p[1], p[2]), p[3])]


def _gradient_column(emit: _Emitter, y: Values) -> Values:
    """A of two vectors."""
    return [y[0], emit.plus(y[0], y[1]), emit.minus(y[0], y[1]), y[1]]


def _back_column(emit: _Emitter, p: Values) -> Values:
    """B of four vectors."""
    middle, sum_ = emit.minus(p[1], p[2]), emit.plus(p[1], p[2])
    return [p[0], emit.minus(middle, p[3]), emit.minus(sum_, p[0]), p[3]]


def _emit_windows(emit: _Emitter) -> None:
    """image (4, 2 count + 2, C) -> planes (16, count, C): B^T x B."""

    def row(offset: Any) -> None:
        image, planes = emit.move(emit.image, offset), emit.move(emit.planes, offset)

        def column(pointer: Any) -> Values:
            return _window_column(emit, [emit.load(emit.move(pointer, emit.row, i)) for i in range(4)])

        def tile(_: Any, values: Values) -> Values:
            image, planes = values[:2]
            columns = [values[2:6], values[6:10]]
            columns += [column(emit.move(image, emit.pixel, j)) for j in (2, 3)]
            for i in range(4):
                line = _window_column(emit, [columns[j][i] for j in range(4)])
                for j in range(4):
                    emit.store(line[j], emit.move(planes, emit.plane, 4 * i + j))
            return [emit.move(image, emit.pixel, 2), emit.move(planes, emit.line), *columns[2], *columns[3]]

        first = column(image) + column(emit.move(image, emit.pixel))
        emit.loop(emit.count, [image, planes, *first], tile)

    emit.over_vectors(row)


def _emit_results(emit: _Emitter) -> None:
    """planes (16, count, C) and start (C,) -> image (2, 2 count, C): A^T p A + start."""

    def row(offset: Any) -> None:
        start = emit.load(emit.move(emit.start, offset))

        def tile(_: Any, values: Values) -> Values:
            image, planes = values
            columns = []
            for j in range(4):
                columns.append(
                    _result_column(emit, [emit.load(emit.move(planes, emit.plane, 4 * i + j)) for i in range(4)])
                )
            for i in range(2):
                for j, value in enumerate(_result_column(emit, [columns[k][i] for k in range(4)])):
                    value = emit.plus(value, start)
                    negative = emit.builder.fcmp_ordered("<", value, emit.zero)
                    negative = emit.builder.and_(negative, emit.splat(emit.relu, negative.type))
                    value = emit.builder.select(negative, emit.zero, value)
                    emit.store(value, emit.move(emit.move(image, emit.row, i), emit.pixel, j))
            return [emit.move(image, emit.pixel, 2), emit.move(planes, emit.line)]

        emit.loop(emit.count, [emit.move(emit.image, offset), emit.move(emit.planes, offset)], tile)

    emit.over_vectors(row)


def _emit_gradients(emit: _Emitter) -> None:
    """image (2, 2 count, C) -> planes (16, count, C): A dy A^T."""

    def row(offset: Any) -> None:
        def tile(_: Any, values: Values) -> Values:
            image, planes = values
            columns = []
            for j in range(2):
                pointer = emit.move(image, emit.pixel, j)
                columns.append(_gradient_column(emit, [emit.load(emit.move(pointer, emit.row, i)) for i in range(2)]))
            for i in range(4):
                for j, value in enumerate(_gradient_column(emit, [columns[0][i], columns[1][i]])):
                    emit.store(value, emit.move(planes, emit.plane, 4 * i + j))
            return [emit.move(image, emit.pixel, 2), emit.move(planes, emit.line)]

        emit.loop(emit.count, [emit.move(emit.image, offset), emit.move(emit.planes, offset)], tile)

    emit.over_vectors(row)


def _emit_back(emit: _Emitter) -> None:
    """planes (16, count, C) -> image (4, 2 count + 2, C): B p B^T, added up where windows overlap."""

    def row(offset: Any) -> None:
        def put(value: Any, image: Any, i: int, j: int) -> None:
            place = emit.move(emit.move(image, emit.row, i), emit.pixel, j)
            if i < 2:
                held = emit.builder.select(emit.add, emit.load(place), emit.zero)
                value = emit.plus(value, held)
            emit.store(value, place)

        def tile(_: Any, values: Values) -> Values:
            image, planes = values[:2]
            columns = []
            for j in range(4):
                columns.append(
                    _back_column(emit, [emit.load(emit.move(planes, emit.plane, 4 * i + j)) for i in range(4)])
                )
            carried = [values[2:6], values[6:10]]
            following: list[Values] = [[], []]
            for i in range(4):
                line = _back_column(emit, [columns[k][i] for k in range(4)])
                for j in range(2):
                    put(emit.plus(carried[j][i], line[j]), image, i, j)
                    following[j].append(line[2 + j])
            return [emit.move(image, emit.pixel, 2), emit.move(planes, emit.line), *following[0], *following[1]]

        first = [emit.move(emit.image, offset), emit.move(emit.planes, offset), *[emit.zero] * 8]
        last = emit.loop(emit.count, first, tile)
        for j in range(2):
            for i in range(4):
                put(last[2 + 4 * j + i], last[0], i, j)

    emit.over_vectors(row)


_EMITTERS = {"windows": _emit_windows, "results": _emit_results, "gradients": _emit_gradients, "back": _emit_back}


@intrinsic(prefer_literal=True)
def _transform(typing_context, kind, job, image, planes, start, unused):
    """A row of one transform as a call within a Numba function; kind is a constant."""
    name = kind.literal_value

    def code(context, builder, signature, arguments):
        _EMITTERS[name](_Emitter(builder, arguments[1:]))
        return context.get_dummy_value()

    return types.void(kind, *(types.int64,) * 5), code


@functools.cache
def transform_address(kind: str) -> int:
    """Address of the compiled transform "windows", "results", "gradients" or "back", for microkernel.call_tile.

    Its arguments are the addresses of the job, of the row of image, of the planes and of the vector to start from.
    """

    def transform(job: int, image: int, planes: int, start: int, unused: int) -> None:
        _transform(kind, job, image, planes, start, unused)

    compiled = cfunc(types.void(*(types.int64,) * 5), cache=True)(transform)
    _keep.append(compiled)
    return int(compiled.address)


_keep: list[Any] = []  # compiled transforms live as long as the process: kernels know them by address only
