// Special functions that NumPy lacks, element by element.

extern "C" __global__ void error_function(DENSE const real *__restrict__ x, DENSE real *__restrict__ y,
                                          long long size) {
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i < size) y[i] = erf(x[i]);
}

// The normal distribution function; erfc, not 1 + erf, of which little would be left far below 0.
__device__ real normal_distribution(real x) { return (real)0.5 * erfc(x * (real)-0.70710678118654752440); }

extern "C" __global__ void gelu_forward(DENSE const real *__restrict__ x, DENSE real *__restrict__ y, long long size) {
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i < size) y[i] = x[i] * normal_distribution(x[i]);
}

extern "C" __global__ void gelu_backward(DENSE const real *__restrict__ grad, DENSE const real *__restrict__ x,
                                         DENSE real *__restrict__ dx, long long size) {
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i >= size) return;
    real density = exp((real)-0.5 * x[i] * x[i]) * (real)0.39894228040143267794;
    dx[i] = grad[i] * (normal_distribution(x[i]) + x[i] * density);
}
