"""Runs the CUDA kernels of a .cu file: reads their signatures, checks every argument against them, compiles, launches.

A GPU cannot check anything: a kernel that is handed a double for a float, an array of another type or in another memory
order reads garbage, silently. CuPy does not check either, and passes a Python float as eight bytes and a Python int as
eight. So the signature in the source says what is wanted, and here it is held to::

    extern "C" __global__ void scale(DENSE const real *x, DENSE real *y, OPTIONAL C_ORDER const real *by, real factor)

- ``real`` is the type of the numbers, float or double. The source is compiled once for each, when first needed; the
  first array that is declared ``real`` decides.
- Every array says in which memory order it is read: ``C_ORDER``; ``CHANNELS_OUTERMOST``, a logical (N, C, ...) array
  that lies in memory as (C, N, ...); or ``DENSE``, any order without gaps, the same for all arrays so declared.
- ``OPTIONAL`` arrays may be None, and are then the null pointer.
- A structure declared in the source, ``struct Size { int H, W; };``, comes as a sequence of numbers; one whose member
  is an array of pointers, ``struct Arrays { real *of[48]; };``, as a list of arrays. Both go by value.

Who compiles and runs is one object, the engine: CuPy here, an emulation on the CPU in the tests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from minidl.backend import gpu
from minidl.backend.layout import channels_outermost, lies_as, memory_order
from minidl.errors import ArgumentError, DeviceError, DTypeError

__all__ = ["CupyEngine", "Engine", "Parameter", "Program", "Signature", "Structure", "use_engine"]

REAL = "real"
_TYPES: dict[str, np.dtype[Any]] = {
    "float": np.dtype(np.float32),
    "double": np.dtype(np.float64),
    "int": np.dtype(np.int32),
    "long long": np.dtype(np.int64),
    "unsigned char": np.dtype(np.uint8),
    "unsigned": np.dtype(np.uint32),
    "unsigned long long": np.dtype(np.uint64),
}
_REALS = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}
# What a number becomes, and between which two it must lie to fit.
_NUMBERS: dict[str, tuple[Callable[[Any], Any], Any, Any]] = {
    **{
        t: (_TYPES[t].type, -float(np.finfo(_TYPES[t]).max), float(np.finfo(_TYPES[t]).max))
        for t in ("float", "double")
    },
    **{t: (d.type, int(np.iinfo(d).min), int(np.iinfo(d).max)) for t, d in _TYPES.items() if d.kind in "iu"},
}
_ORDERS = ("C_ORDER", "CHANNELS_OUTERMOST", "DENSE")
_MOST_BLOCKS, _MOST_THREADS = 2**31 - 1, 1024


class Structure(NamedTuple):
    """``struct name { type member[length]; };`` or ``struct name { type a, b, c; };``: values of one type, by value."""

    name: str
    type: str
    length: int
    pointers: bool
    exact: bool  # every member must be given; else up to ``length`` values


class Parameter(NamedTuple):
    """One argument of a kernel: ``type`` is the C type (or a structure's name), ``order`` is empty for numbers."""

    name: str
    type: str
    order: str = ""
    optional: bool = False
    structure: Structure | None = None


class Signature(NamedTuple):
    """What a kernel wants."""

    kernel: str
    parameters: tuple[Parameter, ...]


# A kernel's launch: grid, threads in a block, arguments as checked. Arrays come as they are, None for the null pointer,
# numbers as NumPy scalars of the declared type, structures as NumPy arrays or lists of arrays.
Launch = Callable[[tuple[int, ...], int, "list[Any]"], None]


class Engine(Protocol):
    """Who compiles and runs."""

    def is_array(self, value: Any) -> bool:
        """Whether ``value`` is an array that kernels of this engine can work on."""

    def load(self, name: str, source: str, real: str, signatures: dict[str, Signature]) -> Callable[[str], Launch]:
        """Compile a source with ``real`` as "float" or "double"; the result gives each kernel's launch by name."""


# --- The engine of a machine with a GPU -----------------------------------------------------------------------------


class CupyEngine:
    """NVRTC and the driver, through CuPy; kernels run on the current stream and are cached on disk by CuPy."""

    def is_array(self, value: Any) -> bool:
        return isinstance(value, gpu.cupy().ndarray)

    def load(self, name: str, source: str, real: str, signatures: dict[str, Signature]) -> Callable[[str], Launch]:
        cupy = gpu.cupy()
        # CuPy compiles at the first get_function, for the GPU that is current, and again for every other one.
        module = cupy.RawModule(code=source, options=("--std=c++17", f"-DREAL={real}"), backend="nvrtc")

        def function(kernel: str) -> Launch:
            with _explained(f"{kernel} ({name})", cupy):
                compiled = module.get_function(kernel)
            structures = [(i, p.structure) for i, p in enumerate(signatures[kernel].parameters) if p.structure]
            null = np.uint64(0)

            def launch(grid: tuple[int, ...], threads: int, values: list[Any]) -> None:
                for i, structure in structures:
                    if structure.pointers:
                        pointers = np.zeros(structure.length, np.uint64)
                        pointers[: len(values[i])] = [x.data.ptr for x in values[i]]
                        values[i] = pointers
                    # CuPy passes a NumPy array by value if it has one element: the structure as a whole.
                    values[i] = values[i].view(np.dtype((np.void, values[i].nbytes)))
                compiled(grid, (threads,), tuple([null if value is None else value for value in values]))

            return launch

        return function


@contextmanager
def _explained(who: str, cupy: Any) -> Iterator[None]:
    """Inside, whatever keeps a kernel from being compiled or loaded is a DeviceError in one sentence."""
    try:
        yield
    except (cupy.cuda.compiler.CompileException, RuntimeError, ImportError, OSError) as error:
        text = " ".join(str(error).split())
        if "insufficient" in text or "UNSUPPORTED_PTX" in text or "unsupported toolchain" in text:
            problem, hint = "a driver older than the CUDA that CuPy brings", "Update the NVIDIA driver."
        elif isinstance(error, (ImportError, OSError)) or "libnvrtc" in text:
            problem, hint = (
                f"none: {text}",
                "Install CuPy with its CUDA libraries: cupy-cuda12x[ctk] or cupy-cuda13x[ctk].",
            )
        elif "gpu-architecture" in text or "NO_BINARY_FOR_GPU" in text:
            problem, hint = f"a GPU that this NVRTC does not know: {text}", "Install a newer CuPy, or use an older GPU."
        else:
            line = next((part for part in str(error).splitlines() if "error" in part), text)
            problem, hint = " ".join(line.split()), "This is a defect of minidl or of the CUDA installation."
        expected = "NVRTC and the driver to compile and load the kernel"
        raise DeviceError(who, expected=expected, got=problem, hint=hint) from error


_engine: Engine = CupyEngine()


@contextmanager
def use_engine(engine: Engine) -> Iterator[None]:
    """Inside, ``engine`` compiles and runs the kernels of this process."""
    global _engine
    before, _engine = _engine, engine
    try:
        yield
    finally:
        _engine = before


# --- Reading the source ---------------------------------------------------------------------------------------------

_KERNEL = re.compile(r'extern "C" __global__ void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\(([^)]*)\)')
_STRUCTURE = re.compile(r"struct (\w+) \{([^}]*)\};")
_TYPE = "|".join(sorted([REAL, *_TYPES], key=len, reverse=True))
_MEMBERS = re.compile(rf"\s*({_TYPE})\s+(\*?)\s*([\w\s,]+?)\s*(?:\[(\w+)\])?\s*;\s*")
_DECLARATION = re.compile(
    rf"((?:[A-Z_]+\s+)*)(?:const\s+)?((?:{_TYPE})\b|[A-Z]\w*)\s*(\*?)\s*(?:__restrict__\s+)?(\w+)"
)
_CONSTANT = re.compile(r"#define (\w+) (\d+)")
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


def _structures(source: str) -> dict[str, Structure]:
    constants = {name: int(value) for name, value in _CONSTANT.findall(source)}
    found = {}
    for name, body in _STRUCTURE.findall(source):
        match = _MEMBERS.fullmatch(body)
        if match is None:
            continue  # not one that could be an argument
        type_, star, names, length = match.groups()
        count = len(names.split(",")) if length is None else constants[length] if length in constants else int(length)
        found[name] = Structure(name, type_, count, bool(star), length is None)
    return found


def _parameter(who: str, text: str, structures: dict[str, Structure]) -> Parameter:
    """Read ``OPTIONAL C_ORDER const real *__restrict__ x``."""
    match = _DECLARATION.fullmatch(text.strip())
    words = match.group(1).split() if match else []
    orders = [word for word in words if word in _ORDERS]
    if match is not None and set(words) <= {*_ORDERS, "OPTIONAL"} and len(orders) <= 1:
        type_, star, name = match.group(2).strip(), bool(match.group(3)), match.group(4)
        structure = structures.get(type_)
        is_array = star or (structure is not None and structure.pointers)
        known = type_ == REAL or type_ in _TYPES or (structure is not None and not star)
        if known and is_array == bool(orders) and (star or "OPTIONAL" not in words):
            return Parameter(name, type_, "".join(orders), "OPTIONAL" in words, structure)
    raise ArgumentError(
        who,
        expected=f"a parameter of a known type ({', '.join([REAL, *_TYPES])}), arrays with one of {', '.join(_ORDERS)}",
        got=repr(text.strip()),
        hint="See minidl/backend/launcher.py.",
    )


def read_signatures(name: str, source: str) -> dict[str, Signature]:
    """The kernels of a source text by name. ArgumentError for a signature that leaves something unsaid."""
    source = _COMMENT.sub(" ", source)
    structures = _structures(source)
    found = {}
    for kernel, text in _KERNEL.findall(source):
        parameters = tuple(_parameter(f"{kernel} ({name})", part, structures) for part in text.split(","))
        found[kernel] = Signature(kernel, parameters)
    return found


# --- Checking and launching -----------------------------------------------------------------------------------------


def _number(who: str, parameter: Parameter, type_: str, value: Any) -> Any:
    """A number as a NumPy scalar of the declared type; what would change in kind or not fit is refused."""
    convert, lowest, highest = _NUMBERS[type_]
    if isinstance(lowest, int):
        right = isinstance(value, (int, np.integer))
    else:
        right = isinstance(value, (float, int, np.floating, np.integer)) and not isinstance(value, bool)
    if not right:
        got = f"{type(value).__name__} {value!r}"[:80]
        raise DTypeError(f"{who}, {parameter.name}", expected=f"a number for {type_}", got=got)
    if not lowest <= value <= highest and not (isinstance(lowest, float) and not np.isfinite(value)):
        raise ArgumentError(f"{who}, {parameter.name}", expected=f"a number that fits {type_}", got=repr(value))
    return convert(value)


def _describe(x: Any) -> str:
    return f"shape {x.shape}, strides {x.strides}, {x.dtype}"


class _Check:
    """The arguments of one launch against the signature."""

    def __init__(self, who: str, engine: Engine, real: str) -> None:
        self.who, self.is_array, self.real = who, engine.is_array, real
        self.dense: dict[int, tuple[str, Any]] = {}  # place in a list (0 outside lists) -> the first DENSE array there

    def argument(self, parameter: Parameter, value: Any) -> Any:
        type_ = self.real if parameter.type == REAL else parameter.type
        if parameter.structure is not None:
            return self.structure(parameter, parameter.structure, value)
        if parameter.order:
            self.array(parameter, type_, value)
            return value
        return _number(self.who, parameter, type_, value)

    def structure(self, parameter: Parameter, structure: Structure, value: Any) -> Any:
        who = f"{self.who}, {parameter.name}"
        if len(value) > structure.length or (structure.exact and len(value) != structure.length):
            expected = f"{'' if structure.exact else 'at most '}{structure.length} values"
            raise ArgumentError(who, expected=expected, got=str(len(value)))
        type_ = self.real if structure.type == REAL else structure.type
        if structure.pointers:
            for place, x in enumerate(value):
                self.array(parameter, type_, x, place)
            return list(value)
        if isinstance(value, np.ndarray) and value.dtype == _TYPES[type_] and value.ndim == 1 and structure.exact:
            return value  # packed already
        numbers = np.zeros(structure.length, _TYPES[type_])
        numbers[: len(value)] = [_number(self.who, parameter, type_, number) for number in value]
        return numbers

    def array(self, parameter: Parameter, type_: str, x: Any, place: int = 0) -> None:
        if x is None and parameter.optional:
            return
        if not self.is_array(x):
            raise DTypeError(f"{self.who}, {parameter.name}", expected=f"a GPU array of {type_}", got=type(x).__name__)
        if x.dtype != _TYPES[type_]:
            raise DTypeError(f"{self.who}, {parameter.name}", expected=f"an array of {_TYPES[type_]}", got=str(x.dtype))
        if parameter.order == "DENSE":
            order = memory_order(x)
            _, first = self.dense.setdefault(place, (parameter.name, x))
            right = order is not None and (x is first or (x.shape == first.shape and order == memory_order(first)))
        elif parameter.order == "CHANNELS_OUTERMOST":
            right = x.ndim >= 2 and lies_as(x, channels_outermost(x.ndim))
        else:
            right = x.flags.c_contiguous
        if not right:
            self.refuse(parameter, x, place)

    def refuse(self, parameter: Parameter, x: Any, place: int) -> None:
        wanted = {
            "C_ORDER": "an array in C order",
            "CHANNELS_OUTERMOST": "an array (N, C, ...) that lies in memory as (C, N, ...)",
            "DENSE": "an array without gaps",
        }[parameter.order]
        name, first = self.dense.get(place, ("", x))
        if parameter.order == "DENSE" and first is not x:
            wanted += f", in the shape and order of {name} ({_describe(first)})"
        raise ArgumentError(f"{self.who}, {parameter.name}", expected=wanted, got=_describe(x))


class Program:
    """The kernels of one .cu file: read when first asked for, compiled for a type of number when first launched."""

    def __init__(self, path: Path, prelude: Path) -> None:
        self.name = path.name
        self._path, self._prelude = path, prelude
        self._loaded: dict[tuple[Engine, str], Callable[[str], Launch]] = {}
        self._launches: dict[tuple[Engine, str, str], Launch] = {}

    @cached_property
    def source(self) -> str:
        """What the compiler gets: the prelude that all files share, then the file; messages count each one's lines."""
        prelude, text = (path.read_text(encoding="utf-8") for path in (self._prelude, self._path))
        return f'#line 1 "{self._prelude.name}"\n{prelude}\n#line 1 "{self._path.name}"\n{text}'

    @cached_property
    def signatures(self) -> dict[str, Signature]:
        """The kernels by name."""
        return read_signatures(self.name, self.source)

    def launch(self, kernel: str, grid: int | tuple[int, ...], threads: int, *arguments: Any) -> None:
        """Run ``kernel`` on ``grid`` blocks of ``threads`` threads; nothing if the grid is empty.

        The arguments are those of the kernel's signature. Raises DTypeError for an array or number of the wrong type,
        ArgumentError for a wrong number of arguments, an array in the wrong memory order, a number that does not fit,
        DeviceError where the kernel cannot be compiled or loaded.
        """
        who = f"{kernel} ({self.name})"
        parameters = self.signatures[kernel].parameters
        if len(arguments) != len(parameters):
            names = ", ".join(parameter.name for parameter in parameters)
            raise ArgumentError(who, expected=f"{len(parameters)} arguments ({names})", got=str(len(arguments)))
        blocks = grid if isinstance(grid, tuple) else (grid,)
        if 0 in blocks:
            return
        if min(blocks) < 0 or max(blocks) > _MOST_BLOCKS or not 0 < threads <= _MOST_THREADS:
            got = f"{blocks} blocks of {threads} threads"
            raise ArgumentError(who, expected=f"up to {_MOST_BLOCKS} blocks of up to {_MOST_THREADS} threads", got=got)
        engine = _engine
        real = self._real(who, parameters, arguments)
        check = _Check(who, engine, real)
        values = [check.argument(parameter, value) for parameter, value in zip(parameters, arguments)]
        self._launch(engine, real, kernel)(blocks, threads, values)

    def _real(self, who: str, parameters: Sequence[Parameter], arguments: Sequence[Any]) -> str:
        """What ``real`` is in this launch: the type of the first array declared so; float where there is none."""
        for parameter, value in zip(parameters, arguments):
            structure = parameter.structure
            if (structure.type if structure else parameter.type) != REAL or value is None or not parameter.order:
                continue
            first = value[0] if structure and value else value
            real = _REALS.get(getattr(first, "dtype", None))
            if real is None:
                got = str(getattr(first, "dtype", type(first).__name__))
                raise DTypeError(f"{who}, {parameter.name}", expected="an array of float32 or float64", got=got)
            return real
        return "float"

    def _launch(self, engine: Engine, real: str, kernel: str) -> Launch:
        launch = self._launches.get((engine, real, kernel))
        if launch is None:
            functions = self._loaded.get((engine, real))
            if functions is None:
                functions = self._loaded[engine, real] = engine.load(self.name, self.source, real, self.signatures)
            launch = self._launches[engine, real, kernel] = functions(kernel)
        return launch
