"""A model exported, and run by onnxruntime beside minidl."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

import minidl
from minidl import nn

# Its warnings are of initializers that its own optimiser leaves over.
onnxruntime.set_default_logger_severity(3)


def exported(path: Path, model: nn.Module, *examples: Any, **options: Any) -> onnx.ModelProto:
    """What ``export`` wrote to a file, read again."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        minidl.onnx.export(model, examples, path, **options)
    return onnx.load(path)


def run(path: Path, *inputs: np.ndarray) -> list[np.ndarray]:
    """The file's outputs for some inputs, by onnxruntime."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    assert len(names) == len(inputs)
    return session.run(None, dict(zip(names, inputs)))


def compare(path: Path, model: nn.Module, *inputs: Any, tolerance: float = 1e-5) -> None:
    """onnxruntime gives for the file what minidl gives for the model in evaluation mode."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with minidl.no_grad():
        result = model(*inputs)
    for module, mode in modes:
        module.training = mode
    expected = [t.numpy() for t in (result if isinstance(result, tuple) else (result,))]
    found = run(path, *[t.numpy() for t in inputs])
    assert len(found) == len(expected)
    for ours, theirs in zip(expected, found):
        assert theirs.dtype == ours.dtype
        assert theirs.shape == ours.shape
        np.testing.assert_allclose(theirs, ours, rtol=tolerance, atol=tolerance * max(1.0, np.abs(ours).max()))


def unlike_new(model: nn.Module) -> nn.Module:
    """Every parameter and running statistic different, so that none can be taken for another."""
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_floating_point():
            with minidl.no_grad():
                tensor.copy_(minidl.rand(tensor.shape) + 0.5 if "running_var" in name else minidl.randn(tensor.shape))
    return model
