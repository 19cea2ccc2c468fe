"""What a dataset is to the loader, and datasets made of tensors or of parts of other datasets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from minidl._tensor import Tensor
from minidl.backend.arrays import check_same_device, on_device_of, to_device
from minidl.backend.device import Device
from minidl.backend.random import Generator, Stream, default_generator
from minidl.errors import ArgumentError, ShapeError

__all__ = ["BatchSource", "Dataset", "Subset", "TensorDataset", "random_split", "whole_batches"]


class Dataset(Protocol):
    """Anything with a length and items by number, as for torch; a list will do."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int, /) -> Any: ...


class BatchSource(Protocol):
    """What makes whole batches at once. A dataset offers one through a method ``whole_batches()``, or None."""

    @property
    def random(self) -> bool:
        """Whether a batch depends on random numbers."""
        ...

    @property
    def device(self) -> Device:
        """Where batches are made; ``index`` should lie there, or is copied."""
        ...

    def batch(self, index: Any, stream: Stream | None = None) -> list[Any]:
        """The arrays of the batch at ``index`` (N,) int64, each (N, ...); ``stream`` numbers the random draws."""
        ...


def whole_batches(dataset: Any) -> BatchSource | None:
    """What makes whole batches of ``dataset``, or None where it gives its items one by one only."""
    offer = getattr(dataset, "whole_batches", None)
    return None if offer is None else offer()


class TensorDataset:
    """Tensors of equal first length: item i is the tuple of their rows i. As ``torch.utils.data.TensorDataset``.

    tensors: each (N, ...), all on one device, where batches are made. Raises ShapeError where the first lengths differ,
    DeviceError for tensors on several devices.
    """

    random = False

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors or any(tensor.dim() == 0 for tensor in tensors):
            raise ArgumentError("TensorDataset", expected="tensors (N, ...)", got=f"{[t.shape for t in tensors]}")
        if len({tensor.shape[0] for tensor in tensors}) > 1:
            raise ShapeError(
                "TensorDataset",
                expected="tensors of equal first length",
                got=" and ".join(str(tuple(tensor.shape)) for tensor in tensors),
            )
        check_same_device("TensorDataset", *[tensor.data for tensor in tensors])
        self.tensors = tensors

    @property
    def device(self) -> Device:
        """Where the tensors lie."""
        return self.tensors[0].device

    def to(self, device: str | Device) -> TensorDataset:
        """The dataset with its tensors on a device: itself if they lie there."""
        return self if self.device == Device(device) else TensorDataset(*[t.to(device) for t in self.tensors])

    def __len__(self) -> int:
        return self.tensors[0].shape[0]

    def __getitem__(self, i: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[i] for tensor in self.tensors)

    def whole_batches(self) -> TensorDataset:
        """Itself: batches of it are made by ``batch``, not item by item."""
        return self

    def batch(self, index: Any, stream: Stream | None = None) -> list[Any]:
        """The rows at ``index`` (N,) int64 of every tensor: a list of (N, ...) arrays; nothing is random."""
        index = to_device(index, self.device)
        with on_device_of(index):
            return [tensor.data[index] for tensor in self.tensors]


class Subset:
    """The items of ``dataset`` at ``indices``, in that order. As ``torch.utils.data.Subset``.

    Raises ArgumentError for indices that are not integers in [0, len(dataset)).
    """

    def __init__(self, dataset: Dataset, indices: Sequence[int] | np.ndarray) -> None:
        index = np.asarray(indices)
        if index.ndim != 1 or (index.size and index.dtype.kind not in "ui"):
            raise ArgumentError("Subset", expected="a sequence of integers", got=f"{index.dtype} {index.shape}")
        if index.size and not 0 <= index.min() <= index.max() < len(dataset):
            raise ArgumentError(
                "Subset", expected=f"indices from 0 to {len(dataset) - 1}", got=f"{index.min()} to {index.max()}"
            )
        self.dataset = dataset
        self.indices = index.astype(np.int64)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, i: int) -> Any:
        return self.dataset[int(self.indices[i])]

    def whole_batches(self) -> BatchSource | None:
        """What makes whole batches of the chosen items, where ``dataset`` has such a thing."""
        source = whole_batches(self.dataset)
        return None if source is None else _Chosen(source, self.indices)


class _Chosen:
    """A batch source that renumbers another: entry i is entry ``indices[i]`` of ``source``."""

    def __init__(self, source: BatchSource, indices: np.ndarray) -> None:
        self.source, self.random, self.device = source, source.random, source.device
        self.indices = to_device(indices, self.device)

    def batch(self, index: Any, stream: Stream | None = None) -> list[Any]:
        index = to_device(index, self.device)
        with on_device_of(index):
            return self.source.batch(self.indices[index], stream)


def random_split(
    dataset: Dataset, lengths: Sequence[int] | Sequence[float], generator: Generator | None = None
) -> list[Subset]:
    """Split a dataset at random into parts without common items. As ``torch.utils.data.random_split``.

    lengths: the size of each part, their sum ``len(dataset)``; or fractions whose sum is 1, each rounded down and
    the items left over given one by one to the first parts. The order is drawn from ``generator`` (default: this
    thread's). Raises ArgumentError where the sum is another.
    """
    size = len(dataset)
    if all(0 <= length <= 1 for length in lengths) and math.isclose(sum(lengths), 1):
        sizes = [math.floor(size * length) for length in lengths]
        for i in range(size - sum(sizes)):
            sizes[i % len(sizes)] += 1
    else:
        sizes = [int(length) for length in lengths]
        if (
            sum(sizes) != size
            or min(sizes) < 0
            or any(length != whole for length, whole in zip(lengths, sizes, strict=True))
        ):
            raise ArgumentError(
                "random_split",
                expected=f"sizes with the sum {size}, or fractions with the sum 1",
                got=f"{list(lengths)}",
            )
    order = (generator or default_generator()).host.permutation(size)
    ends = np.cumsum(sizes)
    return [Subset(dataset, order[end - length : end]) for length, end in zip(sizes, ends, strict=True)]
