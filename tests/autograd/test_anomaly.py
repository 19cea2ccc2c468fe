"""detect_anomaly: the operation and the line where a NaN or infinity first appeared; notes on errors in backward."""

from __future__ import annotations

import inspect
import threading
from typing import Any

import pytest

import minidl
from minidl import nn
from minidl.autograd import Function, detect_anomaly
from minidl.errors import GraphError


def line_of(text: str) -> str:
    """file:line of the one line of this file that ends with a marker."""
    lines = inspect.getsource(inspect.getmodule(line_of)).splitlines()  # type: ignore[arg-type]
    (number,) = [i for i, line in enumerate(lines, 1) if line.endswith(f"# {text}")]
    return f"test_anomaly.py:{number}, in "


def values(*numbers: float) -> Any:
    return minidl.tensor(list(numbers), dtype=minidl.float64, requires_grad=True)


def notes(error: BaseException) -> str:
    return str(error) + "\n".join(getattr(error, "__notes__", ()))


def test_nan_of_forward_is_traced_to_its_line() -> None:
    x = values(1.0, 2.0)

    @detect_anomaly()
    def step() -> None:
        y = x * 2 - 3
        z = y.log()  # the logarithm
        (z * 5).sum().backward()

    with pytest.raises(GraphError, match=r"^backward: expected a finite tensor to start from, got NaN\.") as caught:
        step()
    assert "In forward, NaN first appeared in the result of Log, called with shapes (2,), at " in str(caught.value)
    assert line_of("the logarithm") in str(caught.value)
    assert "z = y.log()" in str(caught.value)


def test_infinity_of_forward_is_traced_to_its_line() -> None:
    x = values(0.0, 2.0)

    @detect_anomaly()
    def step() -> None:
        y = 1 / x  # the division
        minidl.autograd.grad(y.sum(), x)

    with pytest.raises(GraphError, match="got infinity") as caught:
        step()
    assert "infinity first appeared in the result of Div" in str(caught.value)
    assert line_of("the division") in str(caught.value)


def test_the_first_gradient_that_is_not_finite_is_named_with_its_forward_line() -> None:
    x = values(0.0, 4.0)

    @detect_anomaly()
    def step() -> None:
        y = x.sqrt()  # the root
        (y * 3).sum().backward()

    with pytest.raises(GraphError) as caught:
        step()
    assert str(caught.value).startswith(
        "Sqrt.backward: expected finite gradients, got infinity in the gradient of input 0. "
        "The forward of Sqrt was called with shapes (2,), at "
    )
    assert line_of("the root") in str(caught.value)
    assert not hasattr(caught.value, "__notes__")


def test_an_infinity_that_becomes_nan_in_backward_is_traced_to_forward() -> None:
    """The forward ends finite, and 0 * inf comes back."""
    x = values(0.0, 1.0)

    @detect_anomaly()
    def step() -> None:
        y = 1 / x  # hidden
        z = minidl.where(x > 0, y, 0.0)
        z.sum().backward()

    with pytest.raises(GraphError) as caught:
        step()
    assert "Div.backward" in str(caught.value)
    assert "infinity first appeared in the result of Div" in str(caught.value)
    assert line_of("hidden") in str(caught.value)


def test_infinities_of_masks_are_no_anomaly() -> None:
    q = minidl.randn(2, 3, 4, requires_grad=True)
    with detect_anomaly():
        nn.functional.scaled_dot_product_attention(q, q, q, is_causal=True).sum().backward()
    assert q.grad.isnan().any().item() is False


def test_a_network_of_the_library_is_named_by_its_own_line() -> None:
    net = minidl.models.LeNet()
    with minidl.no_grad():
        net.conv2.bias[0] = float("nan")
    with pytest.raises(GraphError) as caught, detect_anomaly():
        nn.functional.cross_entropy(net(minidl.randn(2, 3, 32, 32)), minidl.tensor([0, 1])).backward()
    assert "NaN first appeared in input 2 of Conv2d, called with shapes (2, 6, 14, 14), " in str(caught.value)
    assert "experiments.py" in str(caught.value)
    assert "self.relu(self.conv2(x))" in str(caught.value)


def test_the_infinity_of_a_mask_does_not_hide_a_nan() -> None:
    x = values(1.0, 2.0)

    @detect_anomaly()
    def step() -> None:
        masked = x + minidl.tensor([0.0, -float("inf")])
        y = masked - masked  # infinity minus infinity
        y.sum().backward()

    with pytest.raises(GraphError, match="NaN first appeared in the result of Sub") as caught:
        step()
    assert line_of("infinity minus infinity") in str(caught.value)


def test_without_check_nan_only_lines_are_noted() -> None:
    x = values(0.0, 4.0)
    with detect_anomaly(check_nan=False):
        x.sqrt().sum().backward()
    assert x.grad.tolist() == [float("inf"), 0.25]


def test_nothing_is_checked_outside_in_other_threads_and_after_an_error() -> None:
    def step() -> Any:
        x = values(0.0, 4.0)
        x.sqrt().sum().backward()
        return x.grad.tolist()

    expected = [float("inf"), 0.25]
    results: list[Any] = []
    with detect_anomaly():
        thread = threading.Thread(target=lambda: results.append(step()))
        thread.start()
        thread.join()
    assert results == [expected]
    with pytest.raises(GraphError), detect_anomaly():
        step()
    assert step() == expected
    with pytest.raises(GraphError, match="got infinity"):
        detect_anomaly()(step)()
    assert step() == expected


def test_detectors_nest() -> None:
    with detect_anomaly(), detect_anomaly(check_nan=False):
        values(0.0).sqrt().sum().backward()
    with pytest.raises(GraphError), detect_anomaly(check_nan=False), detect_anomaly():
        values(0.0).sqrt().sum().backward()


def test_a_captured_step_cannot_be_looked_at() -> None:
    def step(x: Any) -> Any:
        with detect_anomaly():
            return x * 2

    with pytest.raises(GraphError, match=r"detect_anomaly: .*eagerly"):
        minidl.capture(step)(minidl.ones(2))


def test_an_error_in_backward_carries_its_forward() -> None:
    x = values(1.0, 2.0)
    y = x * 2
    z = y * y
    y.mul_(3)
    with pytest.raises(GraphError, match="in-place operation wrote to it") as caught:
        z.sum().backward()
    assert "the forward of Mul was called with shapes (2,), (2,)" in notes(caught.value)
    assert "detect_anomaly() " not in notes(caught.value)
    assert "inside minidl.autograd.detect_anomaly()." in notes(caught.value)


def test_an_error_in_backward_carries_its_line_where_a_detector_noted_it() -> None:
    class Broken(Function):
        def forward(self, x: Any, stride: int) -> Any:
            self.stride = stride
            return x * 2

        def backward(self, grad: Any) -> Any:
            raise ZeroDivisionError("no way back")

    @detect_anomaly(check_nan=False)
    def step() -> None:
        y = Broken.apply(values(1.0, 2.0), stride=3)  # broken
        y.sum().backward()

    with pytest.raises(ZeroDivisionError, match="no way back") as caught:
        step()
    assert "the forward of Broken was called with shapes (2,) and stride=3, at " in notes(caught.value)
    assert line_of("broken") in notes(caught.value)


def test_a_gradient_of_the_wrong_shape_carries_its_forward() -> None:
    class Misshapen(Function):
        def forward(self, x: Any) -> Any:
            return x * 2

        def backward(self, grad: Any) -> Any:
            return grad[:1]

    with pytest.raises(ValueError, match=r"Misshapen.backward: .*\(2,\).*\(1,\)") as caught:
        Misshapen.apply(values(1.0, 2.0)).sum().backward()
    assert "the forward of Misshapen was called with shapes (2,)" in notes(caught.value)
