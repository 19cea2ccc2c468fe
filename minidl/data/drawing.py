"""`shapes`: a data set that is drawn on the spot, so that a first training run needs no file and no network.

Every shape is a signed distance function f(u, v): negative inside, positive outside, near its edge the distance to
it; u and v are coordinates in which the shape has radius 1. They are evaluated for a few hundred images at a time.
Source of the idea: Inigo Quilez, "2D distance functions".
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minidl.data.images import ImageData, channel_statistics
from minidl.errors import ArgumentError

__all__ = ["shapes"]

_CHUNK = 250  # images drawn together: their coordinates fit in the cache


def shapes(size: int = 32, channels: int = 3, train: int = 10000, test: int = 2000, seed: int = 0) -> ImageData:
    """Ten classes of shapes, each of random place, size, tilt and colour on textured, noisy ground.

    size: height and width in pixels, at least 16. channels: 1 (grey) or 3 (RGB). train, test: numbers of images, at
    least 1; the classes are as equally frequent as can be. seed: integer of at least 0; same seed, same images, and
    the test images do not depend on ``train``. Returns an ImageData with x (N, size, size, channels) uint8.
    Raises ArgumentError for other values.
    """
    for name, value, least in (("size", size, 16), ("train", train, 1), ("test", test, 1), ("seed", seed, 0)):
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
            raise ArgumentError("shapes", expected=f"{name} as an integer of at least {least}", got=repr(value))
    if channels not in (1, 3):
        raise ArgumentError("shapes", expected="1 or 3 channels", got=repr(channels))
    random_train, random_test = np.random.default_rng(seed).spawn(2)
    x_train, y_train = _draw(random_train, train, size, channels)
    x_test, y_test = _draw(random_test, test, size, channels)
    mean, std = channel_statistics(x_train)
    return ImageData("shapes", x_train, y_train, x_test, y_test, tuple(_SHAPES), mean, std)


def _draw(random: np.random.Generator, count: int, size: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    labels = random.permutation(np.arange(count) % len(_SHAPES))
    images = np.empty((count, size, size, channels), np.uint8)
    for start in range(0, count, _CHUNK):
        part = slice(start, min(start + _CHUNK, count))
        images[part] = _draw_chunk(random, labels[part], size, channels)
    return images, labels.astype(np.int64)


def _draw_chunk(random: np.random.Generator, labels: np.ndarray, size: int, channels: int) -> np.ndarray:
    """The images (n, size, size, channels) of the classes ``labels`` (n,)."""

    def uniform(low: float, high: float, *axes: int) -> np.ndarray:
        return (low + (high - low) * random.random((len(labels), *axes), np.float32)).astype(np.float32)

    # Everything is measured in half images: the image reaches from -1 to 1 along x and y.
    axis = ((np.arange(size, dtype=np.float32) + 0.5) * 2 / size - 1).astype(np.float32)
    x, y = axis[None, None, :], axis[None, :, None]  # (1, 1, W) and (1, H, 1)
    radius = uniform(0.55, 0.8, 1, 1)  # (n, 1, 1)
    angle = uniform(-0.5, 0.5, 1, 1)  # radians
    reach = 0.95 - radius  # the shape stays inside the image
    dx, dy = x - reach * uniform(-1, 1, 1, 1), y - reach * uniform(-1, 1, 1, 1)  # (n, 1, W) and (n, H, 1)
    cos, sin = np.cos(angle) / radius, np.sin(angle) / radius
    u, v = cos * dx + sin * dy, cos * dy - sin * dx  # (n, H, W)

    distance = np.empty_like(u)
    for number, signed_distance in enumerate(_SHAPES.values()):
        chosen = labels == number
        distance[chosen] = signed_distance(u[chosen], v[chosen])
    # Inside 1, outside 0, between them a ramp one pixel wide.
    cover = np.clip(0.5 - distance * radius * (size / 2), 0, 1)

    # Ground and shape: a colour each, at least some contrast apart, and a wave of their own.
    ground = uniform(0.15, 0.85, 1, 1, channels)
    offset = uniform(0.25, 0.6, 1, 1, channels) * np.where(uniform(0, 1, 1, 1, 1) < 0.5, -1, 1).astype(np.float32)
    # Away from the border of the range that is nearer, or the colours would meet there.
    paint = np.where((ground + offset > 1) | (ground + offset < 0), ground - offset, ground + offset)
    image = ground + cover[..., None] * (paint - ground)
    waves = _wave(uniform, x, y, size) * (1 - cover) + _wave(uniform, x, y, size) * cover
    image += waves[..., None]
    image += (random.random(image.shape, np.float32) - np.float32(0.5)) * uniform(0.05, 0.25, 1, 1, 1)
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def _wave(uniform: Callable[..., np.ndarray], x: np.ndarray, y: np.ndarray, size: int) -> np.ndarray:
    """A plane wave of random direction, length, phase and strength over every image, (n, H, W)."""
    direction = uniform(0, 2 * np.pi, 1, 1)
    frequency = uniform(1, size / 5, 1, 1)  # radians per half image: from slow shading to ripples of ten pixels
    phase = frequency * np.cos(direction) * x + frequency * np.sin(direction) * y + uniform(0, 2 * np.pi, 1, 1)
    return uniform(0.02, 0.12, 1, 1) * np.sin(phase)


# The shapes. u and v are (n, H, W) float32; every result too.


def _circle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.hypot(u, v) - np.float32(0.85)


def _box(u: np.ndarray, v: np.ndarray, half_width: float, half_height: float) -> np.ndarray:
    return np.maximum(np.abs(u) - np.float32(half_width), np.abs(v) - np.float32(half_height))


def _square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return _box(u, v, 0.7, 0.7)


def _triangle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    # Equilateral: three half-planes at distance 1/2 from the centre; the sides lie symmetrically in u.
    return np.maximum(np.abs(u) * np.float32(np.sqrt(3) / 2) + v / 2, -v) - np.float32(0.5)


def _cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.minimum(_box(u, v, 0.95, 0.26), _box(u, v, 0.26, 0.95))


def _ring(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.abs(np.hypot(u, v) - np.float32(0.72)) - np.float32(0.2)


def _frame(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.abs(_box(u, v, 0.55, 0.55)) - np.float32(0.15)


def _bar(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return _box(u, v, 0.95, 0.26)


def _star(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    # Five points: fold the plane into one of ten equal sectors, where the edge is one straight line.
    sector = np.float32(2 * np.pi / 5)
    folded = np.abs((np.arctan2(v, u) + sector / 2) % sector - sector / 2)  # angle from the nearest point's ray
    r = np.hypot(u, v)
    # The line from the point (1, 0) to the inner corner of radius 0.42 at half a sector: its normal is (a, b).
    corner = 0.42 * np.exp(0.5j * float(sector))
    a, b = corner.imag, 1 - corner.real
    length = np.hypot(a, b)
    return r * (np.cos(folded) * np.float32(a / length) + np.sin(folded) * np.float32(b / length)) - np.float32(
        a / length
    )


def _crescent(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.maximum(np.hypot(u, v) - np.float32(0.9), np.float32(0.72) - np.hypot(u - np.float32(0.5), v))


def _heart(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    # A square of half side s on its corner, and a disc of radius s on each of its two upper sides; symmetric in u.
    s = np.float32(0.5)
    across, up = np.abs(u), v + np.float32(0.05)
    half = np.float32(np.sqrt(0.5))
    square = _box((across + up) * half, (across - up) * half, 0.5, 0.5)
    return np.minimum(square, np.hypot(across - s * half, up - s * half) - s)


_SHAPES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "cross": _cross,
    "ring": _ring,
    "frame": _frame,
    "bar": _bar,
    "star": _star,
    "crescent": _crescent,
    "heart": _heart,
}
