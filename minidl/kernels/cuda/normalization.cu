// Batch normalisation. x is seen as (C, pixels), the pixels of all images side by side; formulas in
// kernels/plain/normalization.py.
//
// Every channel is cut into pieces of PIECE numbers, a block for each: the cut depends on the sizes only, so results
// repeat bit for bit. The first kernel of a pass reduces its piece to two sums. The second one works on pieces too;
// each of its blocks adds up the sums of all pieces of its channel anew, in double and always in the same order. That
// is a few hundred bytes from the cache, and saves a kernel in between, which would cost more than it does.

#define PER_THREAD 16
#define PIECE 4096  // PER_THREAD times the 256 threads of a block

// For each piece of x: its mean, and the sum of squared deviations from it. A thread keeps its numbers in registers:
// the deviations are taken in the second of two passes, as accuracy wants it, but memory is read once. The sum of the
// deviations, which is not zero because the mean is rounded, corrects both results.
extern "C" __global__ void __launch_bounds__(256) piece_statistics(
    CHANNELS_OUTERMOST const real *__restrict__ x, C_ORDER double *__restrict__ means,
    C_ORDER double *__restrict__ squares, int pixels, int pieces) {
    int channel = blockIdx.x / pieces, first = blockIdx.x % pieces * PIECE;
    int length = min(pixels - first, PIECE);
    long long start = (long long)channel * pixels + first;
    real kept[PER_THREAD], sum = 0;
#pragma unroll
    for (int k = 0; k < PER_THREAD; ++k) {
        int i = k * 256 + threadIdx.x;
        kept[k] = i < length ? x[start + i] : (real)0;
        sum += kept[k];
    }
    real mean = block_sum(sum) / length;
    real deviation = 0, square = 0;
#pragma unroll
    for (int k = 0; k < PER_THREAD; ++k) {
        int i = k * 256 + threadIdx.x;
        real d = i < length ? kept[k] - mean : (real)0;
        deviation += d;
        square += d * d;
    }
    double rest = block_sum(deviation);
    square = block_sum(square);
    if (threadIdx.x == 0) {
        means[blockIdx.x] = mean + rest / length;
        squares[blockIdx.x] = square - rest * rest / length;
    }
}

// y = (x - mean) * inverse_std * weight + bias. The first warp of a block joins the pieces' statistics by the formula
// of Chan, Golub and LeVeque (1983): only one, because most GPUs are slow at double.
extern "C" __global__ void __launch_bounds__(256) normalize(
    CHANNELS_OUTERMOST const real *__restrict__ x, OPTIONAL C_ORDER const real *__restrict__ weight,
    OPTIONAL C_ORDER const real *__restrict__ bias, C_ORDER const double *__restrict__ means,
    C_ORDER const double *__restrict__ squares, CHANNELS_OUTERMOST real *__restrict__ y,
    C_ORDER real *__restrict__ mean, C_ORDER real *__restrict__ variance, C_ORDER real *__restrict__ inverse_std,
    double epsilon, int pixels, int pieces) {
    int channel = blockIdx.x / pieces, piece = blockIdx.x % pieces, first = piece * PIECE;
    int length = min(pixels - first, PIECE);
    __shared__ real found[2];
    if (threadIdx.x < WARP) {
        double total = 0, square = 0;
        for (int i = threadIdx.x; i < pieces; i += WARP)
            total += means[channel * pieces + i] * min(pixels - i * PIECE, PIECE);
        double center = warp_sum(total) / pixels;
        for (int i = threadIdx.x; i < pieces; i += WARP) {
            double distance = means[channel * pieces + i] - center;
            square += squares[channel * pieces + i] + distance * distance * min(pixels - i * PIECE, PIECE);
        }
        double spread = warp_sum(square) / pixels, inverse = 1 / sqrt(spread + epsilon);
        if (threadIdx.x == 0) {
            found[0] = (real)center;
            found[1] = (real)(weight ? inverse * weight[channel] : inverse);
            if (piece == 0) {
                mean[channel] = (real)center;
                variance[channel] = (real)spread;
                inverse_std[channel] = (real)inverse;
            }
        }
    }
    __syncthreads();
    real middle = found[0], scale = found[1], shift = bias ? bias[channel] : (real)0;
    long long start = (long long)channel * pixels + first;
    for (int i = threadIdx.x; i < length; i += blockDim.x) y[start + i] = (x[start + i] - middle) * scale + shift;
}

// For each piece: the sums of grad and of grad * (x - mean).
extern "C" __global__ void __launch_bounds__(256) piece_sums(
    CHANNELS_OUTERMOST const real *__restrict__ grad, CHANNELS_OUTERMOST const real *__restrict__ x,
    C_ORDER const real *__restrict__ mean, C_ORDER double *__restrict__ totals, C_ORDER double *__restrict__ products,
    int pixels, int pieces) {
    int channel = blockIdx.x / pieces, first = blockIdx.x % pieces * PIECE;
    int length = min(pixels - first, PIECE);
    long long start = (long long)channel * pixels + first;
    real center = mean[channel], total = 0, product = 0;
    for (int i = threadIdx.x; i < length; i += blockDim.x) {
        real g = grad[start + i];
        total += g;
        product += g * (x[start + i] - center);
    }
    total = block_sum(total);
    product = block_sum(product);
    if (threadIdx.x == 0) {
        totals[blockIdx.x] = total;
        products[blockIdx.x] = product;
    }
}

// dx = weight * inverse_std * (grad - dbias / m - h * dweight / m) with m = pixels and h = (x - mean) * inverse_std.
extern "C" __global__ void __launch_bounds__(256) input_gradient(
    CHANNELS_OUTERMOST const real *__restrict__ grad, CHANNELS_OUTERMOST const real *__restrict__ x,
    OPTIONAL C_ORDER const real *__restrict__ weight, C_ORDER const real *__restrict__ mean,
    C_ORDER const real *__restrict__ inverse_std, C_ORDER const double *__restrict__ totals,
    C_ORDER const double *__restrict__ products, CHANNELS_OUTERMOST real *__restrict__ dx,
    C_ORDER real *__restrict__ dweight, C_ORDER real *__restrict__ dbias, int pixels, int pieces) {
    int channel = blockIdx.x / pieces, piece = blockIdx.x % pieces, first = piece * PIECE;
    int length = min(pixels - first, PIECE);
    __shared__ real found[2];
    if (threadIdx.x < WARP) {
        double total = 0, product = 0;
        for (int i = threadIdx.x; i < pieces; i += WARP) {
            total += totals[channel * pieces + i];
            product += products[channel * pieces + i];
        }
        total = warp_sum(total);
        double inverse = inverse_std[channel], slope = warp_sum(product) * inverse;
        if (threadIdx.x == 0) {
            found[0] = (real)(total / pixels);
            found[1] = (real)(slope * inverse / pixels);
            if (piece == 0) {
                dweight[channel] = (real)slope;
                dbias[channel] = (real)total;
            }
        }
    }
    __syncthreads();
    real offset = found[0], tilt = found[1], center = mean[channel];
    real scale = weight ? inverse_std[channel] * weight[channel] : inverse_std[channel];
    long long start = (long long)channel * pixels + first;
    for (int i = threadIdx.x; i < length; i += blockDim.x)
        dx[start + i] = (grad[start + i] - offset - (x[start + i] - center) * tilt) * scale;
}

// y = x * scale + shift, one of each for every channel.
extern "C" __global__ void affine(CHANNELS_OUTERMOST const real *__restrict__ x,
                                  C_ORDER const real *__restrict__ scale, C_ORDER const real *__restrict__ shift,
                                  CHANNELS_OUTERMOST real *__restrict__ y, int pixels, int blocks_each) {
    int channel = blockIdx.x / blocks_each;
    int pixel = blockIdx.x % blocks_each * blockDim.x + threadIdx.x;
    if (pixel >= pixels) return;
    long long i = (long long)channel * pixels + pixel;
    y[i] = x[i] * scale[channel] + shift[channel];
}
