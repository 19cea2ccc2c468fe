"""Compile the Numba kernels into the cache, on the second core, while the first tests run on the first one.

Run by conftest.py as a process of its own: where the cache is cold the whole run is a third shorter. What the tests
need last comes first; whatever a test needs before it is here, the test compiles itself.
"""

from __future__ import annotations

import itertools

import numpy as np

from minidl import kernels


def compile_all(dtype: str) -> None:
    """Call every kernel once on arrays large enough for its parallel form, and once on small ones."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(dtype)

    for channels, filters in ((3, 4), (3, 6), (32, 32)):
        x, weight, grad = normal(8, channels, 16, 16), normal(filters, channels, 3, 3), normal(8, filters, 16, 16)
        for stride, part in ((1, grad), (2, grad[:, :, :8, :8])):
            geometry = {"stride": (stride, stride), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
            kernels.conv2d_forward(x, weight, None, **geometry)
            kernels.conv2d_input_gradient(part, weight, x.shape, **geometry)
            kernels.conv2d_weight_gradient(part, x, weight.shape, **geometry)
    kernels.gemm(normal(300, 300), normal(300, 300))
    for size in (300, 20):
        kernels.linear_relu_forward(normal(size, size), normal(size, size), normal(size))
        kernels.linear_backward(normal(size, size), normal(size, size), normal(size, size))
    window = {"kernel_size": (2, 2), "stride": (2, 2), "padding": (0, 0)}
    for images in (normal(16, 32, 32, 32), normal(2, 3, 6, 6)):
        half = (images.shape[2] // 2, images.shape[3] // 2)
        kernels.channel_sum(images)
        _, mean, _, inverse_std = kernels.batch_norm_forward(images, None, None, 1e-5)
        kernels.batch_norm_backward(images, images, None, mean, inverse_std)
        kernels.channel_affine(images, mean, mean)
        kernels.relu_backward(images, kernels.relu_forward(images))
        kernels.leaky_relu_backward(images, kernels.leaky_relu_forward(images, 0.1), 0.1)
        kernels.sigmoid_backward(images, kernels.sigmoid_forward(images))
        kernels.erf(images)
        pooled, positions = kernels.max_pool2d_forward(images, dilation=(1, 1), output_size=half, **window)
        kernels.max_pool2d_backward(pooled, positions, images.shape, dilation=(1, 1), **window)
        pooled, positions = kernels.max_pool2d_relu_forward(images, dilation=(1, 1), output_size=half, **window)
        kernels.max_pool2d_relu_backward(pooled, positions, images.shape, dilation=(1, 1), **window)
        kernels.relu_backward_sum(images, images)
        for pool, slope in itertools.product((1, 2), (None, 0.1)):
            y, mean, _, inverse_std = kernels.batch_norm_relu_forward(images, None, None, 1e-5, pool, slope)
            kernels.batch_norm_relu_backward(y, images, None, None, mean, inverse_std, pool, slope)
        means = {"count_include_pad": True, "divisor_override": None, **window}
        kernels.avg_pool2d_backward(
            kernels.avg_pool2d_forward(images, output_size=half, **means), images.shape, **means
        )
        kernels.adaptive_avg_pool2d_backward(kernels.adaptive_avg_pool2d_forward(images, (2, 3)), images.shape)
        kernels.dropout_forward(images, 0.5, 1, 1, 1)
        flat = images.reshape(-1)  # (N, C, H, W) -> (N * C * H * W,)
        kernels.sgd_update(flat, flat.copy(), flat.copy(), 0.1, 0.9, 0.0, 0.0, False, False, False)
        moments = flat.copy(), flat**2
        kernels.adam_update(flat, flat.copy(), *moments, None, 0.1, 0.9, 0.99, 1e-8, 0.0, False, False, 1)
        one, other = [flat], [flat.copy()]
        kernels.sgd_update_group(one, other, [flat.copy()], 0.1, 0.9, 0.0, 0.0, False, False, (), {})
        averages, steps = [[moment] for moment in moments], [np.zeros((), np.float32)]
        kernels.adam_update_group(one, other, *averages, None, steps, 0.1, 0.9, 0.99, 1e-8, 0.0, False, False, {})
    scores, target = normal(64, 10), np.zeros(64, np.int64)
    losses, probabilities = kernels.cross_entropy_forward(scores, target, None, -100, 0.0)
    kernels.cross_entropy_backward(losses, probabilities, target, None, -100, 0.0)
    kernels.log_softmax_forward(scores, 1)
    kernels.softmax_forward(scores, 1)


if __name__ == "__main__":
    for name in ("float64", "float32"):
        compile_all(name)
