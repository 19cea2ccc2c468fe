"""DataLoader: the order of an epoch, batches made whole or item by item, threads that work ahead, and resuming."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np

from minidl._tensor import Tensor
from minidl.backend.arrays import to_device
from minidl.backend.random import AUGMENTATION, Generator, Stream, default_generator
from minidl.data.base import Dataset, whole_batches
from minidl.errors import ArgumentError, DTypeError, ShapeError

__all__ = ["DataLoader", "default_collate"]


class DataLoader:
    """Batches of a dataset, shuffled and seeded, for ``for images, labels in loader``. As torch's DataLoader.

    dataset: anything with a length and items by number. Where it makes whole batches (ImageDataset, TensorDataset,
    CIFAR10 and MNIST with the usual transforms, subsets of these), a batch is one call; else items are fetched one
    by one and put together by ``collate_fn`` (default ``default_collate``).
    batch_size: at least 1; the last batch is smaller where the length is no multiple, or left out with drop_last.
    shuffle: a new order every epoch. generator: where the order and the augmentation come from (default: this
    thread's, ``minidl.manual_seed``).
    num_workers: that many threads prepare batches ahead, 2 * num_workers at a time; the batches and their order are
    the same as with 0. The dataset is then read by several threads at once.

    Everything random of an epoch is fixed when the loop over it starts. What a dataset of the user draws from the
    thread's generator is repeatable as well; what it draws elsewhere is not. ``state_dict`` taken inside the loop
    resumes with the next batch. Raises ArgumentError for a batch size below 1.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 1,
        shuffle: bool | None = None,
        *,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        drop_last: bool = False,
        generator: Generator | None = None,
    ) -> None:
        _check_count("batch_size", batch_size, 1)
        _check_count("num_workers", num_workers, 0)
        self.dataset = dataset
        self.batch_size = int(batch_size)
        self.shuffle = bool(shuffle)
        self.num_workers = int(num_workers)
        self.collate_fn = collate_fn
        self.drop_last = drop_last
        self.generator = generator
        self.epoch = 0
        self._current: _Epoch | None = None
        self._resumed: _Epoch | None = None

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (1 if rest and not self.drop_last else 0)

    def __iter__(self) -> Iterator[Any]:
        """One epoch. Each batch is what collate_fn gives; by default a list of Tensors, [(N, ...), (N,) int64]."""
        epoch, self._resumed = self._resumed, None
        if epoch is None:
            epoch = _Epoch(self, self._generator())
        self._current = epoch
        return self._run(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands: epochs finished, batches handed out in this one, generator. Plain numbers, JSON."""
        epoch = self._resumed or self._current
        return {
            "samples": len(self.dataset),
            "batch_size": self.batch_size,
            "epoch": self.epoch,
            "position": 0 if epoch is None else epoch.position,
            "epoch_start": None if epoch is None else epoch.start,
            "generator": self._generator().get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Stand where another loader of the same dataset and batch size stood; the next loop goes on from there."""
        here = {"samples": len(self.dataset), "batch_size": self.batch_size}
        there = {key: state.get(key) for key in here}
        if here != there:
            raise ArgumentError(
                "DataLoader.load_state_dict",
                expected=f"a state with {here}",
                got=f"{there}",
                hint="Resume with the data and the batch size of the first run.",
            )
        for name in ("epoch", "position"):
            _check_count(name, state.get(name), 0)
        self.epoch, self._current, self._resumed = state["epoch"], None, None
        if state["epoch_start"] is not None:
            # The generator may have been used by others since the epoch began: the epoch's draws are repeated aside.
            past = Generator(0)
            past.set_state(state["epoch_start"])
            self._resumed = _Epoch(self, past, position=state["position"])
        self._generator().set_state(state["generator"])

    def _generator(self) -> Generator:
        return default_generator() if self.generator is None else self.generator

    def _run(self, epoch: _Epoch) -> Iterator[Any]:
        for batch in self._prepared(epoch):
            epoch.position += 1
            yield batch
        if self._current is epoch:
            self.epoch += 1
            self._current = None

    def _prepared(self, epoch: _Epoch) -> Iterator[Any]:
        """The batches in order, made when they are asked for, or ahead by threads."""
        remaining = range(epoch.position, epoch.length)
        if self.num_workers == 0:
            for number in remaining:
                yield epoch.make(number)
            return
        pool = ThreadPoolExecutor(self.num_workers, thread_name_prefix="DataLoader")
        try:
            ahead: deque[Future[Any]] = deque()
            for number in remaining:
                ahead.append(pool.submit(epoch.make, number))
                if len(ahead) == 2 * self.num_workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _Epoch:
    """Everything random of one epoch, drawn at its start, so that any batch can be made at any time by any thread."""

    def __init__(self, loader: DataLoader, generator: Generator, position: int = 0) -> None:
        self.start = generator.get_state()
        self.position = position  # batches handed out
        self.length = len(loader)
        self.batch_size = loader.batch_size
        self.dataset = loader.dataset
        self.collate = loader.collate_fn or default_collate
        self.source = whole_batches(loader.dataset) if loader.collate_fn is None else None
        samples = len(loader.dataset)
        order = generator.host.permutation(samples) if loader.shuffle else np.arange(samples)
        # For a dataset on a GPU the order goes there once, not with every batch.
        self.order: Any = order if self.source is None else to_device(order, self.source.device)
        self.streams: list[Stream] | None = None
        if self.source is None or self.source.random:
            self.streams = [generator.stream(AUGMENTATION) for _ in range(self.length)]

    def make(self, number: int) -> Any:
        """Batch ``number`` of the epoch."""
        index = self.order[number * self.batch_size : (number + 1) * self.batch_size]
        stream = None if self.streams is None else self.streams[number]
        if self.source is not None:
            return [Tensor(array) for array in self.source.batch(index, stream)]
        assert stream is not None
        with _thread_generator_from(stream):
            return self.collate([self.dataset[int(i)] for i in index])


@contextmanager
def _thread_generator_from(stream: Stream) -> Iterator[None]:
    """The thread's generator restarted from ``stream``, and put back afterwards: whichever thread makes a batch, it
    draws the same numbers."""
    generator = default_generator()
    before = generator.get_state()
    generator.manual_seed(int(np.random.SeedSequence(stream).generate_state(1, np.uint64)[0]))
    try:
        yield
    finally:
        generator.set_state(before)


def default_collate(items: Sequence[Any]) -> Any:
    """Put N items together into a batch, as torch's ``default_collate``.

    Tensors and arrays (...) are stacked to (N, ...); ints become int64, floats float64; strings stay a list; tuples,
    lists and mappings are put together part by part. Raises ShapeError where shapes differ, DTypeError for others.
    """
    first = items[0]
    if isinstance(first, Tensor):
        return Tensor(_stack([item.numpy() for item in items]))
    if isinstance(first, (np.ndarray, np.generic)):
        return Tensor(_stack([np.asarray(item) for item in items]))
    if isinstance(first, (bool, int, float)):
        return Tensor(np.asarray(items))
    if isinstance(first, (str, bytes)):
        return list(items)
    if isinstance(first, Mapping):
        return {key: default_collate([item[key] for item in items]) for key in first}
    if isinstance(first, Sequence):
        if len({len(item) for item in items}) > 1:
            raise ShapeError("DataLoader", expected="items with equally many parts", got=str([len(i) for i in items]))
        return [default_collate(part) for part in zip(*items, strict=True)]
    raise DTypeError(
        "DataLoader",
        expected="items made of Tensors, arrays, numbers, strings, tuples, lists or dicts",
        got=type(first).__name__,
        hint="Add ToTensor() to the transforms of the dataset, or pass a collate_fn.",
    )


def _stack(arrays: list[np.ndarray]) -> np.ndarray:
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise ShapeError(
            "DataLoader",
            expected="items of equal shape in a batch",
            got=" and ".join(str(shape) for shape in sorted(shapes)),
            hint="Crop or resize them in the dataset, or pass a collate_fn.",
        )
    return np.stack(arrays)


def _check_count(name: str, value: Any, least: int) -> None:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
        raise ArgumentError("DataLoader", expected=f"{name} as an integer of at least {least}", got=repr(value))
