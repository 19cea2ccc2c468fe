"""Augmentation of whole batches: random crop and horizontal flip, described by a record, done by one kernel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minidl import kernels
from minidl.backend.random import AUGMENTATION, Stream
from minidl.errors import ArgumentError

__all__ = ["Augmentation", "make_batch"]

_UNUSED = Stream(0, 0, AUGMENTATION)


@dataclass(frozen=True)
class Augmentation:
    """What is done at random to every training image before it is normalised.

    ``crop_padding``: pixels of zeros put around the image before a crop back to its size at a random place
    (0: no crop). ``flip``: probability in [0, 1] of a mirror image, left to right.
    Raises ArgumentError for a negative padding or a probability outside [0, 1].
    """

    crop_padding: int = 0
    flip: float = 0.0

    def __post_init__(self) -> None:
        padding = self.crop_padding
        if not isinstance(padding, (int, np.integer)) or isinstance(padding, bool) or padding < 0:
            raise ArgumentError("Augmentation", expected="crop_padding as an integer of at least 0", got=repr(padding))
        if not 0 <= self.flip <= 1:
            raise ArgumentError("Augmentation", expected="flip as a probability in [0, 1]", got=repr(self.flip))

    @property
    def random(self) -> bool:
        """Whether anything is drawn at all."""
        return self.crop_padding > 0 or self.flip > 0


def make_batch(
    images: np.ndarray,
    index: np.ndarray,
    augmentation: Augmentation,
    mean: np.ndarray,
    std: np.ndarray,
    stream: Stream | None = None,
) -> np.ndarray:
    """The chosen images, augmented and normalised: ``(pixel / 255 - mean) / std`` after crop and flip.

    images (M, H, W, C) uint8; index (N,) int64 with every entry in [0, M), not checked here; mean and std (C,)
    float32 in units of a pixel scaled to [0, 1]. Returns (N, C, H, W) float32. ``stream`` numbers the random
    draws of this batch and is needed only where the augmentation is random; same stream, same batch.
    As torchvision's RandomCrop(size, padding), RandomHorizontalFlip(p), ToTensor() and Normalize(mean, std).
    """
    if stream is None:
        if augmentation.random:
            raise ArgumentError("make_batch", expected="a stream for a random augmentation", got="None")
        stream = _UNUSED
    return kernels.augment_batch(
        images, index, augmentation.crop_padding, augmentation.flip, mean, std, stream.seed, stream.step, stream.site
    )
