"""The tensors of a parameter group that a GPU updates in one launch, and those that are updated one by one."""

from __future__ import annotations

from collections.abc import Sequence

from minidl._tensor import Tensor
from minidl.backend.arrays import is_gpu_array
from minidl.backend.dtypes import float32, float64
from minidl.kernels.cuda.optimizer import fits

__all__ = ["together"]


def together(parameters: Sequence[Tensor], state: dict[Tensor, dict[str, object]]) -> list[Tensor]:
    """The parameters whose arrays, gradients and buffers the kernels for many tensors can work on, in their order.

    They lie on a GPU in float32 or float64 without gaps, their buffers likewise; one that stands in the group twice is
    left out, since its two updates would run at the same time.
    """
    if not parameters or not is_gpu_array(parameters[0].data):
        return []
    seen: set[int] = set()
    twice = {id(p) for p in parameters if id(p) in seen or seen.add(id(p))}  # type: ignore[func-returns-value]
    chosen = []
    for parameter in parameters:
        array, gradient = parameter.data, parameter.grad.data
        known = state.get(parameter, {})
        buffers = [b.data for b in known.values() if isinstance(b, Tensor) and is_gpu_array(b.data)]
        if (
            is_gpu_array(array)
            and array.dtype in (float32, float64)
            and gradient.dtype == array.dtype
            and fits(array, *buffers)
            and id(parameter) not in twice
        ):
            chosen.append(parameter)
    return chosen
