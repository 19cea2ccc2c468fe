// A training batch out of a data set that lies on the GPU: gather, crop, flip, normalise and cast in one. One thread
// for each pixel of the result; definition in kernels/plain/augmentation.py.

extern "C" __global__ void augment(C_ORDER const unsigned char *__restrict__ images,
                                   C_ORDER const long long *__restrict__ index, C_ORDER const float *__restrict__ mean,
                                   C_ORDER const float *__restrict__ std, CHANNELS_OUTERMOST float *__restrict__ y,
                                   int H, int W, int C, int padding, unsigned long long flip, Stream given,
                                   OPTIONAL C_ORDER const unsigned long long *__restrict__ current, int pixels) {
    long long number = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (number >= pixels) return;
    int pixel = (int)number, n = pixel / (H * W), h = pixel / W % H, w = pixel % W;
    // Every thread of an image draws its three words again: that is faster than to wait for them from memory.
    Words word = random_block((unsigned)n, given, current);
    unsigned choices = 2 * padding + 1;  // (word * choices) >> 32, a whole number from 0 to 2 * padding
    int row = h + (int)__umulhi(word.of[0], choices) - padding;
    int column = (word.of[2] < flip ? W - 1 - w : w) + (int)__umulhi(word.of[1], choices) - padding;
    bool inside = row >= 0 && row < H && column >= 0 && column < W;
    long long start = inside ? ((index[n] * H + row) * W + column) * C : 0;
    for (int c = 0; c < C; ++c) {
        float value = inside ? images[start + c] : 0;  // the border is black before normalisation
        y[(long long)c * pixels + pixel] = (value / 255 - mean[c]) / std[c];
    }
}
