"""Norms of vectors and matrices under the names of ``torch.linalg``."""

from minidl.ops.norms import linalg_norm as norm
from minidl.ops.norms import matrix_norm, vector_norm

__all__ = ["matrix_norm", "norm", "vector_norm"]
