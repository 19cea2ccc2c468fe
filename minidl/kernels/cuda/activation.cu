// Activations, element by element, and softmax along an axis. Formulas in kernels/plain/activation.py.
//
// An elementwise kernel waits for memory, not for arithmetic. A thread takes four elements, a block's width apart:
// its four reads are on their way at once, and neighbouring threads read neighbouring numbers. The order of the
// elements does not matter, so arrays may lie in any order, as long as it is the same for all.
#define PER_THREAD 4
#define EACH_ELEMENT(i, size)                                                                    \
    _Pragma("unroll") for (int turn = 0; turn < PER_THREAD; ++turn)                              \
        if (long long i = ((long long)blockIdx.x * PER_THREAD + turn) * blockDim.x + threadIdx.x; i < (size))

extern "C" __global__ void relu_forward(DENSE const real *__restrict__ x, DENSE real *__restrict__ y, long long size) {
    EACH_ELEMENT(i, size) y[i] = x[i] < 0 ? (real)0 : x[i];  // NaN is not below 0 and stays
}

extern "C" __global__ void relu_backward(DENSE const real *__restrict__ grad, DENSE const real *__restrict__ y,
                                         DENSE real *__restrict__ dx, long long size) {
    EACH_ELEMENT(i, size) dx[i] = y[i] > 0 ? grad[i] : (real)0;
}

extern "C" __global__ void leaky_relu_forward(DENSE const real *__restrict__ x, DENSE real *__restrict__ y,
                                              real slope, long long size) {
    EACH_ELEMENT(i, size) y[i] = x[i] > 0 ? x[i] : x[i] * slope;
}

extern "C" __global__ void leaky_relu_backward(DENSE const real *__restrict__ grad, DENSE const real *__restrict__ x,
                                               DENSE real *__restrict__ dx, real slope, long long size) {
    EACH_ELEMENT(i, size) dx[i] = x[i] > 0 ? grad[i] : grad[i] * slope;
}

extern "C" __global__ void tanh_forward(DENSE const real *__restrict__ x, DENSE real *__restrict__ y, long long size) {
    EACH_ELEMENT(i, size) y[i] = tanh(x[i]);
}

extern "C" __global__ void tanh_backward(DENSE const real *__restrict__ grad, DENSE const real *__restrict__ y,
                                         DENSE real *__restrict__ dx, long long size) {
    EACH_ELEMENT(i, size) dx[i] = grad[i] * (1 - y[i] * y[i]);
}

extern "C" __global__ void sigmoid_forward(DENSE const real *__restrict__ x, DENSE real *__restrict__ y,
                                           long long size) {
    EACH_ELEMENT(i, size) {
        real small = exp(x[i] < 0 ? x[i] : -x[i]);  // of -|x|: nothing overflows
        y[i] = (x[i] < 0 ? small : (real)1) / (1 + small);
    }
}

extern "C" __global__ void sigmoid_backward(DENSE const real *__restrict__ grad, DENSE const real *__restrict__ y,
                                            DENSE real *__restrict__ dx, long long size) {
    EACH_ELEMENT(i, size) dx[i] = grad[i] * (y[i] * (1 - y[i]));
}

// Softmax along the last axis, or with `logarithm` its logarithm: one warp for each row of `length` numbers. The lanes
// read neighbouring numbers; three passes over the row, of which the second and third find it in the cache.
extern "C" __global__ void softmax_rows(C_ORDER const real *__restrict__ x, C_ORDER real *__restrict__ y,
                                        int rows, int length, int logarithm) {
    int row = own_warp(), lane = threadIdx.x % WARP;
    if (row >= rows) return;  // whole warps leave
    long long start = (long long)row * length;
    real largest = warp_largest(x, start, length);
    real sum = 0;
    for (int i = lane; i < length; i += WARP) sum += exp(x[start + i] - largest);
    sum = warp_sum(sum);
    real log_sum = log(sum);
    for (int i = lane; i < length; i += WARP) {
        real shifted = x[start + i] - largest;
        y[start + i] = logarithm ? shifted - log_sum : exp(shifted) / sum;
    }
}

// The same along an axis inside the array: x (outer, length, inner), one thread for each column of `length` numbers.
// Neighbouring threads work on neighbouring columns, so that every step of the loops reads a coalesced row.
extern "C" __global__ void softmax_columns(C_ORDER const real *__restrict__ x, C_ORDER real *__restrict__ y,
                                           int columns, int length, int inner, int logarithm) {
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= columns) return;
    long long start = (long long)(column / inner) * length * inner + column % inner;
    real largest = x[start];
    for (int i = 1; i < length; ++i) {
        real value = x[start + (long long)i * inner];
        largest = value > largest ? value : largest;
    }
    real sum = 0;
    for (int i = 0; i < length; ++i) sum += exp(x[start + (long long)i * inner] - largest);
    real log_sum = log(sum);
    for (int i = 0; i < length; ++i) {
        real shifted = x[start + (long long)i * inner] - largest;
        y[start + (long long)i * inner] = logarithm ? shifted - log_sum : exp(shifted) / sum;
    }
}
