"""The checks that every case of the table gets, in float64 against torch unless they say otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

import minidl
import minidl.autograd
import minidl.nn.functional
from gradients.case import Case, Draw

__all__ = ["LAYOUTS", "Run", "first_order", "forward", "gradcheck", "relative_error", "second_order", "strided"]


def relative_error(ours: np.ndarray, theirs: np.ndarray) -> float:
    """max |ours - theirs| over max |theirs| (over 1 where that is 0); NaN and infinity must be in the same places."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.shape != theirs.shape:
        raise AssertionError(f"shape {ours.shape} where torch has {theirs.shape}")
    finite = np.isfinite(theirs)
    if not np.array_equal(np.isfinite(ours), finite) or not np.array_equal(
        ours[~finite], theirs[~finite], equal_nan=ours.dtype.kind == "f"
    ):
        return float("inf")
    if not finite.any():
        return 0.0
    scale = float(np.abs(theirs[finite]).max()) or 1.0
    return float(np.abs(ours[finite].astype(np.float64) - theirs[finite]).max()) / scale


class Run:
    """One execution of a case by one library: its input tensors and its outputs, always as a flat list."""

    def __init__(self, library: Any, case: Case, arrays: Sequence[np.ndarray], gradients: bool = True) -> None:
        self.library = library
        self.inputs = [library.from_numpy(array) for array in arrays]
        self.differentiable = [
            tensor
            for position, tensor in enumerate(self.inputs)
            if arrays[position].dtype.kind == "f" and position not in case.constant
        ]
        if gradients:
            for tensor in self.differentiable:
                tensor.requires_grad_(True)
        call = case.twin if case.twin is not None and library is torch else case.call
        result = call(library, *self.inputs)
        self.outputs = list(result) if isinstance(result, (tuple, list)) else [result]

    @property
    def smooth_outputs(self) -> list[Any]:
        """The outputs that depend differentiably on the inputs."""
        return [output for output in self.outputs if output.requires_grad]


def _arrays(case: Case, dtype: type = np.float64) -> list[np.ndarray]:
    arrays = [np.asarray(array) for array in case.inputs(Draw(case.name))]
    return [np.array(array, dtype=dtype if array.dtype.kind == "f" else None) for array in arrays]


def _output_gradients(outputs: list[Any], dtype: type = np.float64) -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    return [np.asarray(rng.standard_normal(tuple(output.shape)), dtype=dtype) for output in outputs]


def _numpy(tensor: Any) -> np.ndarray:
    tensor = tensor.detach()
    return np.asarray(tensor.numpy(force=True) if isinstance(tensor, torch.Tensor) else tensor.cpu().numpy())


def _dtype(tensor: Any) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def forward(case: Case, mine: Any = minidl) -> float:
    """Values, shapes, dtypes and requires_grad flags of all outputs. ``mine``: minidl, or minidl on another device.

    The error is that of the float64 outputs; float32 ones (functions of integers) are held to the bound for float32.
    """
    ours, theirs = (Run(library, case, _arrays(case)) for library in (mine, torch))
    assert len(ours.outputs) == len(theirs.outputs)
    worst = 0.0
    for our, their in zip(ours.outputs, theirs.outputs, strict=True):
        assert tuple(our.shape) == tuple(their.shape)
        assert _dtype(our) == _dtype(their)
        assert our.requires_grad == their.requires_grad
        assert our.device == ours.inputs[0].device
        if their.dtype == torch.float64:
            worst = max(worst, relative_error(_numpy(our), _numpy(their)))
        elif their.dtype.is_floating_point:
            assert relative_error(_numpy(our), _numpy(their)) <= case.float32
        else:
            np.testing.assert_array_equal(_numpy(our), _numpy(their))  # indices, masks: exactly
    return worst


def _backward(run: Run, gradients: list[np.ndarray]) -> list[np.ndarray]:
    """The gradients of all differentiable inputs through ``backward``; zeros where there is none."""
    tensors = [run.library.from_numpy(gradient) for gradient in gradients]
    if len(tensors) == 1:
        run.smooth_outputs[0].backward(tensors[0])
    else:
        total = sum((output * tensor).sum() for output, tensor in zip(run.smooth_outputs, tensors, strict=True))
        total.backward()
    return [_numpy(x.grad) if x.grad is not None else np.zeros(tuple(x.shape)) for x in run.differentiable]


def _worst(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> float:
    return max((relative_error(our, their) for our, their in zip(ours, theirs, strict=True)), default=0.0)


def first_order(case: Case, mine: Any = minidl) -> float:
    """Gradients of every input under a random, non-constant output gradient."""
    ours, theirs = (Run(library, case, _arrays(case)) for library in (mine, torch))
    gradients = _output_gradients(theirs.smooth_outputs)
    return _worst(_backward(ours, gradients), _backward(theirs, gradients))


def _double_backward(run: Run, gradients: list[np.ndarray]) -> list[np.ndarray]:
    """The first-order gradients, and d/d(inputs, output gradients) of <those, random directions>; zeros for None."""
    grad, rng = run.library.autograd.grad, np.random.default_rng(11)
    seeds = [run.library.from_numpy(gradient).requires_grad_(True) for gradient in gradients]
    first = grad(run.smooth_outputs, run.differentiable, seeds, create_graph=True, allow_unused=True)
    directions = [np.asarray(rng.standard_normal(tuple(x.shape))) for x in run.differentiable]
    products = [(g * run.library.from_numpy(v)).sum() for g, v in zip(first, directions, strict=True) if g is not None]
    total = sum(products)
    wanted = [*run.differentiable, *seeds]
    second = grad(total, wanted, allow_unused=True) if total.requires_grad else [None] * len(wanted)
    pairs = [*zip(first, run.differentiable, strict=True), *zip(second, wanted, strict=True)]
    return [np.zeros(tuple(x.shape)) if g is None else _numpy(g) for g, x in pairs]


def second_order(case: Case, mine: Any = minidl) -> float:
    """Gradients of gradients, with respect to the inputs and to the output gradient.

    And the gradients on the way there, which under ``create_graph`` may come from another form of the operation.
    """
    ours, theirs = (Run(library, case, _arrays(case)) for library in (mine, torch))
    gradients = _output_gradients(theirs.smooth_outputs)
    return _worst(_double_backward(ours, gradients), _double_backward(theirs, gradients))


def gradcheck(case: Case) -> bool:
    """The numerical check, along random directions, by minidl alone."""
    run = Run(minidl, case, _arrays(case))
    positions = [position for position, x in enumerate(run.inputs) if any(x is y for y in run.differentiable)]
    smooth_positions = [position for position, output in enumerate(run.outputs) if output.requires_grad]

    def smooth(*tensors: Any) -> Any:
        inputs = [minidl.from_numpy(array) for array in _arrays(case)]
        for position, tensor in zip(positions, tensors, strict=True):
            inputs[position] = tensor
        result = case.call(minidl, *inputs)
        outputs = list(result) if isinstance(result, (tuple, list)) else [result]
        return tuple(outputs[position] for position in smooth_positions)

    return bool(minidl.autograd.gradcheck(smooth, tuple(run.differentiable)))


def single_precision(case: Case, mine: Any = minidl) -> float:
    """float32 in, float32 out and float32 gradients, close to torch's float64."""
    ours, theirs = Run(mine, case, _arrays(case, np.float32)), Run(torch, case, _arrays(case))
    for our, their in zip(ours.outputs, theirs.outputs, strict=True):
        assert _dtype(our) == _dtype(their).replace("float64", "float32")
    gradients = _output_gradients(theirs.smooth_outputs)
    got = _backward(ours, [gradient.astype(np.float32) for gradient in gradients])
    for x in ours.differentiable:
        assert x.grad is None or _dtype(x.grad) == "float32"
    values = zip(ours.outputs, theirs.outputs, strict=True)
    worst = max(relative_error(_numpy(our), _numpy(their)) for our, their in values)
    return max(worst, _worst(got, _backward(theirs, gradients)))


def _sliced(array: np.ndarray) -> np.ndarray:
    """The same numbers as every second element of a larger array, with poison between them."""
    if array.ndim == 0:
        return array
    poison: Any = {"f": np.nan, "b": True}.get(array.dtype.kind, -1)
    wide = np.full((*array.shape[:-1], 2 * array.shape[-1]), poison, dtype=array.dtype)
    wide[..., ::2] = array
    return wide[..., ::2]


def _transposed(array: np.ndarray) -> np.ndarray:
    """The same numbers in Fortran order: every axis has another stride."""
    return np.array(array, order="F")


def _channels_last(array: np.ndarray) -> np.ndarray:
    """Four axes (N, C, H, W) over memory in (N, H, W, C) order; others as they are."""
    if array.ndim != 4:
        return array
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)  # (N, C, H, W) over NHWC memory


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sliced": _sliced,
    "transposed": _transposed,
    "channels_last": _channels_last,
}


def strided(case: Case, layout: Callable[[np.ndarray], np.ndarray], mine: Any = minidl) -> float:
    """Values and gradients when inputs and output gradients lie strangely in memory."""
    ours = Run(mine, case, [layout(array) for array in _arrays(case)])
    theirs = Run(torch, case, _arrays(case))
    gradients = _output_gradients(theirs.smooth_outputs)
    got, want = _backward(ours, [layout(gradient) for gradient in gradients]), _backward(theirs, gradients)
    values = [(_numpy(our), _numpy(their)) for our, their in zip(ours.outputs, theirs.outputs, strict=True)]
    return max(_worst([our for our, _ in values], [their for _, their in values]), _worst(got, want))


def has_four_axes(case: Case) -> bool:
    """Whether some input is (N, C, H, W)."""
    return any(np.ndim(array) == 4 for array in case.inputs(Draw(case.name)))
