"""The array mathematics: arrays in, arrays out, never a Tensor. This table chooses a dialect for every call.

Each kernel is written as a specification in ``plain/`` (NumPy, any strides, any float type); where it pays, again in
``cpu/`` (Numba) and in ``cuda/`` (CUDA C++), both for float32 and float64, in the file of the same name and with the
same arguments. A call takes the cpu form if its first argument is a NumPy array of a type that form accepts, the cuda
form if it is such an array on a GPU, else the plain one, which serves CuPy arrays too. What was found on this machine:
``dialects()``, shown by ``minidl.show_config()``.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar, cast

import numpy as np

from minidl.backend import gpu
from minidl.backend.arrays import is_gpu_array
from minidl.kernels.plain import (
    activation,
    augmentation,
    conv,
    decomposition,
    dropout,
    fused,
    layout,
    loss,
    normalization,
    optimizer,
    optimizer_adagrad,
    optimizer_adamax,
    optimizer_asgd,
    optimizer_groups,
    philox,
    pooling,
    special,
)
from minidl.kernels.plain import gemm as matrix  # its function of the same name is public here

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

_FLOATS: frozenset[np.dtype[Any]] = frozenset({np.dtype(np.float32), np.dtype(np.float64)})
_BYTES: frozenset[np.dtype[Any]] = frozenset({np.dtype(np.uint8)})
_WORDS: frozenset[np.dtype[Any]] = frozenset({np.dtype(np.uint32)})

_names: dict[str, dict[str, Callable[..., Any]]] = {}  # kernel -> dialect -> function
_accepted: dict[str, frozenset[np.dtype[Any]]] = {}  # kernel -> the types that its fast forms take as first argument


@functools.cache
def _has_numba() -> bool:
    """Whether the cpu dialect can run here; the first time it is asked, compilation is given a voice."""
    try:
        importlib.import_module("minidl.kernels.cpu.threads")
    except ImportError:  # Numba is missing, or too old for this NumPy
        return False
    importlib.import_module("minidl.kernels.cpu.notice").announce_compilation()
    return True


@functools.cache
def _cpu_file(file: str) -> ModuleType | None:
    """The Numba file of this name; None where there is none, where Numba is missing or where it finds no BLAS."""
    if not _has_numba():
        return None
    if importlib.util.find_spec(f"minidl.kernels.cpu.{file}") is None:
        return None
    if (
        file in ("conv", "decomposition", "gemm", "fused")
        and not importlib.import_module("minidl.kernels.cpu.blas").AVAILABLE
    ):
        return None
    return importlib.import_module(f"minidl.kernels.cpu.{file}")


@functools.cache
def _cuda_file(file: str) -> ModuleType | None:
    """What launches the CUDA kernels of this name; None where there are none. CuPy is not needed before a launch."""
    if importlib.util.find_spec(f"minidl.kernels.cuda.{file}") is None:
        return None
    return importlib.import_module(f"minidl.kernels.cuda.{file}")


def _kernel(plain: Kernel, accepted: frozenset[np.dtype[Any]] = _FLOATS, of_many: bool = False) -> Kernel:
    """The function that callers see: it looks at its first argument and hands all of them to a dialect.

    of_many: the first argument is a sequence of arrays, of which the first one counts.
    """
    name, file = plain.__name__, plain.__module__.rpartition(".")[2]
    cpu = getattr(_cpu_file(file), name, None)
    cuda = getattr(_cuda_file(file), name, None)
    forms: dict[str, Any] = {"plain": plain, "cpu": cpu, "cuda": cuda}
    _names[name] = {dialect: form for dialect, form in forms.items() if form is not None}
    _accepted[name] = accepted
    if cpu is None and cuda is None:
        return plain
    on_cpu, on_gpu = cpu or plain, cuda or plain

    @functools.wraps(plain)
    def choose(array: Any, *arguments: Any, **named: Any) -> Any:
        if type(array) is np.ndarray:
            form = on_cpu if array.dtype in accepted else plain
        else:
            form = on_gpu if is_gpu_array(array) and array.dtype in accepted else plain
        return form(array, *arguments, **named)

    @functools.wraps(plain)
    def choose_for_many(arrays: Any, *arguments: Any, **named: Any) -> Any:
        form = _names[name][dialect_of(name, arrays[0])]
        return form(arrays, *arguments, **named)

    return cast(Kernel, choose_for_many if of_many else choose)


def dialect_of(name: str, array: Any) -> str:
    """The dialect, "plain", "cpu" or "cuda", that kernel ``name`` takes when ``array`` is its first argument."""
    fast = "cpu" if type(array) is np.ndarray else "cuda" if is_gpu_array(array) else "plain"
    return fast if fast in _names[name] and array.dtype in _accepted[name] else "plain"


def dialects() -> dict[str, tuple[str, ...]]:
    """The dialects of every kernel that can run in this process: ``{"relu_forward": ("plain", "cpu"), ...}``.

    "cuda" is among them where there is a GPU.
    """
    usable = ("plain", "cpu", "cuda") if gpu.is_available() else ("plain", "cpu")
    return {name: tuple(dialect for dialect in found if dialect in usable) for name, found in _names.items()}


def blas_description() -> str:
    """Which BLAS library the kernels of the cpu dialect call, or why they call none; for ``show_config()``."""
    try:
        return importlib.import_module("minidl.kernels.cpu.blas").description()
    except ImportError as error:
        return f"none ({error}): products go through NumPy"


# activation.py
relu_forward = _kernel(activation.relu_forward)
relu_backward = _kernel(activation.relu_backward)
leaky_relu_forward = _kernel(activation.leaky_relu_forward)
leaky_relu_backward = _kernel(activation.leaky_relu_backward)
tanh_forward = _kernel(activation.tanh_forward)
tanh_backward = _kernel(activation.tanh_backward)
sigmoid_forward = _kernel(activation.sigmoid_forward)
sigmoid_backward = _kernel(activation.sigmoid_backward)
softmax_forward = _kernel(activation.softmax_forward)
log_softmax_forward = _kernel(activation.log_softmax_forward)

# augmentation.py
augment_batch = _kernel(augmentation.augment_batch, _BYTES)

# dropout.py, philox.py
dropout_forward = _kernel(dropout.dropout_forward)
philox4x32 = _kernel(philox.philox4x32, _WORDS)
random_words = _kernel(philox.random_words)

# layout.py
contiguous = _kernel(layout.contiguous)
to_channels_last = _kernel(layout.to_channels_last)

# loss.py
cross_entropy_forward = _kernel(loss.cross_entropy_forward)
cross_entropy_backward = _kernel(loss.cross_entropy_backward)

# normalization.py
batch_norm_forward = _kernel(normalization.batch_norm_forward)
batch_norm_backward = _kernel(normalization.batch_norm_backward)
channel_affine = _kernel(normalization.channel_affine)

# optimizer.py
sgd_update = _kernel(optimizer.sgd_update)
adam_update = _kernel(optimizer.adam_update)

# optimizer_groups.py
sgd_update_group = _kernel(optimizer_groups.sgd_update_group, of_many=True)
adam_update_group = _kernel(optimizer_groups.adam_update_group, of_many=True)

# optimizer_adagrad.py, optimizer_adamax.py, optimizer_asgd.py
adagrad_update = _kernel(optimizer_adagrad.adagrad_update)
rmsprop_update = _kernel(optimizer_adagrad.rmsprop_update)
adadelta_update = _kernel(optimizer_adagrad.adadelta_update)
adamax_update = _kernel(optimizer_adamax.adamax_update)
nadam_update = _kernel(optimizer_adamax.nadam_update)
radam_update = _kernel(optimizer_adamax.radam_update)
asgd_update = _kernel(optimizer_asgd.asgd_update)

# pooling.py
max_pool2d_forward = _kernel(pooling.max_pool2d_forward)
max_pool2d_backward = _kernel(pooling.max_pool2d_backward)
max_pool2d_gather = _kernel(pooling.max_pool2d_gather)
avg_pool2d_forward = _kernel(pooling.avg_pool2d_forward)
avg_pool2d_backward = _kernel(pooling.avg_pool2d_backward)
adaptive_avg_pool2d_forward = _kernel(pooling.adaptive_avg_pool2d_forward)
adaptive_avg_pool2d_backward = _kernel(pooling.adaptive_avg_pool2d_backward)

# conv.py, gemm.py
conv2d_forward = _kernel(conv.conv2d_forward)
conv2d_input_gradient = _kernel(conv.conv2d_input_gradient)
conv2d_weight_gradient = _kernel(conv.conv2d_weight_gradient)
im2col = _kernel(conv.im2col)
col2im = _kernel(conv.col2im)
gemm = _kernel(matrix.gemm)
matmul = _kernel(matrix.matmul)
channel_sum = _kernel(matrix.channel_sum)
linear_backward = _kernel(matrix.linear_backward)

# decomposition.py
svd = _kernel(decomposition.svd)

# special.py
erf = _kernel(special.erf)
gelu_forward = _kernel(special.gelu_forward)
gelu_backward = _kernel(special.gelu_backward)

# fused.py
conv2d_pool_relu_forward = _kernel(fused.conv2d_pool_relu_forward)
conv2d_relu_forward = _kernel(fused.conv2d_relu_forward)
linear_relu_forward = _kernel(fused.linear_relu_forward)
max_pool2d_relu_forward = _kernel(fused.max_pool2d_relu_forward)
max_pool2d_relu_backward = _kernel(fused.max_pool2d_relu_backward)
relu_backward_sum = _kernel(fused.relu_backward_sum)
batch_norm_relu_forward = _kernel(fused.batch_norm_relu_forward)
batch_norm_relu_backward = _kernel(fused.batch_norm_relu_backward)
