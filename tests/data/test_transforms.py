"""Transforms against torchvision's, one image at a time and as whole batches."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as torchvision_functional
from torchvision.transforms import v2 as reference

from minidl._tensor import Tensor
from minidl.backend.random import AUGMENTATION, Stream, manual_seed
from minidl.data import Augmentation, ImageDataset
from minidl.data import transforms as T
from minidl.data.transforms import as_recipe
from minidl.errors import ArgumentError, DTypeError, ShapeError

RANDOM = np.random.default_rng(5)
COLOUR = RANDOM.integers(0, 256, (7, 6, 3), np.uint8)
GREY = RANDOM.integers(0, 256, (7, 6), np.uint8)
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def to_torch(image: np.ndarray) -> torch.Tensor:
    return torchvision_functional.to_tensor(image)


@pytest.mark.parametrize(
    "image",
    [COLOUR, GREY, COLOUR[::-1, ::2], COLOUR.astype(np.float64), GREY.astype(np.float32), Image.fromarray(COLOUR)],
)
def test_to_tensor_is_torchvisions(image: Any) -> None:
    ours, theirs = (
        T.ToTensor()(image),
        torchvision_functional.to_tensor(image.copy() if isinstance(image, np.ndarray) else image),
    )
    assert ours.dtype == theirs.numpy().dtype
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_normalize_is_torchvisions() -> None:
    ours = T.Compose([T.ToTensor(), T.Normalize(MEAN, STD)])(COLOUR)
    theirs = torchvision_functional.normalize(to_torch(COLOUR), MEAN, STD)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6, atol=1e-7)
    one = T.Normalize((0.5,), (0.5,))(T.ToTensor()(COLOUR))  # one value serves all channels
    theirs = torchvision_functional.normalize(to_torch(COLOUR), (0.5,), (0.5,))
    np.testing.assert_allclose(one.numpy(), theirs.numpy(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("padding", [0, 2, (1, 3), (1, 2, 3, 4), None])
def test_padding_is_torchvisions(padding: Any) -> None:
    sides = {0: (7, 6), 2: (11, 10), (1, 3): (13, 8), (1, 2, 3, 4): (13, 10), None: (7, 6)}[padding]
    ours = T.RandomCrop(sides, padding)  # the window fills the padded image: nothing is left to chance
    theirs = reference.RandomCrop(sides, list(padding) if isinstance(padding, tuple) else padding)(to_torch(COLOUR))
    np.testing.assert_array_equal(T.ToTensor()(ours(COLOUR)).numpy(), theirs.numpy())
    np.testing.assert_array_equal(ours(T.ToTensor()(COLOUR)).numpy(), theirs.numpy())
    grey = reference.RandomCrop(sides, list(padding) if isinstance(padding, tuple) else padding)(to_torch(GREY))
    np.testing.assert_array_equal(ours(GREY), (grey[0].numpy() * 255).round().astype(np.uint8))


def test_flip_is_torchvisions() -> None:
    theirs = torchvision_functional.hflip(to_torch(COLOUR)).numpy()
    np.testing.assert_array_equal(T.RandomHorizontalFlip(1.0)(T.ToTensor()(COLOUR)).numpy(), theirs)
    np.testing.assert_array_equal(T.ToTensor()(T.RandomHorizontalFlip(1.0)(Image.fromarray(COLOUR))).numpy(), theirs)
    np.testing.assert_array_equal(T.RandomHorizontalFlip(0.0)(GREY), GREY)
    manual_seed(0)
    flipped = sum(np.array_equal(T.RandomHorizontalFlip(0.25)(GREY), GREY[:, ::-1]) for _ in range(2000))
    assert 0.21 < flipped / 2000 < 0.29


def windows(image: np.ndarray, padding: int) -> dict[bytes, tuple[int, int, bool]]:
    """Every outcome of crop and flip, made by torchvision."""
    height, width = image.shape[:2]
    padded = torchvision_functional.pad(torch.tensor(image).permute(2, 0, 1), [padding])
    outcomes = {}
    for top in range(2 * padding + 1):
        for left in range(2 * padding + 1):
            window = torchvision_functional.crop(padded, top, left, height, width)
            for flip in (False, True):
                final = torchvision_functional.hflip(window) if flip else window
                outcomes[final.permute(1, 2, 0).contiguous().numpy().tobytes()] = (top, left, flip)
    assert len(outcomes) == 2 * (2 * padding + 1) ** 2
    return outcomes


def check_uniform(outcomes: dict[bytes, tuple[int, int, bool]], drawn: list[np.ndarray]) -> None:
    """Each drawn image is one of torchvision's, and all are equally frequent (chi square, 17 degrees of freedom)."""
    counts = Counter(outcomes[np.ascontiguousarray(image).tobytes()] for image in drawn)
    expected = len(drawn) / len(outcomes)
    assert len(counts) == len(outcomes)
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < 41  # exceeded once in 1000


def test_crop_and_flip_reach_all_of_torchvisions_outcomes_equally() -> None:
    outcomes = windows(COLOUR, 1)
    manual_seed(1)
    one_by_one = T.Compose([T.RandomCrop((7, 6), padding=1), T.RandomHorizontalFlip()])
    check_uniform(outcomes, [one_by_one(COLOUR) for _ in range(1800)])
    # The same for whole batches, in units of a pixel: mean 0 and std 1/255.
    dataset = ImageDataset(COLOUR[None], np.zeros(1, np.int64), std=[1 / 255] * 3, augmentation=Augmentation(1, 0.5))
    images, _ = dataset.batch(np.zeros(1800, np.int64), Stream(1, 0, AUGMENTATION))
    pixels = images.transpose(0, 2, 3, 1).round().astype(np.uint8)  # (N, C, H, W) -> (N, H, W, C)
    check_uniform(outcomes, list(pixels))


# Which chains are done as whole batches

CROP, FLIP, NORMALIZE = T.RandomCrop((7, 6), padding=2), T.RandomHorizontalFlip(0.3), T.Normalize(MEAN, STD)


@pytest.mark.parametrize(
    ("chain", "augmentation", "mean"),
    [
        ([T.ToTensor()], Augmentation(), None),
        ([T.ToTensor(), NORMALIZE], Augmentation(), MEAN),
        ([CROP, FLIP, T.ToTensor(), NORMALIZE], Augmentation(2, 0.3), MEAN),
        ([FLIP, CROP, T.ToTensor()], Augmentation(2, 0.3), None),
        ([T.ToTensor(), CROP, NORMALIZE, FLIP], Augmentation(2, 0.3), MEAN),
    ],
)
def test_chains_that_are_recognised(chain: list[Any], augmentation: Augmentation, mean: Any) -> None:
    recipe = as_recipe(T.Compose(chain), (7, 6, 3))
    assert recipe is not None
    assert recipe.augmentation == augmentation
    assert recipe.mean == mean


class Darker(T.ToTensor):
    def __call__(self, image: Any) -> Tensor:
        return Tensor(super().__call__(image).numpy() / 2)


@pytest.mark.parametrize(
    "chain",
    [
        [],
        [CROP, FLIP],  # stays uint8
        [T.ToTensor(), T.ToTensor()],
        [NORMALIZE, T.ToTensor()],
        [T.ToTensor(), NORMALIZE, NORMALIZE],
        [T.ToTensor(), NORMALIZE, CROP],  # pads with 0 after normalising: grey, not black
        [FLIP, T.ToTensor(), FLIP],
        [CROP, CROP, T.ToTensor()],
        [T.RandomCrop((5, 6), padding=2), T.ToTensor()],  # another size
        [T.RandomCrop((7, 6), padding=(1, 2)), T.ToTensor()],
        [T.ToTensor(), T.Normalize((0.5,), (0.5,))],
        [T.ToTensor(), T.Normalize(MEAN, (-0.2, 0.2, 0.2))],
        [Darker()],
        [T.ToTensor(), lambda x: x],
    ],
)
def test_chains_that_are_not(chain: list[Any]) -> None:
    assert as_recipe(T.Compose(chain), (7, 6, 3)) is None


def test_a_bare_transform_is_recognised() -> None:
    assert as_recipe(T.ToTensor(), (7, 6, 3)) is not None
    assert as_recipe(None, (7, 6, 3)) is None


@pytest.mark.parametrize("chain", [[T.ToTensor()], [T.RandomHorizontalFlip(1.0), T.ToTensor(), NORMALIZE]])
def test_whole_batches_equal_single_images(chain: list[Any]) -> None:
    images = RANDOM.integers(0, 256, (5, 7, 6, 3), np.uint8)
    transform = T.Compose(chain)
    recipe = as_recipe(transform, (7, 6, 3))
    assert recipe is not None
    dataset = ImageDataset(images, np.arange(5), recipe.mean, recipe.std, recipe.augmentation)
    whole, labels = dataset.batch(np.array([4, 0, 4]), Stream(0, 0, AUGMENTATION))
    np.testing.assert_array_equal(labels, [4, 0, 4])
    single = np.stack([transform(images[i]).numpy() for i in (4, 0, 4)])
    np.testing.assert_allclose(whole, single, rtol=1e-6, atol=1e-7)


# Bad calls


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: T.RandomHorizontalFlip(1.5), ArgumentError, "1.5"),
        (lambda: T.RandomCrop(0), ArgumentError, "at least 1"),
        (lambda: T.RandomCrop(4, padding=-1), ArgumentError, "-1"),
        (lambda: T.RandomCrop(4, padding=(1, 2, 3)), ArgumentError, r"\(1, 2, 3\)"),
        (lambda: T.RandomCrop(9)(COLOUR), ShapeError, r"at least \(9, 9\)"),
        (lambda: T.Normalize(MEAN, (1, 0, 1)), ArgumentError, "different from 0"),
        (lambda: T.Normalize(MEAN, STD)(COLOUR), DTypeError, "ToTensor"),
        (lambda: T.Normalize(MEAN, STD)(Tensor(np.zeros((3, 2, 2), np.uint8))), DTypeError, "uint8"),
        (lambda: T.Normalize(MEAN, STD)(Tensor(np.zeros((2, 2, 2), np.float32))), ShapeError, "3 channels"),
        (lambda: T.ToTensor()(Tensor(np.zeros((3, 2, 2)))), DTypeError, "a Tensor"),
        (lambda: T.ToTensor()(np.zeros(3)), ShapeError, r"\(3,\)"),
        (lambda: Augmentation(crop_padding=-1), ArgumentError, "crop_padding"),
        (lambda: Augmentation(crop_padding=1.0), ArgumentError, "crop_padding"),  # type: ignore[arg-type]
        (lambda: Augmentation(flip=-0.1), ArgumentError, "flip"),
    ],
)
def test_bad_calls(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
