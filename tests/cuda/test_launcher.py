"""The launcher: how it reads signatures, and everything that it refuses; CuPy's engine against a small fake of CuPy."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from emulator import Emulator

from minidl.backend import gpu
from minidl.backend.launcher import CupyEngine, Launch, Program, Signature, read_signatures, use_engine
from minidl.errors import ArgumentError, DeviceError, DTypeError
from minidl.kernels.cuda import shared

PRELUDE = Path(shared.__file__).with_name("common.cu")
SOURCE = """
// extern "C" __global__ void commented_out(int size) {}
#define MANY 3
struct Pair { int first, second; };
struct Arrays { real *of[MANY]; };
struct Sizes { long long of[MANY]; };

extern "C" __global__ void scale(DENSE const real *__restrict__ x, DENSE real *y,  // a comment, with a comma
                                 OPTIONAL C_ORDER const real *by, real factor, int size) {
    for (int i = threadIdx.x; i < size; i += blockDim.x) y[i] = x[i] * (by ? by[0] : factor);
}

extern "C" __global__ void __launch_bounds__(128) count(CHANNELS_OUTERMOST const unsigned char *image,
                                                        C_ORDER long long *total, Pair pair, unsigned size) {
    long long sum = 0;
    for (unsigned i = 0; i < size; ++i) sum += image[i];
    if (threadIdx.x == 0) total[0] = sum * pair.first + pair.second;
}

extern "C" __global__ void fill(DENSE Arrays x, DENSE Arrays y, Sizes sizes, double value) {
    int which = blockIdx.x;
    for (long long i = threadIdx.x; i < sizes.of[which]; i += blockDim.x) y.of[which][i] = x.of[which][i] + value;
}
"""


@pytest.fixture
def program(tmp_path: Path) -> Program:
    (tmp_path / "example.cu").write_text(SOURCE, encoding="utf-8")
    return Program(tmp_path / "example.cu", PRELUDE)


def zeros(*shape: int, dtype: Any = np.float32) -> Any:
    return np.zeros(shape, dtype)


def test_signatures_are_read(program: Program) -> None:
    scale = program.signatures["scale"].parameters
    assert list(program.signatures) == ["scale", "count", "fill"]
    assert [(p.name, p.type, p.order, p.optional) for p in scale] == [
        ("x", "real", "DENSE", False),
        ("y", "real", "DENSE", False),
        ("by", "real", "C_ORDER", True),
        ("factor", "real", "", False),
        ("size", "int", "", False),
    ]
    image, total, pair, size = program.signatures["count"].parameters
    assert (image.type, total.type, size.type) == ("unsigned char", "long long", "unsigned")
    assert pair.structure == ("Pair", "int", 2, False, True)
    assert program.signatures["fill"].parameters[0].structure == ("Arrays", "real", 3, True, False)


@pytest.mark.parametrize(
    "declaration",
    [
        "const real *x",  # an array without its order
        "C_ORDER int size",  # a number with one
        "C_ORDER DENSE real *x",
        "OPTIONAL real x",
        "C_ORDER half *x",
        "F_ORDER real *x",
        "long size",
        "Unknown x",
        "",
    ],
)
def test_a_signature_that_leaves_something_unsaid_is_refused(declaration: str) -> None:
    with pytest.raises(ArgumentError, match=r"wrong \(example.cu\): expected a parameter of a known type"):
        read_signatures("example.cu", f'extern "C" __global__ void wrong({declaration}) {{}}')


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_launch_gives_the_kernel_what_it_declares(emulator: Emulator, program: Program, dtype: Any) -> None:
    x, y = np.arange(6, dtype=dtype).reshape(2, 3), zeros(2, 3, dtype=dtype)
    program.launch("scale", 1, 64, x.T, y.T, None, 2.5, 6)  # a Python float becomes what the kernel calls real
    np.testing.assert_array_equal(y, x * 2.5)
    program.launch("scale", (1,), 64, x, y, np.full(1, 3, dtype), 2, np.int64(6))
    np.testing.assert_array_equal(y, x * 3)

    image, total = np.arange(24, dtype=np.uint8).reshape(2, 3, 4).transpose(1, 0, 2), zeros(1, dtype=np.int64)
    program.launch("count", 1, 32, image, total, (2, 5), 24)
    assert total[0] == 2 * 276 + 5

    several, results = (
        [zeros(3, dtype=dtype), zeros(2, 2, dtype=dtype)],
        [zeros(3, dtype=dtype), zeros(2, 2, dtype=dtype)],
    )
    program.launch("fill", 2, 32, several, results, [3, 4], 0.5)
    assert all((result == 0.5).all() for result in results)


def test_an_empty_grid_launches_nothing(emulator: Emulator, program: Program) -> None:
    program.launch("scale", 0, 64, zeros(0), zeros(0), None, 1.0, 0)
    assert emulator.launches == []


TRANSPOSED, GAPS = zeros(3, 2).T, zeros(2, 6)[:, ::2]
GOOD = zeros(2, 3), zeros(2, 3), None, 1.0, 6
OUTERMOST = zeros(3, 2, 4, dtype=np.uint8).transpose(1, 0, 2)


@pytest.mark.parametrize(
    ("kernel", "arguments", "error", "message"),
    [
        ("scale", GOOD[:4], ArgumentError, r"scale \(example.cu\): expected 5 .* \(x, y, by, factor, size\), got 4"),
        ("scale", (*GOOD, 1), ArgumentError, "expected 5 arguments"),
        ("scale", (zeros(2, 3, dtype=np.float16), *GOOD[1:]), DTypeError, "x: expected an array of float32 or float64"),
        ("scale", (zeros(2, 3, dtype=">f4"), *GOOD[1:]), DTypeError, "x: expected an array of float32 or float64"),
        ("scale", (GOOD[0], zeros(2, 3, dtype=np.float64), *GOOD[2:]), DTypeError, "y: expected an array of float32"),
        ("scale", (*GOOD[:2], zeros(1, dtype=np.float64), 1.0, 6), DTypeError, "by: expected an array of float32"),
        ("scale", (None, *GOOD[1:]), DTypeError, "x: expected a GPU array of float, got NoneType"),
        ("scale", (*GOOD[:2], 1.0, 1.0, 6), DTypeError, "by: expected a GPU array of float, got float"),
        ("scale", (*GOOD[:2], [1.0], 1.0, 6), DTypeError, "by: expected a GPU array of float, got list"),
        ("scale", (GOOD[0], TRANSPOSED, *GOOD[2:]), ArgumentError, "y: expected an array without gaps, in the shape"),
        ("scale", (GOOD[0], zeros(3, 2), *GOOD[2:]), ArgumentError, "y: expected an array without gaps, in the shape"),
        ("scale", (GAPS, *GOOD[1:]), ArgumentError, "x: expected an array without gaps, got"),
        ("scale", (*GOOD[:2], zeros(4, 2).T, 1.0, 6), ArgumentError, "by: expected an array in C order"),
        ("scale", (*GOOD[:3], zeros(1), 6), DTypeError, "factor: expected a number for float"),
        ("scale", (*GOOD[:3], "2", 6), DTypeError, "factor: expected a number for float"),
        ("scale", (*GOOD[:3], True, 6), DTypeError, "factor: expected a number for float, got bool True"),
        ("scale", (*GOOD[:3], 1e300, 6), ArgumentError, "factor: expected a number that fits float"),
        ("scale", (*GOOD[:4], 6.0), DTypeError, "size: expected a number for int, got float 6.0"),
        ("scale", (*GOOD[:4], np.float32(6)), DTypeError, "size: expected a number for int"),
        ("scale", (*GOOD[:4], 2**31), ArgumentError, "size: expected a number that fits int, got 2147483648"),
        ("count", (OUTERMOST.copy(), zeros(1, dtype=np.int64), (1, 2), 24), ArgumentError, r"lies in memory as \(C"),
        ("count", (OUTERMOST, zeros(1, dtype=np.int32), (1, 2), 24), DTypeError, "total: expected an array of int64"),
        ("count", (OUTERMOST, zeros(1, dtype=np.int64), (1, 2, 3), 24), ArgumentError, "pair: expected 2 values"),
        ("count", (OUTERMOST, zeros(1, dtype=np.int64), (1, 2.0), 24), DTypeError, "pair: expected a number for int"),
        ("count", (OUTERMOST, zeros(1, dtype=np.int64), (1, 2), -1), ArgumentError, "size: expected a number that"),
        ("fill", ([zeros(1)] * 4, [zeros(1)] * 4, [1] * 4, 1.0), ArgumentError, "x: expected at most 3 values, got 4"),
        ("fill", ([zeros(2), zeros(3)], [zeros(2), zeros(2)], [2, 3], 1.0), ArgumentError, "y: expected an array"),
        ("fill", ([zeros(2), GAPS], [zeros(2)] * 2, [2, 3], 1.0), ArgumentError, "x: expected an array without gaps"),
    ],
)  # fmt: skip
def test_refusals(
    emulator: Emulator, program: Program, kernel: str, arguments: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        program.launch(kernel, 1, 32, *arguments)
    assert emulator.launches == []


@pytest.mark.parametrize(("grid", "threads"), [(-1, 32), (2**31, 32), (1, 2048), (1, 0)])
def test_a_grid_that_no_gpu_has_is_refused(emulator: Emulator, program: Program, grid: int, threads: int) -> None:
    with pytest.raises(ArgumentError, match=f"{grid},\\) blocks of {threads} threads"):
        program.launch("scale", grid, threads, *GOOD)


def test_a_program_is_read_and_loaded_when_first_needed_and_once_for_each_type(program: Program) -> None:
    loaded = []

    class Engine:
        def is_array(self, value: Any) -> bool:
            return isinstance(value, np.ndarray)

        def load(self, name: str, source: str, real: str, signatures: dict[str, Signature]) -> Callable[[str], Launch]:
            loaded.append((name, real, '#line 1 "example.cu"' in source, list(signatures)))
            return lambda kernel: lambda grid, threads, values: None

    with use_engine(Engine()):
        assert loaded == []
        for dtype in (np.float32, np.float32, np.float64):
            program.launch("scale", 1, 32, *[zeros(2, 3, dtype=dtype)] * 2, None, 1.0, 6)
    assert loaded == [("example.cu", real, True, ["scale", "count", "fill"]) for real in ("float", "double")]


# --- The engine of a machine with a GPU, on a fake of the parts of CuPy that it uses --------------------------------


class CompileException(Exception):
    pass


class FakeArray:
    """An array with CuPy's attributes."""

    def __init__(self, *shape: int, dtype: Any = np.float32) -> None:
        self._array = zeros(*shape, dtype=dtype)
        self.data = types.SimpleNamespace(ptr=1000 + len(shape))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._array, name)


class FakeCupy:
    """Notes what is compiled and launched; ``problem`` is raised when the code is compiled."""

    ndarray = FakeArray
    cuda = types.SimpleNamespace(compiler=types.SimpleNamespace(CompileException=CompileException))

    def __init__(self) -> None:
        self.problem: Exception | None = None
        self.made: list[Any] = []
        self.launched: list[Any] = []

    def RawModule(self, **options: Any) -> Any:
        self.made.append(options)

        def get_function(name: str) -> Any:
            if self.problem is not None:
                raise self.problem

            def launch(grid: Any, block: Any, arguments: Any) -> None:
                for x in arguments:  # as CuPy 14 has it, so that no array of the host is taken for one of the GPU
                    if not isinstance(x, (FakeArray, np.generic)) and not (isinstance(x, np.ndarray) and x.size == 1):
                        raise TypeError("Only numpy.ndarrays of size one can be passed by value.")
                self.launched.append((name, grid, block, arguments))

            return launch

        return types.SimpleNamespace(get_function=get_function)


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> FakeCupy:
    fake = FakeCupy()
    monkeypatch.setattr(gpu, "cupy", lambda: fake)
    return fake


def test_cupy_gets_values_of_the_declared_size(cupy: FakeCupy, program: Program) -> None:
    x, y = FakeArray(2, 3), FakeArray(2, 3)
    with use_engine(CupyEngine()):
        program.launch("scale", 4, 128, x, y, None, 2, 6)
        program.launch("fill", 2, 32, [FakeArray(3)], [FakeArray(3)], [3], 0.5)
        program.launch("count", 1, 32, FakeArray(1, 1, dtype=np.uint8), FakeArray(1, dtype=np.int64), (2, 5), 1)
    (options,) = cupy.made
    assert options["options"] == ("--std=c++17", "-DREAL=float")
    assert options["backend"] == "nvrtc"
    (name, grid, block, values), (_, _, _, others), (_, _, _, last) = cupy.launched
    assert (name, grid, block) == ("scale", (4,), (128,))
    assert values[:2] == (x, y)
    assert [(type(v), v) for v in values[2:]] == [(np.uint64, 0), (np.float32, 2), (np.int32, 6)]
    assert others[0].view(np.uint64).tolist() == [1001, 0, 0]
    assert others[2].view(np.int64).tolist() == [3, 0, 0]
    assert type(others[3]) is np.float64
    assert last[2].view(np.int32).tolist() == [2, 5]


def test_an_array_of_the_host_is_refused(cupy: FakeCupy, program: Program) -> None:
    with use_engine(CupyEngine()), pytest.raises(DTypeError, match="x: expected a GPU array of float, got ndarray"):
        program.launch("scale", 1, 32, *GOOD)


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (CompileException("example.cu(3): error: identifier is undefined\n1 error detected"), r"got example.cu\(3\): "),
        (RuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient"), "Update the NVIDIA driver"),
        (RuntimeError("CUDA_ERROR_UNSUPPORTED_PTX_VERSION: compiled with an\nunsupported toolchain"), "Update the"),
        (RuntimeError("CuPy failed to load libnvrtc.so.13: OSError"), "Install CuPy with its CUDA libraries"),
        (OSError("no such file"), "Install CuPy with its CUDA libraries"),
        (CompileException("nvrtc: error: invalid value for --gpu-architecture (-arch)"), "Install a newer CuPy"),
    ],
)  # fmt: skip
def test_what_keeps_a_kernel_from_loading_is_one_sentence(
    cupy: FakeCupy, program: Program, problem: Exception, message: str
) -> None:
    cupy.problem = problem
    with use_engine(CupyEngine()), pytest.raises(DeviceError, match=message) as caught:
        program.launch("scale", 1, 32, FakeArray(2, 3), FakeArray(2, 3), None, 1.0, 6)
    assert str(caught.value).startswith("scale (example.cu): expected NVRTC and the driver to compile and load")
    assert "\n" not in str(caught.value)
