"""DataLoader: the order, the last batch, repeatability, threads, resuming, and torch's loader beside it."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate as torch_collate

from minidl._tensor import Tensor
from minidl.backend.random import Generator, default_generator, manual_seed
from minidl.data import (
    Augmentation,
    DataLoader,
    ImageDataset,
    Subset,
    TensorDataset,
    default_collate,
    random_split,
    transforms,
)
from minidl.data.base import whole_batches
from minidl.errors import ArgumentError, DTypeError, ShapeError

RANDOM = np.random.default_rng(7)
IMAGES = RANDOM.integers(0, 256, (23, 8, 8, 3), np.uint8)
LABELS = np.arange(23)
AUGMENTED = Augmentation(crop_padding=2, flip=0.5)


def image_set(augmentation: Augmentation = AUGMENTED) -> ImageDataset:
    return ImageDataset(IMAGES, LABELS, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), augmentation)


class OneByOne:
    """The items of an ordinary dataset: random transforms, no whole batches."""

    transform = transforms.Compose([transforms.RandomCrop(8, padding=2), transforms.ToTensor()])

    def __len__(self) -> int:
        return len(IMAGES)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self.transform(IMAGES[i]), int(LABELS[i])


def arrays(loader: DataLoader) -> list[list[np.ndarray]]:
    return [[part.numpy() for part in batch] for batch in loader]


def assert_same(first: list[list[np.ndarray]], second: list[list[np.ndarray]]) -> None:
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)


def differ(first: list[list[np.ndarray]], second: list[list[np.ndarray]]) -> bool:
    return any(not np.array_equal(a[0], b[0]) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("batch_size", [1, 4, 23, 50])
@pytest.mark.parametrize("drop_last", [False, True])
def test_batches_are_torchs(batch_size: int, drop_last: bool) -> None:
    rows, labels = RANDOM.standard_normal((23, 3)).astype(np.float32), np.arange(23)
    ours = DataLoader(TensorDataset(Tensor(rows), Tensor(labels)), batch_size, drop_last=drop_last)
    reference = torch.utils.data.TensorDataset(torch.tensor(rows), torch.tensor(labels))
    theirs = torch.utils.data.DataLoader(reference, batch_size, drop_last=drop_last)
    assert len(ours) == len(theirs)
    assert_same(arrays(ours), [[part.numpy() for part in batch] for batch in theirs])


def test_image_batches_are_normalised_images_in_order() -> None:
    first, last = None, None
    for images, labels in DataLoader(image_set(Augmentation()), 5):
        first, last = first or (images, labels), (images, labels)
    assert first is not None
    assert last is not None
    assert first[0].dtype == np.float32
    assert first[1].dtype == np.int64
    assert last[0].shape == (3, 3, 8, 8)  # the smaller last batch
    expected = (IMAGES[:5] / 255 - (0.5, 0.4, 0.3)) / (0.2, 0.3, 0.4)
    np.testing.assert_allclose(first[0].numpy(), expected.transpose(0, 3, 1, 2), rtol=1e-5, atol=1e-6)


def test_every_index_exactly_once_in_an_epoch() -> None:
    loader = DataLoader(image_set(), 4, shuffle=True, generator=Generator(0))
    epochs = [np.concatenate([labels for _, labels in arrays(loader)]) for _ in range(3)]
    for order in epochs:
        np.testing.assert_array_equal(np.sort(order), LABELS)
    assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(epochs[0], LABELS)
    dropping = DataLoader(image_set(), 4, shuffle=True, drop_last=True, generator=Generator(0))
    kept = np.concatenate([labels for _, labels in arrays(dropping)])
    assert len(kept) == 20
    np.testing.assert_array_equal(kept, epochs[0][:20])


@pytest.mark.parametrize("dataset", [image_set(), OneByOne()])
def test_the_seed_decides_the_batches(dataset: Any) -> None:
    def two_epochs(generator: Generator | None) -> list[list[np.ndarray]]:
        loader = DataLoader(dataset, 4, shuffle=True, generator=generator)
        return arrays(loader) + arrays(loader)

    first = two_epochs(Generator(3))
    assert_same(first, two_epochs(Generator(3)))
    manual_seed(3)
    assert_same(first, two_epochs(None))  # the thread's generator, unless another is given
    assert differ(first, two_epochs(Generator(4)))
    fixed = DataLoader(dataset, 23, generator=Generator(3))
    assert differ(arrays(fixed), arrays(fixed))  # another epoch is augmented in another way


def test_evaluation_leaves_the_generator_alone() -> None:
    before = manual_seed(0).get_state()
    for dataset in (
        image_set(Augmentation()),
        TensorDataset(Tensor(LABELS)),
        Subset(image_set(Augmentation()), [1, 2]),
    ):
        arrays(DataLoader(dataset, 4))
    assert default_generator().get_state() == before
    arrays(DataLoader(OneByOne(), 4, generator=Generator(1)))  # its transforms draw from numbers of the loader's
    assert default_generator().get_state() == before


@pytest.mark.parametrize("dataset", [image_set(), OneByOne(), Subset(image_set(), range(3, 20))])
@pytest.mark.parametrize("num_workers", [1, 3])
def test_threads_change_nothing(dataset: Any, num_workers: int) -> None:
    plain, threaded = Generator(5), Generator(5)
    one = DataLoader(dataset, 2, shuffle=True, generator=plain)
    many = DataLoader(dataset, 2, shuffle=True, generator=threaded, num_workers=num_workers)
    for _ in range(2):
        assert_same(arrays(one), arrays(many))
    assert plain.get_state() == threaded.get_state()


def test_threads_work_ahead_and_stop() -> None:
    seen: list[str] = []

    class Watched(OneByOne):
        def __getitem__(self, i: int) -> tuple[Tensor, int]:
            if i == 20:
                raise KeyError("item 20")
            seen.append(threading.current_thread().name)
            return super().__getitem__(i)

    before = threading.active_count()
    batches = iter(DataLoader(Watched(), 1, num_workers=2))
    next(batches)
    time.sleep(0.1)  # nobody asks for more
    assert len(seen) == 4  # 2 * num_workers batches in flight, no more
    assert all(name.startswith("DataLoader") for name in seen)
    del batches  # as a break in a loop does
    assert threading.active_count() == before
    batches = iter(DataLoader(Watched(), 1, num_workers=2))
    for _ in range(20):
        next(batches)
    with pytest.raises(KeyError, match="item 20"):  # in its place, after the batches before it
        next(batches)
    assert threading.active_count() == before


@pytest.mark.parametrize("dataset", [image_set(), OneByOne()])
@pytest.mark.parametrize("stop", [0, 1, 3, 6])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_resuming_in_the_middle(dataset: Any, stop: int, num_workers: int) -> None:
    """Three epochs in one go, and the same with a new process after ``stop`` batches of the second."""
    manual_seed(9)
    whole: list[Any] = []
    loader = DataLoader(dataset, 4, shuffle=True, num_workers=num_workers)
    state: Any = None
    draws = []
    for epoch in range(3):
        if (epoch, stop) == (1, 0):
            state = json.dumps(loader.state_dict())
        for number, batch in enumerate(loader):
            whole.append([part.numpy() for part in batch])
            draws.append(default_generator().stream(1))  # as dropout would
            if (epoch, number + 1) == (1, stop):
                state = json.dumps(loader.state_dict())
    assert loader.epoch == 3

    manual_seed(1234)
    loader = DataLoader(dataset, 4, shuffle=True, num_workers=num_workers)
    loader.load_state_dict(json.loads(state))
    assert loader.epoch == 1
    assert loader.state_dict() == json.loads(state)
    rest, later_draws = [], []
    while loader.epoch < 3:
        for batch in loader:
            rest.append([part.numpy() for part in batch])
            later_draws.append(default_generator().stream(1))
    assert_same(whole[6 + stop :], rest)
    assert draws[6 + stop :] == later_draws


def test_a_state_of_other_data_is_refused() -> None:
    state = DataLoader(image_set(), 4).state_dict()
    with pytest.raises(ArgumentError, match=r"'batch_size': 5.*'batch_size': 4"):
        DataLoader(image_set(), 5).load_state_dict(state)
    with pytest.raises(ArgumentError, match="'samples': 2"):
        DataLoader(Subset(image_set(), [0, 1]), 4).load_state_dict(state)
    with pytest.raises(ArgumentError, match="batch_size"):
        DataLoader(image_set(), 4).load_state_dict({})


def test_subsets() -> None:
    part = Subset(image_set(Augmentation()), [5, 3, 9])
    ((images, labels),) = arrays(DataLoader(part, 10))
    np.testing.assert_array_equal(labels, [5, 3, 9])
    np.testing.assert_array_equal(images[1], part[1][0].numpy())
    assert whole_batches(Subset(OneByOne(), [0])) is None
    nested = Subset(Subset(OneByOne(), [4, 8, 2]), [2, 0])
    np.testing.assert_array_equal(arrays(DataLoader(nested, 10))[0][1], [2, 4])
    with pytest.raises(ArgumentError, match="indices from 0 to 22, got 0 to 23"):
        Subset(image_set(), [0, 23])
    with pytest.raises(ArgumentError, match="-1"):
        Subset(image_set(), [-1])
    with pytest.raises(ArgumentError, match="float64"):
        Subset(image_set(), [0.5])  # type: ignore[list-item]


def test_random_split_has_torchs_sizes() -> None:
    for lengths in ([20, 3], [0.5, 0.5], [0.7, 0.2, 0.1], [0, 23], [1.0]):
        ours = random_split(image_set(), lengths, Generator(0))
        theirs = torch.utils.data.random_split(range(23), lengths)  # type: ignore[arg-type]
        assert [len(part) for part in ours] == [len(part) for part in theirs]
        together = np.concatenate([part.indices for part in ours])
        np.testing.assert_array_equal(np.sort(together), LABELS)
    again = random_split(image_set(), [20, 3], Generator(0))
    np.testing.assert_array_equal(again[1].indices, random_split(image_set(), [20, 3], Generator(0))[1].indices)
    for bad in ([20, 4], [0.5, 0.6], [25, -2], [22.5, 0.5], []):
        with pytest.raises(ArgumentError, match="random_split"):
            random_split(image_set(), bad)


def test_collate_is_torchs() -> None:
    def as_torch(value: Any) -> Any:
        if isinstance(value, Tensor):
            return torch.tensor(value.numpy())
        if isinstance(value, tuple):
            return tuple(as_torch(part) for part in value)
        return {key: as_torch(part) for key, part in value.items()} if isinstance(value, dict) else value

    def check(ours: Any, theirs: Any) -> None:
        if isinstance(theirs, torch.Tensor):
            assert ours.dtype == theirs.numpy().dtype
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
        elif isinstance(theirs, dict):
            assert ours.keys() == theirs.keys()
            for key in theirs:
                check(ours[key], theirs[key])
        elif theirs and isinstance(theirs[0], str):
            assert list(ours) == list(theirs)
        else:
            assert len(ours) == len(theirs)
            for a, b in zip(ours, theirs, strict=True):
                check(a, b)

    item = {"x": Tensor(np.ones((2, 3), np.float32)), "y": (1, 2.5, np.int32(4), True), "name": "a", "raw": np.ones(2)}
    check(default_collate([item, item]), torch_collate([as_torch(item), as_torch(item)]))


def test_an_own_collate_and_a_list_as_dataset() -> None:
    assert list(DataLoader([3, 1, 2], 2, collate_fn=sum)) == [4, 2]
    assert [batch.numpy().tolist() for batch in DataLoader([3, 1, 2], 2)] == [[3, 1], [2]]
    assert len(DataLoader([], 2)) == 0
    assert list(DataLoader([], 2)) == []


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: DataLoader(image_set(), 0), ArgumentError, "batch_size as an integer of at least 1, got 0"),
        (lambda: DataLoader(image_set(), -4), ArgumentError, "-4"),
        (lambda: DataLoader(image_set(), 2.0), ArgumentError, "2.0"),  # type: ignore[arg-type]
        (lambda: DataLoader(image_set(), num_workers=-1), ArgumentError, "num_workers"),
        (lambda: DataLoader(image_set(), pin_memory=True), TypeError, "pin_memory"),  # type: ignore[call-arg]
        (lambda: default_collate([object()]), DTypeError, "collate_fn"),
        (lambda: default_collate([np.zeros(2), np.zeros(3)]), ShapeError, r"\(2,\) and \(3,\)"),
        (lambda: default_collate([(1, 2), (1,)]), ShapeError, "equally many"),
        (lambda: TensorDataset(), ArgumentError, "TensorDataset"),
        (lambda: TensorDataset(Tensor(np.zeros(2)), Tensor(np.zeros(3))), ShapeError, "first length"),
        (lambda: ImageDataset(IMAGES / 255, LABELS), DTypeError, "uint8"),
        (lambda: ImageDataset(IMAGES[..., 0], LABELS), ShapeError, r"\(N, H, W, C\)"),
        (lambda: ImageDataset(IMAGES, LABELS[:-1]), ShapeError, "labels"),
        (lambda: ImageDataset(IMAGES, LABELS / 2), DTypeError, "integers"),
        (lambda: ImageDataset(IMAGES, LABELS, mean=[0.5]), ShapeError, "3 channels"),
        (lambda: ImageDataset(IMAGES, LABELS, std=[1, 0, 1]), ArgumentError, "above 0"),
        (lambda: image_set().batch(np.array([0])), ArgumentError, "stream"),
        (lambda: image_set()[23], IndexError, "range"),
        (lambda: image_set(Augmentation()).batch(np.array([23])), IndexError, "23"),
    ],
)
def test_bad_calls(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
