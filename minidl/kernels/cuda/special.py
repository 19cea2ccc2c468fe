"""Launches the kernels of ``special.cu``; definitions in ``plain/special.py``."""

from __future__ import annotations

from typing import Any

from minidl.kernels.cuda.layout import dense, in_order_of
from minidl.kernels.cuda.shared import THREADS, blocks, empty_like, program

__all__ = ["erf", "gelu_backward", "gelu_forward"]

CUDA = program("special")


def _forward(kernel: str, x: Any) -> Any:
    x = dense(x)
    y = empty_like(x)
    CUDA.launch(kernel, blocks(x.size), THREADS, x, y, x.size)
    return y


def erf(x: Any) -> Any:
    return _forward("error_function", x)


def gelu_forward(x: Any) -> Any:
    return _forward("gelu_forward", x)


def gelu_backward(grad: Any, x: Any) -> Any:
    x = dense(x)  # its order, not the gradient's: what comes next in the graph has it too
    grad = in_order_of(x, grad)
    dx = empty_like(x)
    CUDA.launch("gelu_backward", blocks(x.size), THREADS, grad, x, dx, x.size)
    return dx
