"""Kernels in NumPy, in textbook form: the specification that the fast dialects are held against."""
