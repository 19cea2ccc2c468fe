"""The kernels in CUDA C++, with the names and arguments of ``plain/``: sources in .cu files, and who launches them.

Activations lie in memory as (C, N, H, W) here: then a convolution's product of filters and columns is its result, with
nothing to be transposed. No kernel adds with atomics: the same input gives the same bits.
"""
