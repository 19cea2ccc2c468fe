"""Neighbours of a recorded step become one kernel call: what ``capture`` does with its list before the first replay.

Three patterns, each with what backward makes of it:

- convolution, ReLU and max pooling: the pooled result is clamped, and windows that ReLU silences are marked as dead, so
  that ReLU's result is neither stored nor read again; the bias's gradient is summed up over the pooled gradient alone.
- batch normalisation, (leaky) ReLU and, where windows of 2x2 cover the image, average pooling: one pass each after the
  statistics, in forward as in backward; where ReLU let the gradient through is computed again.
- convolution or linear layer and ReLU: clamped before it is stored; in backward the mask and the bias's gradient share
  a pass.

A pattern is taken only where nothing else looks at what it does not store. Sums over the batch in a bias's and in batch
normalisation's gradient are added in another order than eager's; everything else has eager's bits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from minidl import kernels
from minidl.kernels.plain.fused import MOST_TAPS
from minidl.ops.activation import LeakyReLU, LeakyReLUGradient, ReLU, ReLUGradient
from minidl.ops.conv import Conv2d
from minidl.ops.matmul import ChannelSum, Linear
from minidl.ops.normalization import BatchNorm, BatchNormGradient, update_statistics
from minidl.ops.pooling import AvgPool2d, AvgPool2dGradient, MaxPool2d, MaxPool2dScatter

__all__ = ["Fused", "fuse"]


class Fused:
    """A step made of neighbours: places of its inputs and results, and the function between them."""

    __slots__ = ("function", "inputs", "outputs", "release")

    def __init__(self, function: Callable[..., Any], inputs: Iterable[int], outputs: Iterable[int]) -> None:
        self.function, self.inputs, self.outputs = function, tuple(inputs), tuple(outputs)
        self.release: list[int] = []

    def run(self, values: list[Any], streams: list[Any]) -> None:
        results = self.function(*[values[i] for i in self.inputs])
        if len(self.outputs) == 1:
            values[self.outputs[0]] = results[0] if type(results) is tuple else results
        else:
            for i, result in zip(self.outputs, results):
                values[i] = result

    def touches(self) -> list[int]:
        return [*self.inputs, *self.outputs]


class _Steps:
    """A recorded list: who makes what stands at a place, and who else touches it; and the changes so far."""

    def __init__(self, steps: list[Any], kept: set[int], absent: set[int]) -> None:
        self.steps, self.kept, self.absent = steps, kept, absent
        self.maker: dict[int, int] = {}
        self.readers: defaultdict[int, list[int]] = defaultdict(list)
        for number, step in enumerate(steps):
            outputs = getattr(step, "outputs", [])
            made = {*outputs, *[place for _, place in getattr(step, "saved", [])]}
            for place in made:
                self.maker[place] = number
            for place in dict.fromkeys(step.touches()):
                if place not in made:
                    self.readers[place].append(number)
        self.changed: dict[int, Fused | None] = {}

    def kind(self, number: int | None) -> Any:
        """The operation of a step that is one and has not been fused yet; else None."""
        if number is None or number in self.changed:
            return None
        return type(getattr(self.steps[number], "node", None))

    def made_by(self, place: int, kind: type) -> int | None:
        """The number of the operation of this kind whose first result stands at a place."""
        number = self.maker.get(place)
        if number is None or self.kind(number) is not kind or self.steps[number].outputs[0] != place:
            return None
        return number

    def only_for(self, place: int, *readers: int | None) -> bool:
        """Whether nothing but these steps ever looks at a place."""
        return place not in self.kept and self.readers[place] == sorted(r for r in readers if r is not None)

    def reader(self, place: int, kind: type) -> int | None:
        """The only operation of this kind that reads a place."""
        found = [number for number in self.readers[place] if self.kind(number) is kind]
        return found[0] if len(found) == 1 else None

    def mask_of(self, place: int, kind: type = ReLUGradient) -> int | None:
        """The only gradient of ReLU or LeakyReLU whose mask is made of what stands at a place."""
        number = self.reader(place, kind)
        return number if number is not None and place in self.steps[number].variable.values() else None

    def same(self, place: int, other: int) -> bool:
        """Whether two places hold the same."""
        return place == other or (place in self.absent and other in self.absent)

    def bias_sum(self, place: int) -> int | None:
        """The channel sum of what stands at a place."""
        return self.reader(place, ChannelSum)

    def replace(self, number: int, function: Callable[..., Any], inputs: Iterable[int], outputs: Iterable[int]) -> None:
        self.changed[number] = Fused(function, inputs, outputs)

    def remove(self, *numbers: int | None) -> None:
        self.changed.update({number: None for number in numbers if number is not None})


def fuse(steps: list[Any], kept: set[int], absent: set[int]) -> list[Any]:
    """The same steps, neighbours made one.

    kept: places that must hold what they would hold without; absent: places of None.
    """
    graph = _Steps(steps, kept, absent)
    for number in range(len(steps)):
        if graph.kind(number) is ReLU:
            _ = _pool_after(graph, number) or _normalization_before(graph, number) or _product_before(graph, number)
        elif graph.kind(number) is LeakyReLU:
            _normalization_before(graph, number)
    for number in range(len(steps)):
        if graph.kind(number) is ReLUGradient:
            _mask_and_sum(graph, number)
    changed = [graph.changed.get(number, step) for number, step in enumerate(steps)]
    return [step for step in changed if step is not None]


def _pool_after(graph: _Steps, relu: int) -> bool:
    """ReLU, then max pooling; and the convolution in front of them."""
    (x,), (z,) = graph.steps[relu].inputs, graph.steps[relu].outputs
    pool, mask = graph.reader(z, MaxPool2d), graph.mask_of(z)
    if pool is None or not graph.only_for(z, pool, mask):
        return False
    y, positions = graph.steps[pool].outputs
    window = graph.steps[pool].options
    scatter = graph.reader(positions, MaxPool2dScatter)
    if window["kernel_size"][0] * window["kernel_size"][1] > MOST_TAPS or not graph.only_for(positions, scatter):
        return False
    if (mask is None) != (scatter is None):
        return False
    if mask is not None and scatter is not None:
        unpooled, (dx,) = graph.steps[scatter].outputs[0], graph.steps[mask].outputs
        if graph.steps[mask].inputs != [unpooled] or not graph.only_for(unpooled, mask):
            return False
        total = graph.bias_sum(dx)
        outputs = [dx] if total is None else [dx, graph.steps[total].outputs[0]]
        function = partial(kernels.max_pool2d_relu_backward, **graph.steps[scatter].options)
        graph.replace(mask, function, [graph.steps[scatter].inputs[0], positions], outputs)
        graph.remove(scatter, total)
    conv = graph.made_by(x, Conv2d)
    if conv is not None and graph.only_for(x, relu):
        function = partial(kernels.conv2d_pool_relu_forward, **graph.steps[conv].options, window=window)
        graph.replace(pool, function, graph.steps[conv].inputs, [y, positions])
        graph.remove(conv)
    else:
        graph.replace(pool, partial(kernels.max_pool2d_relu_forward, **window), [x], [y, positions])
    graph.remove(relu)
    return True


def _normalization_before(graph: _Steps, relu: int) -> bool:
    """Batch normalisation, then (leaky) ReLU, then average pooling where it fits; in a step that has a backward."""
    (y,), (z,) = graph.steps[relu].inputs, graph.steps[relu].outputs
    norm, slope = graph.made_by(y, BatchNorm), graph.steps[relu].options.get("slope")
    # ReLU's mask is made of its result, the leaky one's of what stands before it.
    mask = graph.mask_of(z) if slope is None else graph.mask_of(y, LeakyReLUGradient)
    readers = ((relu,), (mask,)) if slope is None else ((relu, mask), ())  # of y and of z, if all is as it should be
    if norm is None or mask is None or not graph.only_for(y, *readers[0]):
        return False
    (masked,), (incoming,) = graph.steps[mask].outputs, graph.steps[mask].inputs
    gradient = graph.reader(masked, BatchNormGradient)
    if gradient is None or not graph.only_for(masked, gradient):
        return False
    x, weight, bias, *_ = graph.steps[norm].inputs
    saved = [place for _, place in graph.steps[norm].saved]  # mean and inverse standard deviation
    if not all(map(graph.same, graph.steps[gradient].inputs, [masked, x, weight, *saved])):
        return False
    if any(hasattr(graph.steps[n], "target") for place in (x, weight, bias) for n in graph.readers[place]):
        return False  # written to in place: the mask would not come out as it was
    pool, spread, size, result = None, None, 1, z
    pooling, spreading = graph.reader(z, AvgPool2d), graph.made_by(incoming, AvgPool2dGradient)
    if pooling is not None and spreading is not None and graph.only_for(z, pooling, *readers[1]):
        window = graph.steps[spreading].options
        covered = tuple(2 * n for n in graph.steps[pooling].options["output_size"])
        plain = {"kernel_size": (2, 2), "stride": (2, 2), "padding": (0, 0), "divisor_override": None}
        fits = all(window[name] == value for name, value in plain.items()) and window["input_shape"][2:] == covered
        if fits and graph.only_for(incoming, mask):
            pool, spread, size, result = pooling, spreading, 2, graph.steps[pooling].outputs[0]
            incoming = graph.steps[spreading].inputs[0]

    forward = partial(_normalize, pool=size, slope=slope, **graph.steps[norm].options)
    graph.replace(norm, forward, graph.steps[norm].inputs, [result, *saved])
    outputs = list(graph.steps[gradient].outputs)
    total = graph.bias_sum(outputs[0])
    if total is not None:
        outputs.append(graph.steps[total].outputs[0])
    backward = partial(kernels.batch_norm_relu_backward, pool=size, slope=slope)
    graph.replace(gradient, backward, [incoming, x, weight, bias, *saved], outputs)
    graph.remove(relu, pool, mask, spread, total)
    return True


def _normalize(
    x: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    momentum: float,
    epsilon: float,
    pool: int,
    slope: float | None,
) -> tuple[Any, Any, Any]:
    """BatchNorm's forward with its rectifier and pooling: the result, and the statistics that backward needs."""
    y, mean, variance, inverse_std = kernels.batch_norm_relu_forward(x, weight, bias, epsilon, pool, slope)
    update_statistics(running_mean, running_var, mean, variance, x.size // x.shape[1], momentum)
    return y, mean, inverse_std


def _product_before(graph: _Steps, relu: int) -> bool:
    """Convolution or linear layer, then ReLU."""
    (y,), (z,) = graph.steps[relu].inputs, graph.steps[relu].outputs
    if not graph.only_for(y, relu):
        return False
    conv, linear = graph.made_by(y, Conv2d), graph.made_by(y, Linear)
    if conv is not None:
        function = partial(kernels.conv2d_relu_forward, **graph.steps[conv].options)
        graph.replace(conv, function, graph.steps[conv].inputs, [z])
    elif linear is not None:
        graph.replace(linear, kernels.linear_relu_forward, graph.steps[linear].inputs, [z])
    else:
        return False
    graph.remove(relu)
    return True


def _mask_and_sum(graph: _Steps, mask: int) -> None:
    """ReLU's gradient, then the sum that a bias receives."""
    step = graph.steps[mask]
    total = graph.bias_sum(step.outputs[0])
    if total is not None:
        outputs = [step.outputs[0], graph.steps[total].outputs[0]]
        graph.replace(mask, kernels.relu_backward_sum, [step.inputs[0], int(step.variable["y"])], outputs)
        graph.remove(total)
