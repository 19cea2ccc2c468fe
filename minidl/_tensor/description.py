"""What a tensor is (shape, dtype, device) and how its values leave the library."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.autograd.base import BaseTensor
from minidl.autograd.modes import state
from minidl.backend.arrays import device_of, to_device
from minidl.backend.device import CPU, Device
from minidl.backend.dtypes import bool_, float32, int64
from minidl.errors import DTypeError, GraphError, ShapeError
from minidl.ops import reduction

__all__ = ["Description", "not_while_recording"]


def not_while_recording(who: str) -> None:
    """GraphError while a step is captured or a model exported: a value that Python has seen is fixed from then on."""
    if state.recorder is not None:
        raise GraphError(
            who,
            expected="no Python code that looks at values inside a captured step or an exported forward",
            got=f"a call of {who}()",
            hint="Return the tensor and look at it outside, or do not capture this step.",
        )


class Description(BaseTensor):
    """Shape, dtype, device, and the ways out: numbers, lists, text (arrays: protocols.py)."""

    __slots__ = ()

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
        axis = reduction.normalize_axis("size", dim, self.data.ndim)
        if not self.data.ndim:
            raise ShapeError("size", expected="at least one axis", got="none")
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

    def item(self) -> Any:
        """Its only element as a Python number (from a GPU: waits for it). ShapeError unless there is exactly one."""
        not_while_recording("item")
        if self.data.size != 1:
            raise ShapeError("item", expected="a tensor with one element", got=f"shape {self.data.shape}")
        return self.data.item()

    def tolist(self) -> Any:
        """Its elements as nested lists of Python numbers."""
        not_while_recording("tolist")
        return self.data.tolist()

    def __bool__(self) -> bool:
        not_while_recording("bool")
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
