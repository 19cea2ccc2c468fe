"""Operations written by the user, in torch's style and in minidl's, and the numerical check that finds a wrong one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import minidl
from minidl.autograd import Function, grad, gradcheck, gradgradcheck, once_differentiable
from minidl.errors import DTypeError, GraphError, ShapeError

VALUES = np.array([0.3, -0.8, 1.2])


def leaf(values: np.ndarray = VALUES) -> minidl.Tensor:
    return minidl.from_numpy(values.copy()).requires_grad_(True)


class Cube(Function):
    """Instance methods."""

    def forward(self, x: Any) -> Any:
        self.save_for_backward(x)
        return x * x * x

    def backward(self, gradient: Any) -> Any:
        (x,) = self.saved_tensors
        return gradient * x * x * 3


class StaticCube(Function):
    """Static methods with a context, as in torch."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        (x,) = ctx.saved_tensors
        return gradient * x * x * 3


class WrongCube(Cube):
    """Off by a factor that a careless check forgives."""

    def backward(self, gradient: Any) -> Any:
        (x,) = self.saved_tensors
        return gradient * x * x * 2.98


class ZeroSum(Function):
    """Softmax with a wrong gradient that vanishes under a constant output gradient."""

    def forward(self, x: Any) -> Any:
        e = np.exp(x - x.max())
        y = e / e.sum()
        self.save_for_backward(y)
        return y

    def backward(self, gradient: Any) -> Any:
        (y,) = self.saved_tensors
        return 2 * (y * (gradient - (gradient * y).sum()))


@pytest.mark.parametrize("operation", [Cube, StaticCube])
def test_both_styles(operation: type[Function]) -> None:
    x = leaf()
    y = operation.apply(x)
    np.testing.assert_allclose(y.detach().numpy(), VALUES**3)
    assert type(y) is minidl.Tensor
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 3 * VALUES**2)
    assert gradcheck(operation.apply, (leaf(),))
    assert gradgradcheck(operation.apply, (leaf(),))


@pytest.mark.parametrize("operation", [Cube, StaticCube])
def test_third_order_of_a_users_operation(operation: type[Function]) -> None:
    x = leaf()
    y = operation.apply(x).sum()
    for _ in range(2):
        (g,) = grad(y, x, create_graph=True)
        y = g.sum()
    (third,) = grad(y, x)
    np.testing.assert_allclose(third.numpy(), np.full(3, 6.0))


def test_gradcheck_finds_a_wrong_factor() -> None:
    with pytest.raises(GraphError, match=r"^gradcheck: "):
        gradcheck(WrongCube.apply, (leaf(),))
    assert gradcheck(WrongCube.apply, (leaf(),), raise_exception=False) is False


def test_gradcheck_finds_what_a_constant_output_gradient_would_miss() -> None:
    x = leaf()
    ZeroSum.apply(x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 0, atol=1e-15)  # looks right
    with pytest.raises(GraphError, match=r"^gradcheck: "):
        gradcheck(ZeroSum.apply, (leaf(),))


def test_gradcheck_finds_a_wrong_second_order() -> None:
    class Forgetful(Function):
        """The first order is right; the saved array is a copy, so its place in the graph is lost."""

        def forward(self, x: Any) -> Any:
            self.save_for_backward(x.copy())
            return x * x

        def backward(self, gradient: Any) -> Any:
            return gradient * self.saved_tensors[0] * 2

    assert gradcheck(Forgetful.apply, (leaf(),))
    with pytest.raises(GraphError):
        gradgradcheck(Forgetful.apply, (leaf(),))


def test_gradcheck_finds_a_missing_gradient() -> None:
    class Partial(Function):
        def forward(self, x: Any, y: Any) -> Any:
            return x + y

        def backward(self, gradient: Any) -> Any:
            return gradient, None

    with pytest.raises(GraphError):
        gradcheck(Partial.apply, (leaf(), leaf()))


def test_gradcheck_refuses_what_it_cannot_check() -> None:
    with pytest.raises(DTypeError, match=r"^gradcheck: .*float64.*float32"):
        gradcheck(Cube.apply, (minidl.tensor([1.0], requires_grad=True),))
    with pytest.raises(GraphError, match=r"^gradcheck: "):
        gradcheck(Cube.apply, (minidl.tensor([1.0], dtype=minidl.float64),))


def test_gradcheck_leaves_its_inputs_as_they_were() -> None:
    x = leaf()
    gradcheck(Cube.apply, (x,))
    np.testing.assert_array_equal(x.detach().numpy(), VALUES)
    assert x.grad is None


def test_gradcheck_of_several_results() -> None:
    class SumAndProduct(Function):
        def forward(self, x: Any, y: Any) -> Any:
            self.save_for_backward(x, y)
            return x + y, x * y

        def backward(self, total: Any, product: Any) -> Any:
            x, y = self.saved_tensors
            return total + product * y, total + product * x

    assert gradcheck(SumAndProduct.apply, (leaf(), leaf(VALUES[::-1])))
    assert gradgradcheck(SumAndProduct.apply, (leaf(), leaf(VALUES[::-1])))
    x, y = leaf(), leaf()
    SumAndProduct.apply(x, y)[1].sum().backward()  # the sum's gradient arrives as zeros
    np.testing.assert_array_equal(x.grad.numpy(), VALUES)


def test_needs_input_grad_and_none() -> None:
    seen: list[tuple[bool, ...]] = []

    class Scale(Function):
        def forward(self, x: Any, factor: Any, *, power: int = 1) -> Any:
            seen.append(self.needs_input_grad)
            self.factor, self.power = factor, power
            return x * factor**power

        def backward(self, gradient: Any) -> Any:
            return gradient * self.factor**self.power, None

    x = leaf()
    Scale.apply(x, 3.0, power=2).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [9.0, 9.0, 9.0])
    Scale.apply(minidl.ones(2), 3.0)
    assert seen == [(True, False), (False, False)]


def test_mark_non_differentiable() -> None:
    class WithIndex(Function):
        def forward(self, x: Any) -> Any:
            order = x.argsort()
            ranks = x * 0 + 1.0
            self.mark_non_differentiable(order, ranks)
            return x * 2, order, ranks

        def backward(self, gradient: Any, *_: Any) -> Any:
            return gradient * 2

    x = leaf()
    y, order, ranks = WithIndex.apply(x)
    assert y.requires_grad
    assert not order.requires_grad
    assert not ranks.requires_grad
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2.0, 2.0, 2.0])


def test_once_differentiable() -> None:
    class Once(Function):
        def forward(self, x: Any) -> Any:
            self.save_for_backward(x)
            return x * x

        @once_differentiable
        def backward(self, gradient: Any) -> Any:
            return gradient * self.saved_tensors[0] * 2

    x = leaf()
    Once.apply(x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * VALUES)
    with pytest.raises(GraphError, match="Once"):
        grad(Once.apply(x).sum(), x, create_graph=True)


def test_once_differentiable_in_torchs_style() -> None:
    class Once(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, gradient: Any) -> Any:
            return gradient * ctx.saved_tensors[0] * 2

    x = leaf()
    Once.apply(x).sum().backward()
    with pytest.raises(GraphError, match="Once"):
        grad(Once.apply(x).sum(), x, create_graph=True)


def test_backward_of_a_wrong_shape_or_number_is_refused() -> None:
    class WrongShape(Function):
        def forward(self, x: Any) -> Any:
            return x * 1.0

        def backward(self, gradient: Any) -> Any:
            return gradient.sum()

    class WrongNumber(Function):
        def forward(self, x: Any, y: Any) -> Any:
            return x + y

        def backward(self, gradient: Any) -> Any:
            return gradient

    with pytest.raises(ShapeError, match=r"WrongShape.*\(3,\)"):
        WrongShape.apply(leaf()).sum().backward()
    with pytest.raises(GraphError, match=r"WrongNumber.*2"):
        WrongNumber.apply(leaf(), leaf()).sum().backward()


def test_an_operation_needs_a_tensor() -> None:
    with pytest.raises(DTypeError, match=r"Cube.*ndarray"):
        Cube.apply(np.ones(2))


def test_saved_tensors_are_guarded() -> None:
    x = leaf()
    y = x * 1.0
    z = Cube.apply(y).sum()
    with minidl.no_grad():
        y.add_(1.0)
    with pytest.raises(GraphError, match=r"Cube.*in-place"):
        z.backward()


def test_a_result_that_is_an_input_keeps_its_gradient() -> None:
    """Forward that returns what came in: the result is a tensor of its own in the graph."""

    class Identity(Function):
        def forward(self, x: Any) -> Any:
            return x

        def backward(self, gradient: Any) -> Any:
            return gradient * 5

    x = leaf()
    y = Identity.apply(x)
    assert y is not x
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [5.0, 5.0, 5.0])


def test_the_gradient_that_comes_in_may_be_returned_twice() -> None:
    class Add(Function):
        def forward(self, x: Any, y: Any) -> Any:
            return x + y

        def backward(self, gradient: Any) -> Any:
            return gradient, gradient

    x = leaf()
    y = Add.apply(x, x)
    (y + x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [3.0, 3.0, 3.0])
    a, b = leaf(), leaf()
    Add.apply(a, b).backward(minidl.ones(3, dtype=minidl.float64))
    a.grad.add_(1.0)
    np.testing.assert_array_equal(b.grad.numpy(), [1.0, 1.0, 1.0])


def test_torchs_own_example_reads_the_same() -> None:
    """The Legendre polynomial of torch's tutorial on custom functions, in both libraries."""

    def legendre(library: Any) -> np.ndarray:
        class P3(library.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: Any) -> Any:
                ctx.save_for_backward(x)
                return 0.5 * (5 * x**3 - 3 * x)

            @staticmethod
            def backward(ctx: Any, gradient: Any) -> Any:
                (x,) = ctx.saved_tensors
                return gradient * 1.5 * (5 * x**2 - 1)

        x = library.from_numpy(VALUES.copy()).requires_grad_(True)
        (P3.apply(x) * library.from_numpy(VALUES)).sum().backward()
        return x.grad.numpy()

    np.testing.assert_allclose(legendre(minidl), legendre(torch), rtol=1e-14)
