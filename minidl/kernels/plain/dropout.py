"""Dropout: zero a random part of the activations and enlarge the rest, so that the expected value stays."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.plain.philox import random_words

__all__ = ["dropout_forward"]


def dropout_forward(x: Any, p: float, seed: int, step: int, site: int) -> Any:
    """y = x * keep / (1 - p), where an element is kept if its Philox word >= floor(p * 2**32); 0 <= p < 1.

    Elements are numbered in (N, H, W, C) order for 4-D arrays, in C order otherwise: by their logical place, so the
    mask does not depend on how x lies in memory. The gradient is the same function of the output's gradient, with
    the same ``seed``, ``step`` and ``site``: the mask is computed again, never stored.
    Srivastava et al. 2014, in the "inverted" form of ``torch.nn.functional.dropout``.
    """
    keep = random_words(seed, step, site, x.size) >= int(p * 2**32)
    if x.ndim == 4:
        batch, channels, height, width = x.shape
        keep = keep.reshape(batch, height, width, channels).transpose(0, 3, 1, 2)  # (N, H, W, C) -> (N, C, H, W)
    factor = keep.reshape(x.shape) * np.asarray(1 / (1 - p), dtype=x.dtype)
    return np.multiply(x, np.asarray(factor, like=x), out=np.empty_like(x))
