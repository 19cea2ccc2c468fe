"""Models as ONNX files, which onnxruntime and others run: ``minidl.onnx.export``."""

from minidl.onnx.exporting import export

__all__ = ["export"]
