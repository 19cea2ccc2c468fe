"""Lesson 2: a convolution is a matrix product, step by step.

im2col writes every window of the image as a column; then one product with the filters, written as rows, computes all
outputs of all filters at once. Run it: ``python examples/lesson_im2col.py``.
"""

from __future__ import annotations

import numpy as np

import minidl
import minidl.nn.functional as F

Array = np.ndarray


def convolve_by_definition(x: Array, weight: Array) -> Array:
    """Step 0, the definition: seven loops. x (N, C, H, W), weight (O, C, kh, kw) -> (N, O, oh, ow)."""
    n_images, channels, height, width = x.shape
    filters, _, kh, kw = weight.shape
    oh, ow = height - kh + 1, width - kw + 1
    y = np.zeros((n_images, filters, oh, ow))
    for n in range(n_images):
        for o in range(filters):
            for i in range(oh):
                for j in range(ow):
                    for c in range(channels):
                        for r in range(kh):
                            for s in range(kw):
                                y[n, o, i, j] += weight[o, c, r, s] * x[n, c, i + r, j + s]
    return y


def im2col(x: Array, kh: int, kw: int) -> Array:
    """Step 1: every window as a column. (N, C, H, W) -> (C * kh * kw, N * oh * ow).

    The loops run over the kh * kw positions in the window, not over pixels: for each position all windows are taken at
    once, as a shifted view of the image.
    """
    n_images, channels, height, width = x.shape
    oh, ow = height - kh + 1, width - kw + 1
    columns = np.empty((channels, kh, kw, n_images, oh, ow))
    for r in range(kh):
        for s in range(kw):
            columns[:, r, s] = x[:, :, r : r + oh, s : s + ow].transpose(1, 0, 2, 3)  # (N, C, oh, ow) -> (C, N, oh, ow)
    return columns.reshape(channels * kh * kw, n_images * oh * ow)  # (C, kh, kw, N, oh, ow) -> (C*kh*kw, N*oh*ow)


def col2im(columns: Array, shape: tuple[int, ...], kh: int, kw: int) -> Array:
    """The way back: every element of a column is added where im2col had read it. Its exact adjoint."""
    n_images, channels, height, width = shape
    oh, ow = height - kh + 1, width - kw + 1
    parts = columns.reshape(channels, kh, kw, n_images, oh, ow)  # (C*kh*kw, N*oh*ow) -> (C, kh, kw, N, oh, ow)
    x = np.zeros(shape)
    for r in range(kh):
        for s in range(kw):
            x[:, :, r : r + oh, s : s + ow] += parts[:, r, s].transpose(1, 0, 2, 3)  # (C, N, oh, ow) -> (N, C, oh, ow)
    return x


def main() -> None:
    """Convolve in four ways and compare."""
    # A picture small enough to print: one image, one channel, 3 x 4; windows of 2 x 2.
    tiny = np.arange(12.0).reshape(1, 1, 3, 4)
    print("the image\n", tiny[0, 0])
    print("its 2 x 2 windows, one a column (6 windows of 4 elements)\n", im2col(tiny, 2, 2))
    print("the same, written back where it came from: corners once, edges twice, the inside four times its value")
    print(col2im(im2col(tiny, 2, 2), tiny.shape, 2, 2)[0, 0])

    # The real thing: 2 images, 3 channels, 5 filters of 3 x 3.
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((2, 3, 8, 9)), rng.standard_normal((5, 3, 3, 3))
    by_definition = convolve_by_definition(x, weight)

    # Step 2: filters as rows. Step 3: one product. Step 4: put the axes back in order.
    columns = im2col(x, 3, 3)  # (27, 2*6*7)
    rows = weight.reshape(5, 27)  # (O, C, kh, kw) -> (O, C*kh*kw)
    by_product = (
        (rows @ columns).reshape(5, 2, 6, 7).transpose(1, 0, 2, 3)
    )  # (O, N*oh*ow) -> (O, N, oh, ow) -> (N, O, ...)
    check("product against definition", by_product, by_definition)

    # Backward is two more products: with dY as rows (O, N*oh*ow), dW = dY @ columns^T and dColumns = W^T @ dY.
    gradient = rng.standard_normal(by_definition.shape)
    dy = gradient.transpose(1, 0, 2, 3).reshape(5, -1)  # (N, O, oh, ow) -> (O, N, oh, ow) -> (O, N*oh*ow)
    dweight = (dy @ columns.T).reshape(weight.shape)  # (O, C*kh*kw) -> (O, C, kh, kw)
    dx = col2im(rows.T @ dy, x.shape, 3, 3)

    # minidl does the same, tile by tile so that the columns never leave the processor's cache.
    tx, tw = minidl.tensor(x, requires_grad=True), minidl.tensor(weight, requires_grad=True)
    y = F.conv2d(tx, tw)
    y.backward(minidl.from_numpy(gradient))
    check("minidl against definition", y.detach().numpy(), by_definition)
    check("weight gradient by hand against minidl", dweight, tw.grad.numpy())
    check("input gradient by hand against minidl", dx, tx.grad.numpy())


def check(what: str, a: Array, b: Array) -> None:
    """Print the largest difference of two arrays; stop if it is more than rounding."""
    difference = float(np.abs(a - b).max())
    print(f"{what}: largest difference {difference:.1e}")
    if difference > 1e-12:
        raise SystemExit("the two disagree: one of them is wrong")


if __name__ == "__main__":
    main()
