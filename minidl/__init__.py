"""minidl: a deep-learning framework small enough to read in an afternoon, checked against PyTorch to the last digit."""

from minidl import autograd, data, linalg, models, nn, optim, plot, train, utils
from minidl._config import show_config
from minidl._factories import (
    arange,
    as_tensor,
    asarray,
    empty,
    eye,
    from_dlpack,
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
from minidl.backend import gpu as cuda  # the same devices under torch's name
from minidl.backend.cublas import get_float32_matmul_precision, set_float32_matmul_precision
from minidl.backend.device import Device as device
from minidl.backend.dtypes import bool_ as bool
from minidl.backend.dtypes import float16, float32, float64, int8, int16, int32, int64, uint8
from minidl.backend.memory import keep_freed_memory
from minidl.backend.random import Generator, default_generator, manual_seed
from minidl.capture import capture
from minidl.errors import ArgumentError, DeviceError, DTypeError, GraphError, ShapeError
from minidl.ops.accumulation import cumsum, logsumexp, prod
from minidl.ops.activation import relu, tanh
from minidl.ops.activation_smooth import sigmoid
from minidl.ops.arithmetic import add, div, mul, neg, pow, sub
from minidl.ops.arrangement import flip, roll, tile, tril, triu
from minidl.ops.choice import maximum, minimum, where
from minidl.ops.comparison import allclose, eq, equal, ge, gt, isnan, le, lt, ne
from minidl.ops.elementwise import (
    abs,
    clamp,
    cos,
    erf,
    exp,
    expm1,
    floor,
    log,
    log1p,
    reciprocal,
    rsqrt,
    sign,
    sin,
    sqrt,
    square,
)
from minidl.ops.extrema import amax, amin, argmax, argmin, max, min
from minidl.ops.gather import gather
from minidl.ops.joining import cat, chunk, split, stack
from minidl.ops.linear_algebra import bmm, dot, einsum, mm, mv, outer
from minidl.ops.matmul import matmul
from minidl.ops.norms import norm
from minidl.ops.promotion import result_type
from minidl.ops.reduction import all, any, mean, std, sum, var
from minidl.ops.shape import (
    broadcast_to,
    clone,
    flatten,
    is_tensor,
    movedim,
    permute,
    ravel,
    reshape,
    squeeze,
    swapaxes,
    transpose,
    unflatten,
    unsqueeze,
)
from minidl.ops.softmax import log_softmax, softmax
from minidl.train.weights import load, save

float = float32
double = float64
long = int64
int = int32

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "DTypeError",
    "DeviceError",
    "Generator",
    "GraphError",
    "ShapeError",
    "Tensor",
    "abs",
    "add",
    "all",
    "allclose",
    "amax",
    "amin",
    "any",
    "arange",
    "argmax",
    "argmin",
    "as_tensor",
    "asarray",
    "autograd",
    "bmm",
    "bool",
    "broadcast_to",
    "capture",
    "cat",
    "chunk",
    "clamp",
    "clone",
    "cos",
    "cuda",
    "cumsum",
    "data",
    "default_generator",
    "device",
    "div",
    "dot",
    "double",
    "einsum",
    "empty",
    "enable_grad",
    "eq",
    "equal",
    "erf",
    "exp",
    "expm1",
    "eye",
    "flatten",
    "flip",
    "float",
    "float16",
    "float32",
    "float64",
    "floor",
    "from_dlpack",
    "from_numpy",
    "full",
    "full_like",
    "gather",
    "ge",
    "get_float32_matmul_precision",
    "gpu",
    "gt",
    "int",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_grad_enabled",
    "is_tensor",
    "isnan",
    "keep_freed_memory",
    "le",
    "linalg",
    "linspace",
    "load",
    "log",
    "log1p",
    "log_softmax",
    "logsumexp",
    "long",
    "lt",
    "manual_seed",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "mm",
    "models",
    "movedim",
    "mul",
    "mv",
    "ne",
    "neg",
    "nn",
    "no_grad",
    "norm",
    "ones",
    "ones_like",
    "optim",
    "outer",
    "permute",
    "plot",
    "pow",
    "prod",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "randperm",
    "ravel",
    "reciprocal",
    "relu",
    "reshape",
    "result_type",
    "roll",
    "rsqrt",
    "save",
    "set_float32_matmul_precision",
    "set_grad_enabled",
    "show_config",
    "sigmoid",
    "sign",
    "sin",
    "softmax",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "sub",
    "sum",
    "swapaxes",
    "tanh",
    "tensor",
    "tile",
    "train",
    "transpose",
    "tril",
    "triu",
    "uint8",
    "unflatten",
    "unsqueeze",
    "utils",
    "var",
    "where",
    "zeros",
    "zeros_like",
]
