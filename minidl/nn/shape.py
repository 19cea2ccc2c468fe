"""Changes of shape as layers."""

from __future__ import annotations

from minidl._tensor import Tensor
from minidl.errors import ArgumentError
from minidl.nn.arguments import axis, whole
from minidl.nn.module import Module

__all__ = ["Flatten", "Unflatten"]


class Flatten(Module):
    """Joins the axes start_dim to end_dim into one (``torch.nn.Flatten``): (N, C, H, W) -> (N, C H W)."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = axis("Flatten", start_dim)
        self.end_dim = axis("Flatten", end_dim)

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits the axis ``dim`` into the axes ``unflattened_size``, one of which may be -1 (``torch.nn.Unflatten``)."""

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        super().__init__()
        self.dim = axis("Unflatten", dim)
        if not isinstance(unflattened_size, (tuple, list)) or not unflattened_size:
            raise ArgumentError("Unflatten", expected="unflattened_size to be a tuple", got=repr(unflattened_size))
        sizes = tuple(whole("Unflatten", "unflattened_size", size, -1) for size in unflattened_size)
        if sizes.count(-1) > 1:
            raise ArgumentError("Unflatten", expected="at most one -1 in unflattened_size", got=repr(sizes))
        self.unflattened_size = sizes

    def forward(self, input: Tensor) -> Tensor:
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
