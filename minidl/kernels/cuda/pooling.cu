// Pooling. One thread for one output (forward) or one input (backward: it gathers from the windows that saw it, in a
// fixed order, so that nothing needs atomics). Images lie in the order (C, N, H, W); N and C are not told apart, every
// image is a plane. Formulas and the rules of padding in kernels/plain/pooling.py.

// The number of this thread among `count`, or `count` for those left over. Numbers have 32 bits, because they are
// divided: that takes several times as long with 64 (the launcher refuses a count that does not fit).
__device__ inline int own_number(int count) {
    long long number = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    return number < count ? (int)number : count;
}

// Along one axis: the first window that reaches `place`, where window o covers o * stride ... o * stride + extent - 1.
__device__ inline int first_window(int place, int extent, int stride) {
    return place < extent ? 0 : (place - extent) / stride + 1;
}

__device__ inline int last_window(int place, int stride, int windows) {
    return min(place / stride, windows - 1);
}

// Along one axis: the first tap of the window at `start` that is not in the padding before the image.
__device__ inline int first_tap(int start, int taps, int dilation) {
    return start < 0 ? min((-start + dilation - 1) / dilation, taps - 1) : 0;
}

// The largest number of every window, and at which tap i * kw + j it stands; Position holds the number of a tap.
template <typename Position>
__device__ inline void max_pool(const real *__restrict__ x, real *__restrict__ y, Position *__restrict__ positions,
                                const Window &window, real nothing, int count) {
    int number = own_number(count);
    if (number == count) return;
    int line = number / window.ow, plane = line / window.oh;
    int top = line % window.oh * window.sh - window.ph, left = number % window.ow * window.sw - window.pw;
    real largest = nothing;
    int position = first_tap(top, window.kh, window.dh) * window.kw + first_tap(left, window.kw, window.dw);
    for (int i = 0; i < window.kh; ++i) {
        int h = top + i * window.dh;
        if (h < 0 || h >= window.H) continue;
        for (int j = 0; j < window.kw; ++j) {
            int w = left + j * window.dw;
            if (w < 0 || w >= window.W) continue;
            real value = x[((long long)plane * window.H + h) * window.W + w];
            if (value > largest || value != value) {  // the first of equals, and the last NaN
                largest = value;
                position = i * window.kw + j;
            }
        }
    }
    y[number] = largest;
    positions[number] = (Position)position;
}

template <typename Position>
__device__ inline void max_unpool(const real *__restrict__ grad, const Position *__restrict__ positions,
                                  real *__restrict__ dx, const Window &window, int count) {
    int number = own_number(count);
    if (number == count) return;
    int line = number / window.W, plane = line / window.H;
    int h = line % window.H + window.ph, w = number % window.W + window.pw;
    int top = first_window(h, (window.kh - 1) * window.dh + 1, window.sh);
    int left = first_window(w, (window.kw - 1) * window.dw + 1, window.sw);
    int bottom = last_window(h, window.sh, window.oh), right = last_window(w, window.sw, window.ow);
    real sum = 0;
    for (int oh = top; oh <= bottom; ++oh) {
        int row = h - oh * window.sh, i = quotient(row, window.dh);
        if (i * window.dh != row) continue;  // between two taps
        for (int ow = left; ow <= right; ++ow) {
            int column = w - ow * window.sw, j = quotient(column, window.dw);
            if (j * window.dw != column) continue;
            int output = (plane * window.oh + oh) * window.ow + ow;
            if (positions[output] == i * window.kw + j) sum += grad[output];
        }
    }
    dx[number] = sum;
}

template <typename Position>
__device__ inline void max_gather(const real *__restrict__ x, const Position *__restrict__ positions,
                                  real *__restrict__ y, const Window &window, int count) {
    int number = own_number(count);
    if (number == count) return;
    int line = number / window.ow, plane = line / window.oh, position = positions[number];
    int h = line % window.oh * window.sh - window.ph + position / window.kw * window.dh;
    int w = number % window.ow * window.sw - window.pw + position % window.kw * window.dw;
    bool inside = h >= 0 && h < window.H && w >= 0 && w < window.W;
    y[number] = inside ? x[((long long)plane * window.H + h) * window.W + w] : (real)0;
}

// The three again for the launcher, for windows of up to 255 taps and for larger ones.
extern "C" __global__ void max_pool_small(CHANNELS_OUTERMOST const real *__restrict__ x,
                                          CHANNELS_OUTERMOST real *__restrict__ y,
                                          CHANNELS_OUTERMOST unsigned char *__restrict__ positions,
                                          Window window, real nothing, int count) {
    max_pool(x, y, positions, window, nothing, count);
}

extern "C" __global__ void max_pool_large(CHANNELS_OUTERMOST const real *__restrict__ x,
                                          CHANNELS_OUTERMOST real *__restrict__ y,
                                          CHANNELS_OUTERMOST int *__restrict__ positions,
                                          Window window, real nothing, int count) {
    max_pool(x, y, positions, window, nothing, count);
}

extern "C" __global__ void max_unpool_small(CHANNELS_OUTERMOST const real *__restrict__ grad,
                                            CHANNELS_OUTERMOST const unsigned char *__restrict__ positions,
                                            CHANNELS_OUTERMOST real *__restrict__ dx, Window window, int count) {
    max_unpool(grad, positions, dx, window, count);
}

extern "C" __global__ void max_unpool_large(CHANNELS_OUTERMOST const real *__restrict__ grad,
                                            CHANNELS_OUTERMOST const int *__restrict__ positions,
                                            CHANNELS_OUTERMOST real *__restrict__ dx, Window window, int count) {
    max_unpool(grad, positions, dx, window, count);
}

extern "C" __global__ void max_gather_small(CHANNELS_OUTERMOST const real *__restrict__ x,
                                            CHANNELS_OUTERMOST const unsigned char *__restrict__ positions,
                                            CHANNELS_OUTERMOST real *__restrict__ y, Window window, int count) {
    max_gather(x, positions, y, window, count);
}

extern "C" __global__ void max_gather_large(CHANNELS_OUTERMOST const real *__restrict__ x,
                                            CHANNELS_OUTERMOST const int *__restrict__ positions,
                                            CHANNELS_OUTERMOST real *__restrict__ y, Window window, int count) {
    max_gather(x, positions, y, window, count);
}

// Along one axis: how many taps of the window at `start` count in the divisor, at most up to the padding's end.
__device__ inline int counted_taps(int start, int taps, int size, int padding, int count_padding) {
    int stop = min(start + taps, size + padding);
    if (!count_padding) {
        start = max(start, 0);
        stop = min(stop, size);
    }
    return max(stop - start, 1);
}

__device__ inline real divisor(const Window &window, int top, int left, int count_padding, int fixed_divisor) {
    if (fixed_divisor) return fixed_divisor;
    return (real)counted_taps(top, window.kh, window.H, window.ph, count_padding) *
           (real)counted_taps(left, window.kw, window.W, window.pw, count_padding);
}

// fixed_divisor: torch's divisor_override, 0 for none.
extern "C" __global__ void avg_pool(CHANNELS_OUTERMOST const real *__restrict__ x,
                                    CHANNELS_OUTERMOST real *__restrict__ y,
                                    Window window, int count_padding, int fixed_divisor, int count) {
    int number = own_number(count);
    if (number == count) return;
    int line = number / window.ow, plane = line / window.oh;
    int top = line % window.oh * window.sh - window.ph, left = number % window.ow * window.sw - window.pw;
    real sum = 0;
    for (int h = max(top, 0); h < min(top + window.kh, window.H); ++h)
        for (int w = max(left, 0); w < min(left + window.kw, window.W); ++w)
            sum += x[((long long)plane * window.H + h) * window.W + w];
    y[number] = sum / divisor(window, top, left, count_padding, fixed_divisor);
}

extern "C" __global__ void avg_unpool(CHANNELS_OUTERMOST const real *__restrict__ grad,
                                      CHANNELS_OUTERMOST real *__restrict__ dx,
                                      Window window, int count_padding, int fixed_divisor, int count) {
    int number = own_number(count);
    if (number == count) return;
    int line = number / window.W, plane = line / window.H;
    int h = line % window.H + window.ph, w = number % window.W + window.pw;
    int bottom = last_window(h, window.sh, window.oh), right = last_window(w, window.sw, window.ow);
    real sum = 0;
    for (int oh = first_window(h, window.kh, window.sh); oh <= bottom; ++oh)
        for (int ow = first_window(w, window.kw, window.sw); ow <= right; ++ow) {
            int top = oh * window.sh - window.ph, left = ow * window.sw - window.pw;
            sum += grad[(plane * window.oh + oh) * window.ow + ow] /
                   divisor(window, top, left, count_padding, fixed_divisor);
        }
    dx[number] = sum;
}

// Adaptive windows: output o of `outputs` along an axis averages the inputs from floor(o * size / outputs) up to, but
// not with, ceil((o + 1) * size / outputs).
__device__ inline int begin_of(int o, int size, int outputs) {
    return o * size / outputs;
}

__device__ inline int end_of(int o, int size, int outputs) {
    return ((o + 1) * size + outputs - 1) / outputs;
}

// `lanes` neighbouring threads share one output, whose window may be the whole image: they read neighbouring numbers
// and add up their sums. All threads come to the exchange, also those left over.
extern "C" __global__ void adaptive_pool(CHANNELS_OUTERMOST const real *__restrict__ x,
                                         CHANNELS_OUTERMOST real *__restrict__ y,
                                         int H, int W, int oh, int ow, int lanes, int count) {
    int number = (int)((blockIdx.x * (long long)blockDim.x + threadIdx.x) / lanes), lane = threadIdx.x % lanes;
    int line = number / ow, plane = line / oh;
    int top = begin_of(line % oh, H, oh), left = begin_of(number % ow, W, ow);
    int width = end_of(number % ow, W, ow) - left, area = (end_of(line % oh, H, oh) - top) * width;
    real sum = 0;
    if (number < count)
        for (int k = lane; k < area; k += lanes)
            sum += x[((long long)plane * H + top + k / width) * W + left + k % width];
    sum = lane_sum(sum, lanes);
    if (number < count && lane == 0) y[number] = sum / area;
}

extern "C" __global__ void adaptive_unpool(CHANNELS_OUTERMOST const real *__restrict__ grad,
                                           CHANNELS_OUTERMOST real *__restrict__ dx,
                                           int H, int W, int oh, int ow, int count) {
    int number = own_number(count);
    if (number == count) return;
    int line = number / W, plane = line / H, h = line % H, w = number % W;
    // The windows that hold h: from the one in which h would fall if none overlapped, to where h + 1 would begin one.
    int bottom = end_of(h, oh, H), right = end_of(w, ow, W);
    real sum = 0;
    for (int i = begin_of(h, oh, H); i < bottom; ++i)
        for (int j = begin_of(w, ow, W); j < right; ++j) {
            int area = (end_of(i, H, oh) - begin_of(i, H, oh)) * (end_of(j, W, ow) - begin_of(j, W, ow));
            sum += grad[(plane * oh + i) * ow + j] / area;
        }
    dx[number] = sum;
}
