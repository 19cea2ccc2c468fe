"""The table: which dialect a call takes, what importing costs, and that no kernel's bits depend on the threads."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numba
import numpy as np
import pytest

from minidl import kernels
from minidl.kernels.cpu import activation
from minidl.kernels.plain import activation as plain_activation
from minidl.kernels.plain import (
    dropout,
    layout,
    normalization,
    optimizer,
    optimizer_adagrad,
    optimizer_adamax,
    optimizer_asgd,
    optimizer_groups,
    pooling,
)

from .arrays import close, normal

# No cpu form: NumPy is as fast (tanh), or the kernel is rarely called (second order, the specification's own words).
PLAIN_ONLY = {"tanh_forward", "philox4x32", "random_words", "max_pool2d_gather", "im2col", "col2im"}


def test_every_kernel_has_its_dialects() -> None:
    for name, found in kernels.dialects().items():
        on_cpu = tuple(dialect for dialect in found if dialect != "cuda")  # shown where there is a GPU
        assert on_cpu == (("plain",) if name in PLAIN_ONLY else ("plain", "cpu")), name
        assert callable(getattr(kernels, name))


@pytest.mark.parametrize(
    ("dtype", "dialect"),
    [(np.float32, "cpu"), (np.float64, "cpu"), (np.float16, "plain"), (">f4", "plain"), (np.int64, "plain")],
)
def test_the_first_array_decides(dtype: Any, dialect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What dialect_of says is what runs: without its compiled function the cpu form fails, the plain one does not."""
    x = np.array([-1, 2], dtype=dtype)
    assert kernels.dialect_of("relu_forward", x) == dialect
    assert kernels.relu_forward(x).tolist() == [0, 2]
    monkeypatch.setattr(activation, "_piece", None)
    if dialect == "cpu":
        with pytest.raises(TypeError):
            kernels.relu_forward(x)
    else:
        assert kernels.relu_forward(x).tolist() == [0, 2]


def test_images_decide_for_augmentation_and_subclasses_stay_plain() -> None:
    assert kernels.dialect_of("augment_batch", np.zeros((1, 2, 2, 1), dtype=np.uint8)) == "cpu"
    assert kernels.dialect_of("augment_batch", np.zeros((1, 2, 2, 1))) == "plain"
    assert kernels.dialect_of("relu_forward", np.ma.zeros(3)) == "plain"
    assert kernels.dialect_of("tanh_forward", np.zeros(3)) == "plain"


def run(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.strip()


def test_importing_compiles_nothing() -> None:
    program = """
import gc, minidl
from numba.core.dispatcher import Dispatcher
print(sum(len(d.signatures) for d in gc.get_objects() if isinstance(d, Dispatcher)
          and d.py_func.__module__.startswith("minidl")))
"""
    assert run(program) == "0"


def test_without_numba_everything_is_plain() -> None:
    program = """
import sys
sys.modules["numba"] = None
import numpy
from minidl import kernels
assert all("cpu" not in found for found in kernels.dialects().values())
print(kernels.relu_forward(numpy.float32([-1, 2])))
"""
    assert run(program) == "[0. 2.]"


# Arrays of several pieces, so that two threads have something to share.
X, GRAD = (normal(6, 16, 34, 34, seed=seed, dtype=np.float32) for seed in (0, 1))
POOLED = normal(6, 16, 17, 17, seed=2, dtype=np.float32)
VECTOR = normal(16, seed=3, dtype=np.float32)
POSITIONS = np.random.default_rng(4).integers(0, 4, POOLED.shape).astype(np.uint8)
ROWS = normal(60, 1000, seed=5, dtype=np.float32)
PLAIN = SimpleNamespace()
for file in (
    plain_activation,
    dropout,
    layout,
    normalization,
    optimizer,
    optimizer_adagrad,
    optimizer_adamax,
    optimizer_asgd,
    optimizer_groups,
    pooling,
):
    vars(PLAIN).update(vars(file))
SQUARE = 2, 2
NONE, ONE = (0, 0), (1, 1)


def stepped(update: Callable[..., None], *arguments: Any) -> list[Any]:
    """What an in-place update makes of its arrays."""
    arrays = [np.abs(normal(70_001, seed=i, dtype=np.float32)) for i in range(4)]
    update(*arrays, *arguments)
    return arrays


def stepped_group(update: Callable[..., None], *arguments: Any, adam: bool = False) -> list[Any]:
    """What an in-place update of three parameters together makes of their arrays."""
    arrays: list[Any] = [[np.abs(normal(n, seed=i, dtype=np.float32)) for n in (70_001, 3, 5000)] for i in range(4)]
    if adam:
        arrays += [None, [np.full((), 2.0, np.float32) for _ in range(3)]]  # no maxima; counts of steps
    update(*arrays, *arguments, {})
    return [array for group in arrays if group is not None for array in group]


PARALLEL: dict[str, Callable[[Any], Any]] = {
    "relu_backward": lambda k: k.relu_backward(GRAD, X),
    "sigmoid_forward": lambda k: k.sigmoid_forward(X),
    "softmax_forward": lambda k: k.softmax_forward(ROWS, 1),
    "dropout_forward": lambda k: k.dropout_forward(X, 0.4, 1, 2, 1),
    "batch_norm_forward": lambda k: k.batch_norm_forward(X, VECTOR, VECTOR, 1e-5),
    "batch_norm_backward": lambda k: k.batch_norm_backward(GRAD, X, VECTOR, VECTOR, np.abs(VECTOR)),
    "channel_affine": lambda k: k.channel_affine(X, VECTOR, VECTOR),
    "max_pool2d_forward": lambda k: k.max_pool2d_forward(X, SQUARE, SQUARE, NONE, ONE, (17, 17)),
    "max_pool2d_backward": lambda k: k.max_pool2d_backward(POOLED, POSITIONS, X.shape, SQUARE, SQUARE, NONE, ONE),
    "overlapping max_pool2d_forward": lambda k: k.max_pool2d_forward(X, (3, 3), SQUARE, ONE, ONE, (17, 17)),
    "overlapping max_pool2d_backward": lambda k: k.max_pool2d_backward(
        POOLED, POSITIONS, X.shape, (3, 3), SQUARE, ONE, ONE
    ),
    "avg_pool2d_forward": lambda k: k.avg_pool2d_forward(X, (3, 3), SQUARE, ONE, (17, 17), True, None),
    "avg_pool2d_backward": lambda k: k.avg_pool2d_backward(POOLED, X.shape, (3, 3), SQUARE, ONE, True, None),
    "adaptive_avg_pool2d_forward": lambda k: k.adaptive_avg_pool2d_forward(X, (1, 1)),
    "contiguous": lambda k: k.contiguous(k.to_channels_last(X)),
    "sgd_update": lambda k: stepped(lambda p, g, m, _: k.sgd_update(p, g, m, 0.1, 0.9, 0, 0.1, True, False, False)),
    "adam_update": lambda k: stepped(k.adam_update, None, 0.1, 0.9, 0.99, 1e-8, 0.1, True, False, 3),
    "sgd_update_group": lambda k: stepped_group(
        lambda p, g, m, _, memo: k.sgd_update_group(p, g, m, 0.1, 0.9, 0, 0.1, True, False, (2,), memo)
    ),
    "adam_update_group": lambda k: stepped_group(
        k.adam_update_group, 0.1, 0.9, 0.99, 1e-8, 0.1, True, False, adam=True
    ),
    "adagrad_update": lambda k: stepped(lambda p, g, s, _: k.adagrad_update(p, g, s, 0.1, 0.1, 1e-8, 0.1, False, 3)),
    "rmsprop_update": lambda k: stepped(
        lambda p, g, s, b: k.rmsprop_update(p, g, s, None, b, 0.1, 0.9, 1e-8, 0.1, 0.5, True)
    ),
    "adadelta_update": lambda k: stepped(k.adadelta_update, 0.1, 0.9, 1e-8, 0.1, False),
    "adamax_update": lambda k: stepped(k.adamax_update, 0.1, 0.9, 0.99, 1e-8, 0.1, False, 3),
    "nadam_update": lambda k: stepped(k.nadam_update, 0.1, 0.9, 0.99, 1e-8, 0.1, True, True, 3, 0.8, 0.85, 0.5),
    "radam_update": lambda k: stepped(k.radam_update, 0.1, 0.9, 0.99, 1e-8, 0.1, False, False, 9),
    "asgd_update": lambda k: stepped(lambda p, g, a, _: k.asgd_update(p, g, a, 0.1, 0.5, 0.1, 0.1, False)),
}


@pytest.mark.parametrize("name", PARALLEL)
def test_over_many_pieces_the_bits_do_not_depend_on_the_threads_and_the_values_are_the_plain_ones(name: str) -> None:
    call = PARALLEL[name]
    before = numba.get_num_threads()
    results = []
    try:
        for threads in (1, numba.config.NUMBA_NUM_THREADS):
            numba.set_num_threads(threads)
            results.append(call(kernels))
    finally:
        numba.set_num_threads(before)
    one, many, plain = (r if isinstance(r, (tuple, list)) else [r] for r in (*results, call(PLAIN)))
    for got, again, expected in zip(one, many, plain):
        assert got.tobytes() == again.tobytes()
        assert got.dtype == expected.dtype
        close(got, expected, 2e-6)
