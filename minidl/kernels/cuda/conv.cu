// What a convolution needs besides the matrix product: im2col, its adjoint, and the bias.
//
// The columns have a row for every (c, i, j), a channel and a place in the window, and a column for every output pixel
// (n, oh, ow). With images in the order (C, N, H, W), filters (O, C*kh*kw) @ columns is the output (O, N, oh, ow), and
// neighbouring threads read and write neighbouring numbers. Blocks are dealt out channel by channel, so that threads
// divide 32-bit numbers only, and once for all places of the window.

// The columns of `pixels` output pixels, those of the images from number `first` of all `images` on. One thread writes
// the kh*kw numbers of one channel of one output pixel.
extern "C" __global__ void im2col(CHANNELS_OUTERMOST const real *__restrict__ x, C_ORDER real *__restrict__ columns,
                                  Window window, int images, int first, int pixels, int blocks_each) {
    int channel = blockIdx.x / blocks_each;
    int pixel = blockIdx.x % blocks_each * blockDim.x + threadIdx.x;
    if (pixel >= pixels) return;
    int line = pixel / window.ow, image = line / window.oh;
    int top = line % window.oh * window.sh - window.ph, left = pixel % window.ow * window.sw - window.pw;
    long long start = ((long long)channel * images + first + image) * window.H * window.W;
    long long place = (long long)channel * window.kh * window.kw * pixels + pixel;
    for (int i = 0; i < window.kh; ++i) {
        int h = top + i * window.dh;
        for (int j = 0; j < window.kw; ++j) {
            int w = left + j * window.dw;
            // As unsigned numbers negative ones are very large: one comparison instead of two.
            bool inside = (unsigned)h < (unsigned)window.H && (unsigned)w < (unsigned)window.W;
            columns[place] = inside ? x[start + (long long)h * window.W + w] : (real)0;
            place += pixels;
        }
    }
}

// The adjoint: each input pixel gathers what the windows that saw it hold for it, in a fixed order. Scattering the
// columns instead would need atomics, whose order and so whose rounding change from run to run.
extern "C" __global__ void col2im(C_ORDER const real *__restrict__ columns, CHANNELS_OUTERMOST real *__restrict__ dx,
                                  Window window, int images, int first, int pixels, int places, int blocks_each) {
    int channel = blockIdx.x / blocks_each;
    int place = blockIdx.x % blocks_each * blockDim.x + threadIdx.x;
    if (place >= places) return;
    int line = place / window.W, image = line / window.H;
    int bottom = line % window.H + window.ph, right = place % window.W + window.pw;
    long long start = (long long)channel * window.kh * window.kw * pixels + (long long)image * window.oh * window.ow;
    real sum = 0;
    for (int i = 0; i < window.kh; ++i) {
        int h = bottom - i * window.dh, oh = quotient(h, window.sh);  // the window that begins at h, if one does
        if (h < 0 || oh * window.sh != h || oh >= window.oh) continue;
        for (int j = 0; j < window.kw; ++j) {
            int w = right - j * window.dw, ow = quotient(w, window.sw);
            if (w < 0 || ow * window.sw != w || ow >= window.ow) continue;
            sum += columns[start + (long long)(i * window.kw + j) * pixels + oh * window.ow + ow];
        }
    }
    dx[((long long)channel * images + first) * window.H * window.W + place] = sum;
}

// y += bias, in place: y (C, pixels), bias (C,).
extern "C" __global__ void add_bias(CHANNELS_OUTERMOST real *__restrict__ y, C_ORDER const real *__restrict__ bias,
                                    int pixels, int blocks_each) {
    int channel = blockIdx.x / blocks_each;
    int pixel = blockIdx.x % blocks_each * blockDim.x + threadIdx.x;
    if (pixel < pixels) y[(long long)channel * pixels + pixel] += bias[channel];
}
