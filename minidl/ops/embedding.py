"""Integers as vectors: the rows of a table, or zeros with a one."""

from __future__ import annotations

from typing import Any

from minidl.autograd.base import T
from minidl.autograd.function import Function
from minidl.autograd.modes import state
from minidl.backend.arrays import check_same_device, namespace, on_its_device
from minidl.backend.dtypes import int64
from minidl.errors import ArgumentError, DTypeError, GraphError, ShapeError
from minidl.ops.choice import where
from minidl.ops.indexing import ScatterAdd
from minidl.ops.norms import vector_norm
from minidl.ops.promotion import cast, require_float, require_tensor
from minidl.ops.values import check_range

__all__ = ["embedding", "one_hot"]


class Embedding(Function):
    """weight[indices]; ``share`` says how much of each place's gradient its row receives."""

    def forward(self, weight: Any, indices: Any, padding_idx: int | None, by_frequency: bool) -> Any:
        xp = namespace(weight)
        self.shape = weight.shape
        share = None
        if self.needs_input_grad[0] and by_frequency:
            counts = xp.bincount(indices.reshape(-1), minlength=len(weight))
            share = (1 / counts[indices]).astype(weight.dtype)
        if self.needs_input_grad[0] and padding_idx is not None:
            share = (indices != padding_idx).astype(weight.dtype) * (1 if share is None else share)
        self.save_for_backward(indices, share)
        return weight[indices]

    def backward(self, grad: Any) -> Any:
        indices, share = self.saved_arrays
        if share is not None:
            grad = grad * share[..., None]  # (...) -> (..., 1) beside (..., D)
        return ScatterAdd.evaluate(grad, index=indices, shape=self.shape), None


def embedding(
    input: T,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> T:
    """weight[input]: one row of the table for every integer.

    input: integers in [0, K), any shape (...); weight: (K, D); result (..., D). padding_idx: a row that receives no
    gradient. max_norm: rows that are picked and whose norm (of order norm_type) is larger are shortened to it first,
    in place. scale_grad_by_freq: divide each row's gradient by how often the row was picked. sparse: must be False.
    Raises ArgumentError (an index out of range), ShapeError, DTypeError. Source: torch.nn.functional.embedding.
    """
    require_tensor("embedding", input, weight)
    require_float("embedding", weight)
    check_same_device("embedding", input.data, weight.data)
    if sparse:
        raise ArgumentError("embedding", expected="sparse=False", got="True", hint="There are no sparse tensors.")
    if input.data.dtype.kind not in "iu":
        raise DTypeError("embedding", expected="integers as input", got=str(input.data.dtype))
    if weight.data.ndim != 2:
        raise ShapeError("embedding", expected="a weight (K, D)", got=str(weight.data.shape))
    rows, indices = weight.data.shape[0], input.data
    if padding_idx is not None:
        if isinstance(padding_idx, bool) or not hasattr(padding_idx, "__index__") or not -rows <= padding_idx < rows:
            raise ArgumentError("embedding", expected=f"padding_idx in [-{rows}, {rows})", got=repr(padding_idx))
        padding_idx = padding_idx.__index__() % rows
    check_range("embedding", indices, rows)
    if max_norm is not None:
        _shorten(weight, input, max_norm, norm_type)
    return Embedding.apply(weight, input, padding_idx=padding_idx, by_frequency=bool(scale_grad_by_freq))


def _shorten(weight: Any, input: Any, max_norm: float, norm_type: float) -> None:
    """Bring the rows that are picked to a norm of at most ``max_norm``, in place, outside the graph."""
    table = weight.detach()
    rows = table[input]
    norms = vector_norm(rows, norm_type, -1, True)
    # A row that was picked twice is written twice, with the same values.
    table[input] = where(norms > max_norm, rows * (max_norm / (norms + 1e-7)), rows)


@on_its_device
def one_hot(tensor: T, num_classes: int = -1) -> T:
    """Zeros with a one at each integer's place: (...) -> (..., num_classes), int64.

    tensor: integers in [0, num_classes); num_classes: -1 for the largest integer and one more, which a captured step
    cannot know. Raises ArgumentError for an integer out of range. Source: torch.nn.functional.one_hot.
    """
    require_tensor("one_hot", tensor)
    indices = tensor.data
    if indices.dtype.kind not in "iu":
        raise DTypeError("one_hot", expected="integers", got=str(indices.dtype))
    if isinstance(num_classes, bool) or not hasattr(num_classes, "__index__") or num_classes == 0 or num_classes < -1:
        raise ArgumentError("one_hot", expected="num_classes of at least 1, or -1", got=repr(num_classes))
    if num_classes == -1:
        if not indices.size:
            raise ArgumentError("one_hot", expected="num_classes for an empty tensor", got="-1")
        if state.recorder is not None:
            hint = "Give num_classes."
            raise GraphError("one_hot", expected="num_classes inside a captured step", got="-1", hint=hint)
        num_classes = int(indices.max()) + 1
    check_range("one_hot", indices, num_classes)
    classes = tensor._make(namespace(indices).arange(num_classes))
    return cast(tensor[..., None] == classes, int64)  # type: ignore[index]
