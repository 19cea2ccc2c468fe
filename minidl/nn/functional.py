"""The operations of ``minidl.ops`` under the names and argument orders of ``torch.nn.functional``."""

from minidl.ops.activation import leaky_relu, relu, tanh
from minidl.ops.activation_piecewise import hardswish, hardtanh, prelu, relu6
from minidl.ops.activation_smooth import elu, gelu, glu, logsigmoid, mish, selu, sigmoid, silu, softplus
from minidl.ops.attention import scaled_dot_product_attention
from minidl.ops.conv import conv2d
from minidl.ops.conv_axes import conv1d, conv3d, conv_transpose2d
from minidl.ops.dropout import dropout, dropout2d
from minidl.ops.embedding import embedding, one_hot
from minidl.ops.group_norm import group_norm, instance_norm, layer_norm
from minidl.ops.interpolation import interpolate
from minidl.ops.linear_algebra import bilinear
from minidl.ops.loss import cross_entropy
from minidl.ops.loss_likelihood import nll_loss
from minidl.ops.loss_probability import binary_cross_entropy, binary_cross_entropy_with_logits, kl_div
from minidl.ops.loss_regression import huber_loss, l1_loss, mse_loss, smooth_l1_loss
from minidl.ops.matmul import linear
from minidl.ops.normalization import batch_norm
from minidl.ops.norms import cosine_similarity, normalize
from minidl.ops.padding import pad
from minidl.ops.patches import fold, pixel_shuffle, unfold
from minidl.ops.pooling import avg_pool2d, max_pool2d
from minidl.ops.pooling_axes import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    avg_pool1d,
    max_pool1d,
)
from minidl.ops.softmax import log_softmax, softmax

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "bilinear",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose2d",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "dropout2d",
    "elu",
    "embedding",
    "fold",
    "gelu",
    "glu",
    "group_norm",
    "hardswish",
    "hardtanh",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "max_pool1d",
    "max_pool2d",
    "mish",
    "mse_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pixel_shuffle",
    "prelu",
    "relu",
    "relu6",
    "scaled_dot_product_attention",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "tanh",
    "unfold",
]
