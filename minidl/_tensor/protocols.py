"""A tensor's memory in other libraries' hands, without a copy: NumPy's protocol, CuPy's, and DLPack's."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl._tensor.description import Description, not_while_recording
from minidl.errors import ArgumentError, DeviceError, GraphError

__all__ = ["Protocols"]


class Protocols(Description):
    """What NumPy, CuPy, PyTorch and others ask a tensor for; writes made through them the version counter cannot see.

    All of them refuse a tensor that requires a gradient (GraphError), since what others compute is not recorded.
    """

    __slots__ = ()

    def _shared(self, who: str) -> Any:
        """The raw array, to be given away."""
        not_while_recording(who)
        if self.requires_grad:
            raise GraphError(
                who, expected="a tensor that needs no gradient", got="one that does", hint="Use .detach() first."
            )
        return self.data

    def numpy(self) -> np.ndarray:
        """Its NumPy array, shared: writing into it is not seen by the version counter.

        Raises DeviceError on a GPU (no hidden transfers) and GraphError where a gradient is required.
        """
        array = self._shared("numpy")
        if not isinstance(array, np.ndarray):
            raise DeviceError(
                "numpy", expected="a CPU tensor", got=f"one on {self.device}", hint='Use .to("cpu") first.'
            )
        return array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """What ``np.asarray(tensor)`` gets: the shared array unless a dtype or ``copy`` asks for another."""
        return np.array(self.numpy(), dtype, copy=copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        """Where the memory lies, in DLPack's numbers: (1, 0) for the CPU, (2, index) for a GPU."""
        return self.data.__dlpack_device__()

    def __dlpack__(
        self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
    ) -> Any:
        """A capsule around the shared memory, as ``torch.from_dlpack`` and ``np.from_dlpack`` ask for it.

        The arguments are DLPack's; NumPy or CuPy, whose array it is, answers. Raises GraphError where a gradient is
        required, ArgumentError for a memory order that runs backwards, which DLPack's readers cannot be trusted with
        (PyTorch ends the process).
        """
        array = self._shared("__dlpack__")
        if any(stride < 0 for stride in array.strides):
            raise ArgumentError(
                "__dlpack__",
                expected="strides of at least 0",
                got=str(array.strides),
                hint="Use .contiguous(), a copy in order.",
            )
        options = {"stream": stream, "max_version": max_version, "dl_device": dl_device, "copy": copy}
        # Only what is asked for: NumPy 2.0 and CuPy 13 know the stream alone.
        return array.__dlpack__(**{name: value for name, value in options.items() if value is not None})

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """Where a GPU tensor lies, and how; AttributeError on the CPU. Source: the CUDA array interface of Numba."""
        if self.device.type == "cpu":
            raise AttributeError("__cuda_array_interface__: expected a GPU tensor, got one on the CPU.")
        return self._shared("__cuda_array_interface__").__cuda_array_interface__
