"""Colour, sharpness and resized crops of whole batches against torchvision, one image at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms as reference_transforms
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms import functional as reference

from minidl.backend.random import AUGMENTATION, Stream, manual_seed
from minidl.data import Augmentation, ImageDataset, Jitter, ResizedCrop
from minidl.data import color as ours
from minidl.data import transforms as T
from minidl.data.augmentation import jitter, random_windows
from minidl.data.resize import resized_crop
from minidl.errors import ArgumentError, DTypeError, ShapeError

RANDOM = np.random.default_rng(3)
COLOURED = RANDOM.integers(0, 256, (6, 9, 7, 3), np.uint8)
COLOURED[0, :3] = 90  # grey, and equal neighbours
COLOURED[1, :, :3, 1:] = 0  # pure red
COLOURED[2] = 0
COLOURED[3, 4:] = 255
GREY = COLOURED[..., :1].copy()


def to_torch(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image.transpose(2, 0, 1).copy())  # (H, W, C) -> (C, H, W)


def theirs(name: str, images: np.ndarray, factors: np.ndarray) -> np.ndarray:
    function = getattr(reference, name)
    changed = [function(to_torch(image), float(f)) for image, f in zip(images, factors, strict=True)]
    return np.stack([image.numpy().transpose(1, 2, 0) for image in changed])  # (C, H, W) -> (H, W, C)


@pytest.mark.parametrize("images", [COLOURED, GREY, COLOURED[:, ::2, ::-1], COLOURED[:, :2], COLOURED[:0]])
@pytest.mark.parametrize("kind", ["brightness", "contrast", "saturation", "sharpness", "hue"])
def test_changes_are_torchvisions(kind: str, images: np.ndarray) -> None:
    name = f"adjust_{kind}"
    spread = np.linspace(-0.5, 0.5, 6) if kind == "hue" else np.array([0.0, 0.3, 1.0, 1.37, 2.0, 9.0])
    for factors in (spread, spread[::-1]):
        factors = factors[: len(images)].astype(np.float32)
        before = images.copy()
        mine = getattr(ours, name)(images, factors)
        np.testing.assert_array_equal(images, before)
        assert (mine.dtype, mine.shape) == (np.uint8, images.shape)
        assert not np.shares_memory(mine, images)
        if not len(images):
            continue
        difference = np.abs(mine.astype(int) - theirs(name, images, factors))
        # float32 products on the edge between two whole numbers may fall to either side
        assert difference.max() <= 1
        assert np.mean(difference > 0) < 0.01


@pytest.mark.parametrize("size", [(9, 7), (12, 15), (1, 1), (4, 3)])
def test_resized_crop_is_torchvisions(size: tuple[int, int]) -> None:
    top, left = np.array([0, 1, 3, 0, 8, 2]), np.array([0, 2, 0, 6, 3, 1])
    height, width = np.array([9, 8, 4, 9, 1, 5]), np.array([7, 5, 7, 1, 2, 3])
    mine = resized_crop(COLOURED, top, left, height, width, size)
    for i, image in enumerate(COLOURED):
        window = [int(values[i]) for values in (top, left, height, width)]
        expected = reference.resized_crop(to_torch(image), *window, list(size), antialias=False)
        difference = np.abs(mine[i].astype(int) - expected.numpy().transpose(1, 2, 0))
        assert difference.max() <= 1
        assert np.sum(difference > 0) <= max(1, 0.02 * difference.size)
    assert resized_crop(COLOURED[:0], *(np.zeros(0, int),) * 4, size).shape == (0, *size, 3)


def test_windows_are_drawn_as_torchvision_draws_them() -> None:
    """Area and ratio uniform as asked, every window inside, every place possible; mean and spread as torchvision's."""
    crop, size, count = ResizedCrop(), (32, 32), 4000
    top, left, height, width = random_windows(crop, count, size, Stream(1, 0, AUGMENTATION))
    assert min(top.min(), left.min()) == 0
    assert max((top + height).max(), (left + width).max()) == 32
    torch.manual_seed(0)
    image = torch.zeros(3, 32, 32)
    drawn = np.array([RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(count)])
    for mine, expected in zip((top, left, height, width), drawn.T, strict=True):
        error = 4 * np.sqrt(2 / count)
        assert abs(mine.mean() - expected.mean()) < error * expected.std()
        assert abs(mine.std() / expected.std() - 1) < error
    # windows that never fit: the largest allowed one, in the middle
    windows = random_windows(ResizedCrop((4.0, 5.0), (1.0, 1.0)), 3, (20, 32), Stream(1, 0, AUGMENTATION))
    assert [values.tolist() for values in windows] == [[0] * 3, [6] * 3, [20] * 3, [20] * 3]


def test_jitter_does_what_it_says() -> None:
    stream = Stream(7, 5, AUGMENTATION)
    images = np.repeat(COLOURED[4:5], 400, axis=0)
    brighter = jitter(images, Jitter(brightness=0.2), stream).astype(int)
    ratio = brighter.sum(axis=(1, 2, 3)) / images.sum(axis=(1, 2, 3))
    assert 0.79 < ratio.min() < 0.82
    assert 1.1 < ratio.max() < 1.2  # white stays white
    assert len(np.unique(ratio)) > 300
    np.testing.assert_array_equal(jitter(images, Jitter(), stream), images)
    everything = Jitter(0.2, 0.2, 0.2, 0.1, 0.2)
    first = jitter(images, everything, stream)
    np.testing.assert_array_equal(first, jitter(images, everything, stream))
    assert np.any(first != jitter(images, everything, Stream(7, 6, AUGMENTATION)))
    # the order is drawn: brightness first and contrast first give different pictures
    orders = {jitter(images[:1], Jitter(0.9, 0.9), Stream(7, step, AUGMENTATION)).tobytes() for step in range(9)}
    assert len(orders) == 9


def test_batches_of_augmented_images() -> None:
    """Through the data set: the draws belong to the place in the batch; crop and flip come last, normalisation too."""
    augmentation = Augmentation(
        flip=1.0, jitter=Jitter(brightness=0.5), resized_crop=ResizedCrop((1.0, 1.0), (7 / 9, 7 / 9))
    )
    assert augmentation.random
    images, labels, stream = COLOURED, np.arange(6), Stream(2, 3, AUGMENTATION)
    data = ImageDataset(images, labels, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), augmentation)
    batch, classes = data.batch(np.array([4, 1]), stream)
    np.testing.assert_array_equal(classes, [4, 1])
    changed = jitter(images[[4, 1]], Jitter(brightness=0.5), stream)  # the whole image is the only window that fits
    expected = (changed[:, :, ::-1] / np.float32(255) - data.mean) / data.std
    np.testing.assert_allclose(batch, expected.transpose(0, 3, 1, 2), rtol=1e-5, atol=1e-6)


def test_transforms_of_single_images() -> None:
    """Under torchvision's names: with bounds that leave nothing to chance they do what torchvision's do."""
    manual_seed(0)
    image = COLOURED[0]
    torch.manual_seed(0)
    pairs: list[tuple[Any, Any]] = [
        (T.ColorJitter(brightness=(0.7, 0.7)), reference_transforms.ColorJitter(brightness=(0.7, 0.7))),
        (T.ColorJitter(contrast=(1.4, 1.4)), reference_transforms.ColorJitter(contrast=(1.4, 1.4))),
        (T.ColorJitter(saturation=(0.0, 0.0)), reference_transforms.ColorJitter(saturation=(0.0, 0.0))),
        (T.ColorJitter(hue=(0.2, 0.2)), reference_transforms.ColorJitter(hue=(0.2, 0.2))),
        (T.RandomAdjustSharpness(1.7, p=1.0), reference_transforms.RandomAdjustSharpness(1.7, p=1.0)),
        (T.RandomAdjustSharpness(1.7, p=0.0), reference_transforms.RandomAdjustSharpness(1.7, p=0.0)),
    ]
    for mine, expected in pairs:
        difference = np.abs(mine(image).astype(int) - expected(to_torch(image)).numpy().transpose(1, 2, 0))
        assert difference.max() <= 1, mine
    assert T.ColorJitter(0.4, 0.4, 0.4, 0.1).brightness == (0.6, 1.4)
    assert T.ColorJitter(brightness=3).brightness == (0.0, 4.0)
    np.testing.assert_array_equal(T.ColorJitter()(image), image)
    jittered = T.ColorJitter(0.4, 0.4, 0.4, 0.1)
    assert len({jittered(image).tobytes() for _ in range(6)}) == 6
    crop = T.RandomResizedCrop((5, 4))
    assert crop(image).shape == (5, 4, 3)
    assert crop(GREY[0, :, :, 0]).shape == (5, 4)
    assert T.RandomResizedCrop(9)(Image.fromarray(image)).shape == (9, 9, 3)
    assert "scale=(0.08, 1.0)" in repr(crop)
    assert "hue=(-0.1, 0.1)" in repr(jittered)
    for transform in (crop, jittered, T.RandomAdjustSharpness(2.0)):
        with pytest.raises(DTypeError, match="before ToTensor"):
            transform(T.ToTensor()(image))


def test_reflected_borders() -> None:
    """The same windows as with zeros, the border mirrored as torchvision's pad does."""
    images, labels, stream = COLOURED, np.arange(6), Stream(4, 1, AUGMENTATION)
    index = np.array([5, 0, 3])
    windows = []
    for mode in ("constant", "reflect"):
        data = ImageDataset(images, labels, augmentation=Augmentation(crop_padding=2, flip=0.5, padding_mode=mode))
        windows.append(np.rint(data.batch(index, stream)[0] * 255).astype(np.uint8))
    for n, i in enumerate(index):
        whole = reference.pad(to_torch(images[i]), [2, 2, 2, 2], padding_mode="reflect").numpy()
        zeros = reference.pad(to_torch(images[i]), [2, 2, 2, 2]).numpy()
        places = [(r, c, flip) for r in range(5) for c in range(5) for flip in (1, -1)]
        found = [
            (r, c, f) for r, c, f in places if np.array_equal(zeros[:, r : r + 9, c : c + 7][:, :, ::f], windows[0][n])
        ]
        assert len(found) == 1
        r, c, flip = found[0]
        np.testing.assert_array_equal(whole[:, r : r + 9, c : c + 7][:, :, ::flip], windows[1][n])
    with pytest.raises(ArgumentError, match="padding_mode"):
        Augmentation(padding_mode="wrap")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ResizedCrop(scale=(0.5, 0.2)), ArgumentError, "scale as"),
        (lambda: ResizedCrop(ratio=(0.0, 1.0)), ArgumentError, "ratio as"),
        (lambda: Jitter(brightness=-0.1), ArgumentError, "brightness from 0"),
        (lambda: T.ColorJitter(brightness=-1), ArgumentError, "brightness as a number from 0"),
        (lambda: T.ColorJitter(hue=0.7), ArgumentError, "two bounds from -0.5 to 0.5"),
        (lambda: T.ColorJitter(contrast=(2, 1)), ArgumentError, "contrast as"),
        (lambda: T.RandomResizedCrop(0), ArgumentError, "a size of at least 1"),
        (lambda: T.RandomAdjustSharpness(-1), ArgumentError, "a factor of at least 0"),
        (lambda: Jitter(hue=0.6), ArgumentError, "hue from 0 to 0.5"),
        (lambda: ours.adjust_hue(COLOURED, np.full(6, 0.7)), ArgumentError, "factors from -0.5 to 0.5"),
        (lambda: ours.adjust_contrast(COLOURED, np.full(6, -1.0)), ArgumentError, "factors from 0"),
        (lambda: ours.adjust_brightness(COLOURED, np.ones(5)), ShapeError, "a factor for each of 6 images"),
        (lambda: ours.adjust_brightness(COLOURED.astype(float), np.ones(6)), DTypeError, "uint8"),
        (lambda: ours.adjust_sharpness(COLOURED[..., :2], np.ones(6)), ShapeError, "C = 1 or 3"),
        (lambda: resized_crop(COLOURED, *(np.full(6, 5),) * 4, (3, 3)), ArgumentError, "windows inside the height"),
        (lambda: resized_crop(COLOURED[0], *(np.zeros(9, int),) * 4, (3, 3)), ShapeError, "(N, H, W, C)"),
    ],
)  # fmt: skip
def test_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        make()
    assert message in str(raised.value)
