"""minidl: a deep-learning framework small enough to read in an afternoon, checked against PyTorch to the last digit."""

from minidl import autograd, data, models, nn, optim
from minidl._config import show_config
from minidl._factories import (
    arange,
    as_tensor,
    empty,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    tensor,
    zeros,
    zeros_like,
)
from minidl._tensor import Tensor
from minidl.autograd import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from minidl.backend import gpu
from minidl.backend.device import Device as device
from minidl.backend.dtypes import bool_ as bool
from minidl.backend.dtypes import float16, float32, float64, int8, int16, int32, int64, uint8
from minidl.backend.random import Generator, default_generator, manual_seed
from minidl.errors import ArgumentError, DeviceError, DTypeError, GraphError, ShapeError
from minidl.ops.activation import log_softmax, relu, sigmoid, softmax, tanh
from minidl.ops.arithmetic import add, div, maximum, minimum, mul, neg, pow, sub, where
from minidl.ops.comparison import allclose, eq, equal, ge, gt, isnan, le, lt, ne
from minidl.ops.elementwise import abs, clamp, cos, exp, log, sign, sin, sqrt
from minidl.ops.matmul import matmul
from minidl.ops.promotion import result_type
from minidl.ops.reduction import all, amax, amin, any, argmax, argmin, max, mean, min, std, sum, var
from minidl.ops.shape import (
    broadcast_to,
    cat,
    chunk,
    clone,
    flatten,
    flip,
    is_tensor,
    movedim,
    permute,
    reshape,
    split,
    squeeze,
    stack,
    transpose,
    unflatten,
    unsqueeze,
)

float = float32
double = float64
long = int64
int = int32

__version__ = "0.1.0"
