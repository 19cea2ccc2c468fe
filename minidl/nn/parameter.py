"""A tensor that a module owns and an optimizer changes."""

from __future__ import annotations

from minidl._tensor import Tensor
from minidl.errors import DTypeError

__all__ = ["Parameter"]


class Parameter(Tensor):
    """A leaf tensor that registers itself with the module it is assigned to (``torch.nn.Parameter``).

    ``data`` is a Tensor of any shape whose array is shared, not copied; ``requires_grad`` as in torch. Raises
    DTypeError where ``data`` is no Tensor.
    """

    def __init__(self, data: Tensor, requires_grad: bool = True) -> None:
        if not isinstance(data, Tensor):
            raise DTypeError(
                "Parameter", expected="a Tensor", got=type(data).__name__, hint="Wrap the values in minidl.tensor(...)."
            )
        super().__init__(data.data, requires_grad=requires_grad)

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()
