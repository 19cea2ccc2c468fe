"""Normalisation within one example: layer, group and instance norm, all three as batch norm of another shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minidl.autograd.base import T
from minidl.errors import ArgumentError, DTypeError, ShapeError
from minidl.ops.normalization import BatchNorm, batch_norm
from minidl.ops.promotion import require_float, same_dtype
from minidl.ops.reduction import mean
from minidl.ops.shape import sizes_of

__all__ = ["group_norm", "instance_norm", "layer_norm"]


def _normalized(x: Any, groups: int, eps: float) -> Any:
    """The elements, in logical order, as ``groups`` groups of one length, each with mean 0 and variance 1."""
    if not x.data.size:
        return x * 1.0
    rows = x.reshape(1, groups, -1)  # batch norm over a batch of one, with a channel for every group
    y = BatchNorm.apply(rows, None, None, None, None, momentum=0.0, epsilon=eps)
    return y.reshape(x.data.shape)


def _check(who: str, input: Any, weight: Any, bias: Any, shape: tuple[int, ...], eps: Any) -> None:
    require_float(who, input, weight, bias)
    same_dtype(who, input, weight, bias)
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None and t.data.shape != shape:
            raise ShapeError(
                who, expected=f"{name} of shape {shape} (input: {input.data.shape})", got=str(t.data.shape)
            )
    if isinstance(eps, bool) or not isinstance(eps, (int, float)) or eps < 0:
        raise ArgumentError(who, expected="eps of at least 0", got=repr(eps))


def _affine(y: Any, weight: Any, bias: Any, shape: tuple[int, ...]) -> Any:
    """y * weight + bias, both brought to ``shape`` first."""
    if weight is not None:
        y = y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)


def layer_norm(
    input: T, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-05
) -> T:
    """(x - mean) / sqrt(variance + eps) * weight + bias, with mean and biased variance over the last axes.

    input: (..., *normalized_shape); weight, bias: normalized_shape, or None (1 and 0). Raises ShapeError,
    ArgumentError, DTypeError. Source: torch.nn.functional.layer_norm; Ba et al. 2016.
    """
    require_float("layer_norm", input)
    last = sizes_of("layer_norm", (normalized_shape,))
    shape = input.data.shape
    if not last or shape[-len(last) :] != last:
        raise ShapeError("layer_norm", expected=f"an input whose last axes are {last}, at least one", got=str(shape))
    _check("layer_norm", input, weight, bias, last, eps)
    return _affine(_normalized(input, math.prod(shape[: -len(last)]), eps), weight, bias, last)


def group_norm(input: T, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-05) -> T:
    """(x - mean) / sqrt(variance + eps) * weight + bias, with mean and biased variance over each group of channels.

    input: (N, C, ...), C divisible by num_groups; weight, bias: (C,) or None (1 and 0). Raises ShapeError,
    ArgumentError, DTypeError. Source: torch.nn.functional.group_norm; Wu & He 2018.
    """
    require_float("group_norm", input)
    shape = input.data.shape
    if len(shape) < 2:
        raise ShapeError("group_norm", expected="input (N, C, ...)", got=str(shape))
    if isinstance(num_groups, bool) or not hasattr(num_groups, "__index__"):
        raise DTypeError("group_norm", expected="num_groups as an integer", got=repr(num_groups))
    if num_groups < 1 or shape[1] % num_groups:
        raise ArgumentError("group_norm", expected=f"num_groups that divide C={shape[1]}", got=repr(num_groups))
    _check("group_norm", input, weight, bias, shape[1:2], eps)
    y = _normalized(input, shape[0] * num_groups, eps)
    return _affine(y, weight, bias, (-1,) + (1,) * (len(shape) - 2))  # (C,) beside (N, C, ...)


def instance_norm(
    input: T,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-05,
) -> T:
    """(x - mean) / sqrt(variance + eps) * weight + bias, with mean and biased variance of every channel of every image.

    input: (N, C, ...) with at least one more axis; weight, bias: (C,) or None. The running statistics (C,), where
    given, move by ``momentum`` towards the mean over the batch of the images' own; without use_input_stats they are
    used. Raises ShapeError, ArgumentError, DTypeError. Source: torch.nn.functional.instance_norm; Ulyanov et al. 2016.
    """
    require_float("instance_norm", input)
    shape = input.data.shape
    if len(shape) < 3:
        raise ShapeError("instance_norm", expected="input (N, C, ...) with more axes", got=str(shape))
    _check("instance_norm", input, weight, bias, shape[1:2], eps)
    _check("instance_norm", input, running_mean, running_var, shape[1:2], eps)
    if (running_mean is None) != (running_var is None):
        raise ArgumentError("instance_norm", expected="both running statistics or neither", got="one of them")
    if not use_input_stats:
        if running_mean is None:
            raise ArgumentError("instance_norm", expected="running statistics without use_input_stats", got="None")
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    if math.prod(shape[2:]) == 1:
        raise ShapeError("instance_norm", expected="more than one value a channel and image", got=str(shape))
    if running_mean is not None:
        _move_statistics(input, running_mean, running_var, momentum)
    return _affine(_normalized(input, shape[0] * shape[1], eps), weight, bias, (-1,) + (1,) * (len(shape) - 2))


def _move_statistics(input: Any, running_mean: Any, running_var: Any, momentum: float) -> None:
    """Move the running statistics towards those of the images, with the unbiased variance, averaged over the batch."""
    images = input.detach().reshape(*input.data.shape[:2], -1)  # (N, C, ...) -> (N, C, L)
    for running, values in ((running_mean, mean(images, 2)), (running_var, images.var(2))):
        running.copy_(running.detach() * (1 - momentum) + mean(values, 0) * momentum)
