"""How many windows fit: output sizes of convolution and pooling, along one axis, by PyTorch's rules."""

from __future__ import annotations

__all__ = ["adaptive_bounds", "conv_output_size", "pool_output_size"]


def conv_output_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """Output length of a convolution: floor((size + 2*padding - dilation*(kernel - 1) - 1) / stride) + 1 on one axis.

    The result is zero or negative where the dilated kernel is longer than the padded input; the caller refuses that.
    Source: the formula in torch.nn.Conv2d's documentation.
    """
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def pool_output_size(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """Output length of a pooling along one axis; with `ceil_mode` a last window may hang over the far end.

    The formula is conv_output_size's, rounded up instead of down if `ceil_mode`; but the last window must start inside
    the input or its left padding, otherwise it is dropped. Source: torch.nn.MaxPool2d's documentation.
    """
    if not ceil_mode:
        return conv_output_size(size, kernel, stride, padding, dilation)
    # -(-a // b) is a / b rounded up
    count = -(-(size + 2 * padding - dilation * (kernel - 1) - 1) // stride) + 1
    if (count - 1) * stride >= size + padding:  # the last window would start in the right padding
        count -= 1
    return count


def adaptive_bounds(size: int, output_size: int, i: int) -> tuple[int, int]:
    """Range (start, stop) of the inputs that output `i` of an adaptive pooling averages, along one axis.

    start = floor(i * size / output_size), stop = ceil((i + 1) * size / output_size); neighbouring ranges may overlap
    by one. Source: torch.nn.AdaptiveAvgPool2d.
    """
    return i * size // output_size, -(-(i + 1) * size // output_size)
