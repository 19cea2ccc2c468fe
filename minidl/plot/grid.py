"""``make_grid``: a batch of images as one image, under torchvision's name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minidl._tensor import Tensor
from minidl.errors import ArgumentError, DTypeError, ShapeError

__all__ = ["make_grid"]


def make_grid(
    tensor: Tensor | Sequence[Tensor],
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Tensor:
    """Images (N, C, H, W) in rows of ``nrow``, ``padding`` pixels of ``pad_value`` around each: one image (3, H', W').

    tensor: a batch, a list of images (C, H, W), or one image (H, W) or (C, H, W), which comes back without a border.
    One channel becomes three equal ones; more stay. ``normalize`` maps ``value_range`` (default: smallest and largest
    value, of each image with ``scale_each``) to [0, 1]. As ``torchvision.utils.make_grid``. Raises DTypeError and
    ShapeError for what is no batch of images, ArgumentError for settings out of range.
    """
    batch = _batch(tensor)
    if nrow < 1 or padding < 0:
        raise ArgumentError("make_grid", expected="nrow >= 1 and padding >= 0", got=f"nrow={nrow}, padding={padding}")
    if value_range is not None and (len(value_range) != 2 or not value_range[0] <= value_range[1]):
        raise ArgumentError("make_grid", expected="value_range as a pair (low, high)", got=repr(value_range))
    if normalize:
        if batch.dtype.kind != "f":
            raise DTypeError("make_grid", expected="images of floats with normalize=True", got=str(batch.dtype))
        batch = np.stack([_scaled(x, value_range) for x in batch]) if scale_each else _scaled(batch, value_range)
    count, channels, height, width = batch.shape
    if count == 1:
        return Tensor(np.ascontiguousarray(batch[0]))
    columns = min(nrow, count)
    rows = -(-count // columns)
    cell_height, cell_width = height + padding, width + padding
    grid = np.full((channels, cell_height * rows + padding, cell_width * columns + padding), pad_value, batch.dtype)
    for i in range(count):
        top, left = (i // columns) * cell_height + padding, (i % columns) * cell_width + padding
        grid[:, top : top + height, left : left + width] = batch[i]
    return Tensor(grid)


def _batch(tensor: Tensor | Sequence[Tensor]) -> np.ndarray:
    """The images as an array (N, C, H, W) with three channels in place of one."""
    images = tensor if isinstance(tensor, Tensor) else list(tensor)
    parts = [images] if isinstance(images, Tensor) else images
    if not parts or not all(isinstance(part, Tensor) for part in parts):
        got = "none" if not parts else next(type(part).__name__ for part in parts if not isinstance(part, Tensor))
        raise DTypeError("make_grid", expected="a Tensor or a list of Tensors", got=got)
    arrays = [part.detach().cpu().numpy() for part in parts]
    if len({array.shape for array in arrays}) > 1:
        shapes = " and ".join(sorted({str(array.shape) for array in arrays}))
        raise ShapeError("make_grid", expected="images of equal shape", got=shapes)
    batch = arrays[0] if isinstance(images, Tensor) else np.stack(arrays)
    if batch.ndim == 2:
        batch = batch[None]  # (H, W) -> (C, H, W)
    if batch.ndim == 3:
        batch = batch[None]  # (C, H, W) -> (N, C, H, W)
    if batch.ndim != 4 or not len(batch):
        raise ShapeError("make_grid", expected="images (N, C, H, W), at least one", got=str(batch.shape))
    return np.repeat(batch, 3, axis=1) if batch.shape[1] == 1 else batch


def _scaled(x: np.ndarray, value_range: tuple[float, float] | None) -> np.ndarray:
    low, high = (float(x.min()), float(x.max())) if value_range is None else value_range
    return ((np.clip(x, low, high) - low) / max(high - low, 1e-5)).astype(x.dtype)
