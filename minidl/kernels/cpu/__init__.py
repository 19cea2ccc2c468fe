"""Kernels compiled by Numba for float32 and float64 on the CPU. The only importer of numba."""
