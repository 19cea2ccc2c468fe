"""``Tensor``: an array that remembers how it was made; visible, typed methods that call the operations of ``ops``."""

from __future__ import annotations

import itertools
import operator
import weakref
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from minidl.autograd.base import BaseTensor, Edge, Version
from minidl.autograd.engine import RETAIN
from minidl.autograd.engine import backward as run_backward
from minidl.autograd.modes import state
from minidl.backend.arrays import device_of, namespace, to_device
from minidl.backend.device import CPU, Device
from minidl.backend.dtypes import as_dtype, bool_, float16, float32, float64, int32, int64, uint8
from minidl.backend.random import Generator, default_generator
from minidl.errors import ArgumentError, DeviceError, DTypeError, GraphError, ShapeError
from minidl.ops import activation, arithmetic, comparison, elementwise, indexing, matmul, promotion, reduction, shape

__all__ = ["RemovableHandle", "Tensor"]


class _Move(promotion.Function):
    """The same values on another device; the gradient is moved back."""

    def forward(self, x: Any, device: Device) -> Any:
        self.device = device_of(x)
        return to_device(x, device)

    def backward(self, grad: Any) -> Any:
        return _Move.evaluate(grad, device=self.device)


class RemovableHandle(NamedTuple):
    """What registering a hook returns; ``remove()`` takes the hook away again."""

    hooks: dict[int, Callable[..., Any]]
    number: int

    def remove(self) -> None:
        """Take the hook away; doing so twice does no harm."""
        self.hooks.pop(self.number, None)


class Tensor(BaseTensor):
    """An n-dimensional array with a gradient. Make one with ``minidl.tensor(values)``; this constructor only wraps.

    data: the raw NumPy or CuPy array; writing through it (or through ``.numpy()``, which shares it) cannot be seen by
    the version counter that protects saved arrays. grad: the accumulated gradient, a Tensor or None. requires_grad:
    whether operations on it are recorded. Activations may lie in memory in another order than their shape says;
    ``contiguous()`` puts them in logical order. Source: torch.Tensor.
    """

    __slots__ = ()

    # NumPy must leave ``array * tensor`` to the tensor's __rmul__.
    __array_ufunc__ = None

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        self.data = data
        self._grad = None
        self._requires_grad = False
        self._edge = None
        self._hooks = None
        self._version = Version()
        if requires_grad:
            self.requires_grad = True

    @classmethod
    def _make(cls, data: Any, edge: Edge | None = None, version: Version | None = None) -> Tensor:
        result = Tensor.__new__(Tensor)
        result.data = data
        result._grad = None
        result._requires_grad = edge is not None
        result._edge = edge
        result._hooks = None
        result._version = Version() if version is None else version
        return result

    # --- What it is ---------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of its axes."""
        return self.data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its elements, for example ``minidl.float32``."""
        return self.data.dtype

    @property
    def device(self) -> Device:
        """Where it lies."""
        return device_of(self.data)

    @property
    def ndim(self) -> int:
        """The number of its axes."""
        return self.data.ndim

    def dim(self) -> int:
        """The number of its axes."""
        return self.data.ndim

    def size(self, dim: int | None = None) -> Any:
        """Its shape, or the length of one axis."""
        if dim is None:
            return self.data.shape
        (axis,) = reduction.normalize_axes("size", dim, self.data.ndim)
        return self.data.shape[axis]

    def numel(self) -> int:
        """The number of its elements."""
        return self.data.size

    def element_size(self) -> int:
        """The bytes of one element."""
        return self.data.dtype.itemsize

    def is_floating_point(self) -> bool:
        """Whether its elements are floats."""
        return self.data.dtype.kind == "f"

    def is_contiguous(self) -> bool:
        """Whether its memory is in logical order."""
        return bool(self.data.flags.c_contiguous)

    def __len__(self) -> int:
        if not self.data.ndim:
            raise DTypeError("len", expected="a tensor with axes", got="one without")
        return self.data.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        array = to_device(self.data, CPU)
        text = np.array2string(array, separator=", ", precision=4, prefix="tensor(", threshold=1000)
        notes = []
        if array.dtype not in (float32, int64, bool_):
            notes.append(f"dtype={array.dtype}")
        if self.device.type == "gpu":
            notes.append(f"device='{self.device}'")
        if self._edge is not None:
            notes.append(f"grad_fn=<{self._edge[0].name}>" if hasattr(self._edge[0], "name") else "grad_fn=<leaf>")
        elif self.requires_grad:
            notes.append("requires_grad=True")
        return f"tensor({', '.join([text, *notes])})"

    def __format__(self, specification: str) -> str:
        return format(self.item(), specification) if not self.data.ndim and specification else str(self)

    # --- Out of the library -------------------------------------------------------------------------------------

    def item(self) -> Any:
        """Its only element as a Python number (from a GPU: waits for it). ShapeError unless there is exactly one."""
        _not_while_recording("item")
        if self.data.size != 1:
            raise ShapeError("item", expected="a tensor with one element", got=f"shape {self.data.shape}")
        return self.data.item()

    def tolist(self) -> Any:
        """Its elements as nested lists of Python numbers."""
        _not_while_recording("tolist")
        return self.data.tolist()

    def numpy(self) -> np.ndarray:
        """Its NumPy array, shared: writing into it is not seen by the version counter.

        Raises DeviceError on a GPU (no hidden transfers) and GraphError where a gradient is required.
        """
        _not_while_recording("numpy")
        if self.requires_grad:
            raise GraphError(
                "numpy", expected="a tensor that needs no gradient", got="one that does", hint="Use .detach().numpy()."
            )
        if not isinstance(self.data, np.ndarray):
            raise DeviceError(
                "numpy", expected="a CPU tensor", got=f"one on {self.device}", hint='Use .to("cpu") first.'
            )
        return self.data

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def __bool__(self) -> bool:
        _not_while_recording("bool")
        if self.data.size != 1:
            raise ShapeError(
                "bool",
                expected="a tensor with one element",
                got=f"shape {self.data.shape}",
                hint="Use .any() or .all().",
            )
        return bool(self.data.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.data.dtype.kind not in "iu" or self.data.size != 1:
            raise DTypeError("index", expected="an integer tensor with one element", got=f"{self.dtype}, {self.shape}")
        return int(self.item())

    # --- The graph ----------------------------------------------------------------------------------------------

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set whether operations on this leaf are recorded; returns itself."""
        self.requires_grad = requires_grad
        return self

    def backward(
        self, gradient: Tensor | None = None, retain_graph: bool | None = None, create_graph: bool = False
    ) -> None:
        """Accumulate d(self)/d(leaf) into ``grad`` of every leaf that requires one.

        gradient: what to start from, of this tensor's shape; may be left out for one element (then 1). retain_graph:
        keep what forward saved, for another backward. create_graph: record the pass, for higher derivatives. Raises
        GraphError, ShapeError. Source: torch.Tensor.backward.
        """
        run_backward(self, gradient, retain_graph, create_graph)

    def detach(self) -> Tensor:
        """The same memory outside the graph; in-place writes count for both."""
        self._version.shared = True
        return self._make(self.data, None, self._version)

    def detach_(self) -> Tensor:
        """Leave the graph; returns itself."""
        self._edge = None
        self._requires_grad = False
        return self

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call ``hook(gradient)`` in every backward; what it returns (if not None) replaces the gradient."""
        if not self.requires_grad:
            raise GraphError(
                "register_hook", expected="a tensor that requires a gradient", got="one that requires none"
            )
        owner: Any = self if self._edge is None else self._edge[0]
        if owner._hooks is None:
            owner._hooks = {}
        hooks = owner._hooks.setdefault(0 if self._edge is None else self._edge[1], {})
        number = next(_HOOK_NUMBERS)
        hooks[number] = hook
        return RemovableHandle(hooks, number)

    def retain_grad(self) -> None:
        """Keep the gradient of this result of an operation in ``grad``, as leaves do."""
        if self._edge is None:
            return
        node, index = self._edge
        reference = weakref.ref(self)  # the node must not keep the tensor alive

        def keep(gradient: Tensor) -> None:
            tensor = reference()
            if tensor is not None:
                tensor.grad = gradient if tensor.grad is None else tensor.grad + gradient

        if node._hooks is None:
            node._hooks = {}
        node._hooks.setdefault(index, {})[RETAIN] = keep

    # --- Writing in place ---------------------------------------------------------------------------------------

    def _bump(self) -> None:
        """Count an in-place write, so that backward refuses arrays that were saved before it."""
        self._version.value += 1

    def _check_writable(self, who: str) -> None:
        if not (self.requires_grad and state.enabled):
            return
        if self._edge is None:
            raise GraphError(
                who,
                expected="a tensor that is not a leaf requiring a gradient",
                got="a leaf that requires one",
                hint="Write under minidl.no_grad(), or out of place.",
            )
        if self._version.shared:
            raise GraphError(
                who,
                expected="memory that no other tensor shares",
                got="a view, or a tensor with views, inside the graph",
                hint="Write out of place, or clone() first.",
            )

    def _assign(self, who: str, result: Any) -> Tensor:
        """Write the result of an operation on this tensor back into its memory, taking over its place in the graph."""
        if isinstance(result, Tensor) and result.requires_grad and not self.requires_grad and self._version.shared:
            raise GraphError(
                who, expected="memory that no other tensor shares", got="a view", hint="Write out of place instead."
            )
        values = result.data if isinstance(result, Tensor) else result
        if values.shape != self.data.shape:
            raise ShapeError(
                who, expected=f"a result of shape {self.data.shape}, to be written in place", got=str(values.shape)
            )
        if values.dtype.kind == "f" and self.data.dtype.kind != "f":
            raise DTypeError(who, expected=f"a result that fits {self.data.dtype}", got=str(values.dtype))
        self.data[...] = values
        self._bump()
        if state.recorder is not None:
            state.recorder.write(self, Ellipsis, values)
        if isinstance(result, Tensor) and result.requires_grad:
            self._edge, self._requires_grad = result._edge, True
        return self

    def _in_place(self, who: str, operation: Callable[..., Any], *operands: Any, **options: Any) -> Tensor:
        self._check_writable(who)
        source = self
        if state.enabled and (self.requires_grad or any(getattr(x, "requires_grad", False) for x in operands)):
            # What the operation saves of its own input must survive the write: it works on a copy in the same place.
            source = shape.clone(self)
        return self._assign(who, operation(source, *operands, **options))

    def add_(self, other: Any, *, alpha: float = 1) -> Tensor:
        """self += alpha * other, in place."""
        return self._in_place("add_", arithmetic.add, other, alpha=alpha)

    def sub_(self, other: Any, *, alpha: float = 1) -> Tensor:
        """self -= alpha * other, in place."""
        return self._in_place("sub_", arithmetic.sub, other, alpha=alpha)

    def mul_(self, other: Any) -> Tensor:
        """self *= other, in place."""
        return self._in_place("mul_", arithmetic.mul, other)

    def div_(self, other: Any) -> Tensor:
        """self /= other, in place."""
        return self._in_place("div_", arithmetic.div, other)

    def pow_(self, exponent: Any) -> Tensor:
        """self **= exponent, in place."""
        return self._in_place("pow_", arithmetic.pow, exponent)

    def clamp_(self, min: float | None = None, max: float | None = None) -> Tensor:
        """Limit to [min, max], in place."""
        return self._in_place("clamp_", elementwise.clamp, min, max)

    def relu_(self) -> Tensor:
        """max(self, 0), in place."""
        return self._in_place("relu_", activation.relu)

    def fill_(self, value: float) -> Tensor:
        """Every element becomes ``value``, in place."""
        self[...] = value
        return self

    def zero_(self) -> Tensor:
        """Every element becomes 0, in place."""
        return self.fill_(0)

    def copy_(self, source: Any) -> Tensor:
        """The elements of ``source`` (a tensor or array that broadcasts to this shape), in place."""
        self[...] = source if isinstance(source, BaseTensor) else self._make(namespace(self.data).asarray(source))
        return self

    def normal_(self, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Tensor:
        """Normally distributed elements, in place; drawn on the host. Source: torch.Tensor.normal_."""
        host = _host(generator)
        self[...] = self._make(_on(host.standard_normal(self.shape) * std + mean, self.dtype, self.device))
        return self

    def uniform_(self, low: float = 0.0, high: float = 1.0, *, generator: Any = None) -> Tensor:
        """Elements uniform in [low, high), in place; drawn on the host. Source: torch.Tensor.uniform_."""
        host = _host(generator)
        self[...] = self._make(_on(host.uniform(low, high, self.shape), self.dtype, self.device))
        return self

    def __setitem__(self, index: Any, value: Any) -> None:
        self._check_writable("indexing")
        if isinstance(value, np.ndarray):
            value = self._make(value)
        recorded = self.requires_grad or (isinstance(value, Tensor) and value.requires_grad)
        if recorded and state.enabled:
            if isinstance(value, Tensor):
                value = promotion.cast(value, self.dtype)
            self._assign("indexing", indexing.index_put(self, index, value))
            return
        raw = value.data if isinstance(value, BaseTensor) else value
        place = indexing.raw_index(index)
        try:
            part, rest = indexing.resolve(self.data, place)
            part[rest] = raw
        except ValueError as error:
            raise ShapeError("indexing", expected="a value that fits the indexed part", got=str(error)) from None
        self._bump()
        if state.recorder is not None:
            state.recorder.write(self, place, raw)

    # --- Operators ----------------------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Tensor:
        return arithmetic.add(self, other) if _operand(other) else NotImplemented

    def __radd__(self, other: Any) -> Tensor:
        return arithmetic.add(other, self) if _operand(other) else NotImplemented

    def __sub__(self, other: Any) -> Tensor:
        return arithmetic.sub(self, other) if _operand(other) else NotImplemented

    def __rsub__(self, other: Any) -> Tensor:
        return arithmetic.sub(other, self) if _operand(other) else NotImplemented

    def __mul__(self, other: Any) -> Tensor:
        return arithmetic.mul(self, other) if _operand(other) else NotImplemented

    def __rmul__(self, other: Any) -> Tensor:
        return arithmetic.mul(other, self) if _operand(other) else NotImplemented

    def __truediv__(self, other: Any) -> Tensor:
        return arithmetic.div(self, other) if _operand(other) else NotImplemented

    def __rtruediv__(self, other: Any) -> Tensor:
        return arithmetic.div(other, self) if _operand(other) else NotImplemented

    def __floordiv__(self, other: Any) -> Tensor:
        return arithmetic.div(self, other, rounding_mode="floor") if _operand(other) else NotImplemented

    def __rfloordiv__(self, other: Any) -> Tensor:
        return arithmetic.div(other, self, rounding_mode="floor") if _operand(other) else NotImplemented

    def __pow__(self, other: Any) -> Tensor:
        return arithmetic.pow(self, other) if _operand(other) else NotImplemented

    def __rpow__(self, other: Any) -> Tensor:
        return arithmetic.pow(other, self) if _operand(other) else NotImplemented

    def __matmul__(self, other: Any) -> Tensor:
        return matmul.matmul(self, promotion.as_tensor_like(self, other)) if _operand(other) else NotImplemented

    def __rmatmul__(self, other: Any) -> Tensor:
        return matmul.matmul(promotion.as_tensor_like(self, other), self) if _operand(other) else NotImplemented

    def __neg__(self) -> Tensor:
        return arithmetic.neg(self)

    def __pos__(self) -> Tensor:
        return self

    def __abs__(self) -> Tensor:
        return elementwise.abs(self)

    def __invert__(self) -> Tensor:
        return comparison.logical_not(self)

    def __and__(self, other: Any) -> Tensor:
        return comparison.logical("&", operator.and_, self, other)

    def __or__(self, other: Any) -> Tensor:
        return comparison.logical("|", operator.or_, self, other)

    def __xor__(self, other: Any) -> Tensor:
        return comparison.logical("^", operator.xor, self, other)

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return comparison.eq(self, other) if _operand(other) else NotImplemented

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return comparison.ne(self, other) if _operand(other) else NotImplemented

    def __lt__(self, other: Any) -> Tensor:
        return comparison.lt(self, other) if _operand(other) else NotImplemented

    def __le__(self, other: Any) -> Tensor:
        return comparison.le(self, other) if _operand(other) else NotImplemented

    def __gt__(self, other: Any) -> Tensor:
        return comparison.gt(self, other) if _operand(other) else NotImplemented

    def __ge__(self, other: Any) -> Tensor:
        return comparison.ge(self, other) if _operand(other) else NotImplemented

    def __iadd__(self, other: Any) -> Tensor:
        return self.add_(other)

    def __isub__(self, other: Any) -> Tensor:
        return self.sub_(other)

    def __imul__(self, other: Any) -> Tensor:
        return self.mul_(other)

    def __itruediv__(self, other: Any) -> Tensor:
        return self.div_(other)

    def __getitem__(self, index: Any) -> Tensor:
        return indexing.getitem(self, index)

    # --- Functions as methods -----------------------------------------------------------------------------------

    def add(self, other: Any, *, alpha: float = 1) -> Tensor:
        """See minidl.add."""
        return arithmetic.add(self, other, alpha=alpha)

    def sub(self, other: Any, *, alpha: float = 1) -> Tensor:
        """See minidl.sub."""
        return arithmetic.sub(self, other, alpha=alpha)

    def mul(self, other: Any) -> Tensor:
        """See minidl.mul."""
        return arithmetic.mul(self, other)

    def div(self, other: Any, *, rounding_mode: str | None = None) -> Tensor:
        """See minidl.div."""
        return arithmetic.div(self, other, rounding_mode=rounding_mode)

    def neg(self) -> Tensor:
        """See minidl.neg."""
        return arithmetic.neg(self)

    def pow(self, exponent: Any) -> Tensor:
        """See minidl.pow."""
        return arithmetic.pow(self, exponent)

    def maximum(self, other: Tensor) -> Tensor:
        """See minidl.maximum."""
        return arithmetic.maximum(self, other)

    def minimum(self, other: Tensor) -> Tensor:
        """See minidl.minimum."""
        return arithmetic.minimum(self, other)

    def eq(self, other: Any) -> Tensor:
        """See minidl.eq."""
        return comparison.eq(self, other)

    def ne(self, other: Any) -> Tensor:
        """See minidl.ne."""
        return comparison.ne(self, other)

    def isnan(self) -> Tensor:
        """See minidl.isnan."""
        return comparison.isnan(self)

    def exp(self) -> Tensor:
        """See minidl.exp."""
        return elementwise.exp(self)

    def log(self) -> Tensor:
        """See minidl.log."""
        return elementwise.log(self)

    def sqrt(self) -> Tensor:
        """See minidl.sqrt."""
        return elementwise.sqrt(self)

    def sin(self) -> Tensor:
        """See minidl.sin."""
        return elementwise.sin(self)

    def cos(self) -> Tensor:
        """See minidl.cos."""
        return elementwise.cos(self)

    def abs(self) -> Tensor:
        """See minidl.abs."""
        return elementwise.abs(self)

    def sign(self) -> Tensor:
        """See minidl.sign."""
        return elementwise.sign(self)

    def clamp(self, min: float | None = None, max: float | None = None) -> Tensor:
        """See minidl.clamp."""
        return elementwise.clamp(self, min, max)

    def relu(self) -> Tensor:
        """See minidl.relu."""
        return activation.relu(self)

    def tanh(self) -> Tensor:
        """See minidl.tanh."""
        return activation.tanh(self)

    def sigmoid(self) -> Tensor:
        """See minidl.sigmoid."""
        return activation.sigmoid(self)

    def softmax(self, dim: int) -> Tensor:
        """See minidl.softmax."""
        return activation.softmax(self, dim)

    def log_softmax(self, dim: int) -> Tensor:
        """See minidl.log_softmax."""
        return activation.log_softmax(self, dim)

    def matmul(self, other: Tensor) -> Tensor:
        """See minidl.matmul."""
        return matmul.matmul(self, other)

    def sum(self, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
        """See minidl.sum."""
        return reduction.sum(self, dim, keepdim, dtype=dtype)

    def mean(self, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
        """See minidl.mean."""
        return reduction.mean(self, dim, keepdim, dtype=dtype)

    def var(self, dim: Any = None, *, correction: float = 1, keepdim: bool = False) -> Tensor:
        """See minidl.var."""
        return reduction.var(self, dim, correction=correction, keepdim=keepdim)

    def std(self, dim: Any = None, *, correction: float = 1, keepdim: bool = False) -> Tensor:
        """See minidl.std."""
        return reduction.std(self, dim, correction=correction, keepdim=keepdim)

    def max(self, dim: int | None = None, keepdim: bool = False) -> Any:
        """See minidl.max."""
        return reduction.max(self, dim, keepdim)

    def min(self, dim: int | None = None, keepdim: bool = False) -> Any:
        """See minidl.min."""
        return reduction.min(self, dim, keepdim)

    def amax(self, dim: Any = None, keepdim: bool = False) -> Tensor:
        """See minidl.amax."""
        return reduction.amax(self, dim, keepdim)

    def amin(self, dim: Any = None, keepdim: bool = False) -> Tensor:
        """See minidl.amin."""
        return reduction.amin(self, dim, keepdim)

    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """See minidl.argmax."""
        return reduction.argmax(self, dim, keepdim)

    def argmin(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """See minidl.argmin."""
        return reduction.argmin(self, dim, keepdim)

    def all(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """See minidl.all."""
        return reduction.all(self, dim, keepdim)

    def any(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """See minidl.any."""
        return reduction.any(self, dim, keepdim)

    def reshape(self, *sizes: Any) -> Tensor:
        """See minidl.reshape."""
        return shape.reshape(self, *sizes)

    def view(self, *sizes: Any) -> Tensor:
        """The same as reshape: memory order is not the user's concern, so a view is a copy where it must be."""
        return shape.reshape(self, *sizes)

    def view_as(self, other: Tensor) -> Tensor:
        """This tensor in the shape of another."""
        return shape.reshape(self, other.shape)

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """See minidl.flatten."""
        return shape.flatten(self, start_dim, end_dim)

    def unflatten(self, dim: int, sizes: Any) -> Tensor:
        """See minidl.unflatten."""
        return shape.unflatten(self, dim, sizes)

    def permute(self, *dims: Any) -> Tensor:
        """See minidl.permute."""
        return shape.permute(self, *dims)

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        """See minidl.transpose."""
        return shape.transpose(self, dim0, dim1)

    def swapaxes(self, axis0: int, axis1: int) -> Tensor:
        """The same as transpose; arrays have a method of this name too."""
        return shape.transpose(self, axis0, axis1)

    def movedim(self, source: int, destination: int) -> Tensor:
        """See minidl.movedim."""
        return shape.movedim(self, source, destination)

    def t(self) -> Tensor:
        """A matrix transposed, (M, N) -> (N, M); fewer axes stay as they are."""
        if self.ndim > 2:
            raise ShapeError("t", expected="at most two axes", got=str(self.shape), hint="Use transpose or permute.")
        return self.T

    @property
    def T(self) -> Tensor:
        """The axes in reverse order."""
        return shape.permute(self, tuple(range(self.ndim))[::-1])

    @property
    def mT(self) -> Tensor:
        """The last two axes exchanged."""
        return shape.transpose(self, -1, -2)

    def squeeze(self, dim: Any = None) -> Tensor:
        """See minidl.squeeze."""
        return shape.squeeze(self, dim)

    def unsqueeze(self, dim: int) -> Tensor:
        """See minidl.unsqueeze."""
        return shape.unsqueeze(self, dim)

    def expand(self, *sizes: Any) -> Tensor:
        """See minidl.expand."""
        return shape.expand(self, *sizes)

    def expand_as(self, other: Tensor) -> Tensor:
        """This tensor repeated to the shape of another."""
        return shape.expand(self, other.shape)

    def broadcast_to(self, sizes: Any) -> Tensor:
        """See minidl.broadcast_to."""
        return shape.broadcast_to(self, sizes)

    def split(self, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
        """See minidl.split."""
        return shape.split(self, split_size_or_sections, dim)

    def chunk(self, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
        """See minidl.chunk."""
        return shape.chunk(self, chunks, dim)

    def flip(self, dims: Any) -> Tensor:
        """See minidl.flip."""
        return shape.flip(self, dims)

    def clone(self) -> Tensor:
        """See minidl.clone."""
        return shape.clone(self)

    def contiguous(self) -> Tensor:
        """See minidl.contiguous."""
        return shape.contiguous(self)

    # --- Conversions --------------------------------------------------------------------------------------------

    def to(self, *target: Any, dtype: Any = None, device: Any = None, copy: bool = False) -> Tensor:
        """This tensor on a device and in a dtype: itself if nothing changes (unless ``copy``), else a copy.

        target: a device ("cpu", "gpu:1", minidl.device), a dtype, both in this order, or a tensor to be like. Gradients
        flow through. Raises DeviceError where there is no such GPU. Source: torch.Tensor.to.
        """
        for value in target:
            if isinstance(value, Tensor):
                device, dtype = value.device, value.dtype
            elif isinstance(value, Device) or (
                isinstance(value, str) and value.split(":")[0] in ("cpu", "gpu", "cuda")
            ):
                device = value
            else:
                dtype = value
        result = self
        if dtype is not None:
            result = promotion.cast(result, dtype)
        if device is not None and Device(device) != result.device:
            result = _Move.apply(result, device=Device(device))
        return result.clone() if copy and result is self else result

    def type(self, dtype: Any) -> Tensor:
        """This tensor in a dtype."""
        return promotion.cast(self, dtype)

    def cpu(self) -> Tensor:
        """This tensor on the CPU."""
        return self.to(CPU)

    def float(self) -> Tensor:
        """This tensor in float32."""
        return promotion.cast(self, float32)

    def double(self) -> Tensor:
        """This tensor in float64."""
        return promotion.cast(self, float64)

    def half(self) -> Tensor:
        """This tensor in float16."""
        return promotion.cast(self, float16)

    def long(self) -> Tensor:
        """This tensor in int64."""
        return promotion.cast(self, int64)

    def int(self) -> Tensor:
        """This tensor in int32."""
        return promotion.cast(self, int32)

    def byte(self) -> Tensor:
        """This tensor in uint8."""
        return promotion.cast(self, uint8)

    def bool(self) -> Tensor:
        """This tensor as bool: whether each element is not 0."""
        return promotion.cast(self, bool_)


def _not_while_recording(who: str) -> None:
    """GraphError while a step is being captured: a value that Python has seen cannot change in the replay."""
    if state.recorder is not None:
        raise GraphError(
            who,
            expected="no Python code that looks at values inside a captured step",
            got=f"a call of {who}()",
            hint="Return the tensor from the step and look at it outside, or do not capture this step.",
        )


def _operand(value: Any) -> bool:
    """Whether a value may stand beside a tensor in an operator."""
    return isinstance(value, _OPERANDS) or hasattr(value, "__cuda_array_interface__")


_HOOK_NUMBERS = itertools.count()
_OPERANDS = (BaseTensor, int, float, np.ndarray, np.generic)


def _host(generator: Any) -> np.random.Generator:
    """NumPy's random generator of a minidl Generator, or of this thread's default one."""
    _not_while_recording("random numbers drawn on the host")
    from_default = default_generator() if generator is None else generator
    if not isinstance(from_default, Generator):
        raise ArgumentError("generator", expected="a minidl.Generator or None", got=type(generator).__name__)
    return from_default.host


def _on(array: np.ndarray, dtype: Any, device: Device) -> Any:
    return to_device(array.astype(as_dtype(dtype), copy=False), device)
