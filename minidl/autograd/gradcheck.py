"""Numerical proof of a gradient: central differences along random directions, in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minidl.autograd.base import BaseTensor
from minidl.autograd.engine import grad
from minidl.autograd.modes import enable_grad, no_grad
from minidl.backend.arrays import asarray, device_of
from minidl.backend.random import Generator
from minidl.errors import DTypeError, GraphError

__all__ = ["gradcheck", "gradgradcheck"]


def _outputs(function: Callable[..., Any], inputs: Sequence[Any]) -> list[Any]:
    """The results of ``function`` that carry a gradient's dtype, as a list."""
    result = function(*inputs)
    results = result if isinstance(result, (tuple, list)) else [result]
    return [out for out in results if isinstance(out, BaseTensor) and out.data.dtype.kind == "f"]


def _normal(generator: Generator, like: Any) -> Any:
    return asarray(generator.host.standard_normal(like.shape), like.dtype, device_of(like))


def gradcheck(
    function: Callable[..., Any],
    inputs: Any,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    *,
    directions: int = 3,
    seed: int = 0,
) -> bool:
    """Whether backward agrees with central differences: <u, (f(x + eps v) - f(x - eps v)) / 2 eps> = <J^T u, v>.

    function: takes the inputs, gives a tensor or a tuple of tensors, of any shapes. inputs: a tensor or a sequence;
    those that require a gradient must be float64 leaves. u (one an output) and v (one an input) are random normal,
    drawn anew for each of ``directions`` trials, so that also operations whose gradients sum to zero (softmax, batch
    normalisation) are really checked. The function must be smooth at the inputs: no ties, no kinks within eps.

    Raises GraphError with both numbers where they differ (or returns False without ``raise_exception``), DTypeError for
    inputs that are not float64. Source: torch.autograd.gradcheck (its fast mode).
    """
    arguments = list(inputs) if isinstance(inputs, (tuple, list)) else [inputs]
    variables = [x for x in arguments if isinstance(x, BaseTensor) and x.requires_grad]
    if not variables:
        raise GraphError("gradcheck", expected="at least one input that requires a gradient", got="none")
    for x in variables:
        if x.data.dtype.itemsize != 8:
            raise DTypeError("gradcheck", expected="float64 inputs", got=str(x.data.dtype), hint="Use x.double().")
    generator = Generator(seed)
    for trial in range(directions):
        outputs = _outputs(function, arguments)
        cotangents = [_normal(generator, out.data) for out in outputs]
        directions_v = [_normal(generator, x.data) for x in variables]
        seeds = [out._make(u) for out, u in zip(outputs, cotangents)]
        carrying = [(out, s) for out, s in zip(outputs, seeds) if out.requires_grad]
        if not carrying:
            raise GraphError(
                "gradcheck", expected="an output that depends on the inputs", got="none that requires a gradient"
            )
        gradients = grad([o for o, _ in carrying], variables, [s for _, s in carrying], allow_unused=True)
        analytic = sum(float((g.data * v).sum()) for g, v in zip(gradients, directions_v) if g is not None)
        numeric = _central_difference(function, arguments, variables, directions_v, cotangents, eps)
        if not abs(analytic - numeric) <= atol + rtol * abs(numeric):
            if not raise_exception:
                return False
            raise GraphError(
                "gradcheck",
                expected=f"a directional derivative of {numeric:.10g} (central difference, trial {trial})",
                got=f"{analytic:.10g} from backward",
                hint="If the function has a kink or a tie near these inputs, move them away from it.",
            )
    return True


def _central_difference(
    function: Callable[..., Any],
    arguments: list[Any],
    variables: list[Any],
    directions: list[Any],
    cotangents: list[Any],
    eps: float,
) -> float:
    """<u, (f(x + eps v) - f(x - eps v))> / (2 eps), leaving the inputs as they were."""
    originals = [x.data for x in variables]
    values = []
    try:
        for sign in (1.0, -1.0):
            for x, original, v in zip(variables, originals, directions):
                x.data = original + sign * eps * v
            with no_grad():
                outputs = _outputs(function, arguments)
            values.append(sum(float((u * out.data).sum()) for u, out in zip(cotangents, outputs)))
    finally:
        for x, original in zip(variables, originals):
            x.data = original
    return (values[0] - values[1]) / (2 * eps)


def gradgradcheck(function: Callable[..., Any], inputs: Any, **options: Any) -> bool:
    """``gradcheck`` of the gradient itself: second-order derivatives with a random output gradient.

    function, inputs and options as for ``gradcheck``. Source: torch.autograd.gradgradcheck.
    """
    arguments = list(inputs) if isinstance(inputs, (tuple, list)) else [inputs]
    variables = [x for x in arguments if isinstance(x, BaseTensor) and x.requires_grad]
    generator = Generator(options.get("seed", 0) + 1)
    cotangents = [out._make(_normal(generator, out.data)) for out in _outputs(function, arguments)]

    def gradient(*values: Any) -> tuple[Any, ...]:
        with_graph = _outputs(function, values)
        pairs = [(out, u) for out, u in zip(with_graph, cotangents) if out.requires_grad]
        gradients = grad([o for o, _ in pairs], variables, [u for _, u in pairs], create_graph=True, allow_unused=True)
        return tuple(g for g in gradients if g is not None)

    return gradcheck(enable_grad()(gradient), arguments, **options)  # records also where gradcheck runs under no_grad
