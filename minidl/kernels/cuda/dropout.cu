// Dropout. The mask is not stored: it is a function of an element's number, computed again in the backward pass.
//
// Numbers count elements in the order (N, H, W, C), as on the CPU, while memory has the order (C, N, H, W): number e
// is channel e % C of pixel e / C, and lies at e % C * pixels + e / C. (Arrays of other than four axes come as one
// channel.) A thread makes one block of Philox, four words, and serves the four elements with its numbers.

extern "C" __global__ void dropout(DENSE const real *__restrict__ x, DENSE real *__restrict__ y, int channels,
                                   int pixels, unsigned threshold, real scale, Stream given,
                                   OPTIONAL C_ORDER const unsigned long long *__restrict__ current, int count) {
    long long thread = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (thread >= count) return;
    // Where four divides the channels, a block of words belongs to one pixel: neighbouring threads then take
    // neighbouring pixels of the same four channels, so that they read and write neighbouring numbers.
    bool whole = channels % 4 == 0;
    int i = (int)thread, pixel = i % pixels, group = i / pixels;
    Words word = random_block(whole ? (unsigned)pixel * (channels / 4) + group : i, given, current);
    for (int k = 0; k < 4; ++k) {
        long long place = (long long)(4 * group + k) * pixels + pixel;
        if (!whole) {
            long long number = 4LL * i + k;
            if (number >= (long long)channels * pixels) return;
            place = channels == 1 ? number : number % channels * pixels + number / channels;
        }
        y[place] = x[place] * (word.of[k] >= threshold ? scale : (real)0);
    }
}
