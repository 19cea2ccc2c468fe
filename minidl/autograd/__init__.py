"""Operations, the graph that they leave behind, and the pass back through it."""

from minidl.autograd.anomaly import detect_anomaly
from minidl.autograd.engine import backward, grad
from minidl.autograd.function import Function, once_differentiable
from minidl.autograd.gradcheck import gradcheck, gradgradcheck
from minidl.autograd.modes import enable_grad, is_grad_enabled, no_grad, set_grad_enabled

__all__ = [
    "Function",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "is_grad_enabled",
    "no_grad",
    "once_differentiable",
    "set_grad_enabled",
]
