"""What the graph keeps alive, and that it lets go at once, with the cycle collector switched off."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl.autograd import Function, grad


@pytest.fixture(autouse=True)
def collector_off() -> Iterator[None]:
    """Only reference counts free memory in these tests."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def array_bytes() -> int:
    """The memory of all NumPy arrays that were made since tracemalloc started."""
    ours = tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([ours]).traces)


def leaf(*shape: int) -> minidl.Tensor:
    rng = np.random.default_rng(3)
    return minidl.from_numpy(rng.standard_normal(shape)).requires_grad_(True)


def image_loss(x: minidl.Tensor, w: minidl.Tensor) -> minidl.Tensor:
    """Every hot family once."""
    h = F.max_pool2d(F.relu(F.conv2d(x, w, padding=1)), 2)
    h = F.avg_pool2d(F.batch_norm(h, None, None, training=True), 2)
    h = F.dropout(F.leaky_relu(h), 0.3).tanh().sigmoid()
    logits = F.linear(h.flatten(1), minidl.ones(5, h.flatten(1).shape[1], dtype=minidl.float64))
    return F.cross_entropy(logits, minidl.tensor([1, 4])) + F.softmax(logits, 1).mean()


LOSSES: dict[str, Callable[[], minidl.Tensor]] = {
    "elementwise": lambda: ((leaf(40, 50) * 2 + 1).exp().clamp(max=3.0).abs().sqrt() / 3).mean(),
    "matmul": lambda: (leaf(40, 50) @ leaf(50, 30)).sum(),
    "shapes": lambda: minidl.cat([leaf(4, 50).reshape(50, 4), leaf(50, 3)], 1).transpose(0, 1)[1:3, ::2].sum(),
    "reductions": lambda: leaf(40, 50).max(dim=1).values.std() + leaf(40, 50).var() + leaf(4, 4).amax(),
    "images": lambda: image_loss(leaf(2, 3, 8, 8), leaf(4, 3, 3, 3)),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("ending", ["dropped", "backward", "retained"])
def test_no_cycle_is_left_behind(name: str, ending: str) -> None:
    """gc finds nothing to free when the loss is gone: no object of the graph lies in a cycle."""
    LOSSES[name]()  # first use may compile and cache
    gc.collect()
    loss = LOSSES[name]()
    if ending != "dropped":
        loss.backward(retain_graph=ending == "retained")
    gc.collect()  # nothing that is still alive counts
    assert gc.isenabled() is False
    del loss
    found = gc.collect()
    assert found == 0, f"{found} objects in cycles"


@pytest.mark.parametrize("name", LOSSES)
def test_memory_comes_back_when_the_loss_goes(name: str) -> None:
    LOSSES[name]().backward()
    tracemalloc.start()
    try:
        LOSSES[name]().backward()
        before = array_bytes()
        for _ in range(5):
            loss = LOSSES[name]()
            loss.backward()
        del loss
        grown = array_bytes() - before
    finally:
        tracemalloc.stop()
    assert grown == 0, f"{grown} bytes of arrays stayed"


def test_saved_arrays_go_with_the_loss() -> None:
    x = leaf(100, 100)
    y = x * 2
    loss = (y * y).sum()
    array = weakref.ref(y.data)
    del y
    assert array() is not None, "mul keeps its inputs"
    del loss
    assert array() is None


def test_saved_arrays_go_as_backward_passes() -> None:
    """In the middle of backward, what lies behind is already free."""
    alive: list[bool] = []
    arrays: list[weakref.ref[np.ndarray]] = []

    class Look(Function):
        def forward(self, x: np.ndarray) -> np.ndarray:
            return x * 1.0

        def backward(self, gradient: np.ndarray) -> np.ndarray:
            alive.extend(array() is not None for array in arrays)
            return gradient

    x = leaf(100, 100)
    y = Look.apply(x) * 3
    arrays.append(weakref.ref(y.data))
    loss = (y * y).sum()
    del y
    loss.backward()
    assert alive == [False]


def test_gradients_inside_the_graph_go_as_backward_passes() -> None:
    """A chain of n operations needs room for a few gradients, not for n."""
    x = leaf(200, 200)
    size = x.data.nbytes
    y = x
    for _ in range(30):
        y = y + 1.0
    loss = y.sum()
    del y
    tracemalloc.start()
    try:
        loss.backward()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 * size


def test_an_operation_without_need_keeps_nothing() -> None:
    x = leaf(50, 50)
    y = x * 2
    array = weakref.ref(y.data)
    z = y + 1  # addition needs no values
    del y
    assert array() is None
    assert z.requires_grad


def test_product_with_a_constant_keeps_only_the_constant() -> None:
    x = leaf(50, 50)
    y = x + 1
    c = minidl.ones(50, 50, dtype=minidl.float64)
    array = weakref.ref(y.data)
    z = y * c  # dz/dy needs c; c needs no gradient, so y is not needed
    del y
    assert array() is None
    assert z.requires_grad


def test_relu_and_conv_without_gradients_keep_nothing() -> None:
    x = minidl.ones(2, 3, 8, 8)
    w = minidl.ones(4, 3, 3, 3)
    F.relu(F.conv2d(x, w))  # while a kernel is compiled, Numba's compiler holds on to its arguments
    y = F.conv2d(x, w)
    z = F.relu(y)
    array = weakref.ref(y.data)
    del y
    assert array() is None
    assert not z.requires_grad


def test_no_grad_keeps_nothing() -> None:
    x = leaf(50, 50)
    with minidl.no_grad():
        y = x * x
        array = weakref.ref(y.data)
        z = y * y
    del y
    assert array() is None
    assert z.grad_fn is None


def test_the_node_does_not_hold_its_own_result() -> None:
    x = leaf(50, 50)
    y = x.exp()  # backward needs the result: the array is kept, the tensor is not
    node, tensor = y.grad_fn, weakref.ref(y)
    del y
    assert tensor() is None
    assert node is not None


def test_first_convolution_computes_no_input_gradient() -> None:
    """The image needs no gradient, so none is computed (and none is stored)."""
    from minidl import kernels

    calls: list[str] = []
    original = kernels.conv2d_input_gradient

    def counting(*args: object, **kwargs: object) -> np.ndarray:
        calls.append("input")
        return original(*args, **kwargs)

    x, w = minidl.ones(2, 3, 8, 8, dtype=minidl.float64), leaf(4, 3, 3, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "conv2d_input_gradient", counting)
        F.conv2d(x, w).sum().backward()
        assert calls == []
        x.requires_grad_(True)
        F.conv2d(x, w).sum().backward()
        assert calls == ["input"], "the patch must be seen, or this test proves nothing"


def test_second_order_graph_goes_too() -> None:
    x = leaf(30, 30)
    y = (x**3).sum()
    (g,) = grad(y, x, create_graph=True)
    array = weakref.ref(g.data)
    del y, g
    assert array() is None


def test_a_training_loop_does_not_grow() -> None:
    w = leaf(20, 20)
    x = minidl.from_numpy(np.random.default_rng(0).standard_normal((8, 20)))

    def step() -> None:
        loss = F.mse_loss((x @ w).tanh(), x)
        w.grad = None
        loss.backward()
        with minidl.no_grad():
            w.sub_(w.grad * 0.1)

    step()
    tracemalloc.start()
    try:
        step()
        before = array_bytes()
        for _ in range(50):
            step()
        grown = array_bytes() - before
    finally:
        tracemalloc.stop()
    assert grown == 0
