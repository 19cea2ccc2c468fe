"""The operations of ``minidl.ops`` under the names and argument orders of ``torch.nn.functional``."""

from minidl.ops.activation import leaky_relu, log_softmax, relu, sigmoid, softmax, tanh
from minidl.ops.conv import conv2d
from minidl.ops.dropout import dropout, dropout2d
from minidl.ops.loss import cross_entropy, mse_loss, nll_loss
from minidl.ops.matmul import linear
from minidl.ops.normalization import batch_norm
from minidl.ops.padding import pad
from minidl.ops.pooling import adaptive_avg_pool2d, avg_pool2d, max_pool2d

__all__ = [
    "adaptive_avg_pool2d",
    "avg_pool2d",
    "batch_norm",
    "conv2d",
    "cross_entropy",
    "dropout",
    "dropout2d",
    "leaky_relu",
    "linear",
    "log_softmax",
    "max_pool2d",
    "mse_loss",
    "nll_loss",
    "pad",
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
]
