// Philox4x32-10 itself, for counters that lie in memory; see common.cu for the function.

extern "C" __global__ void blocks(C_ORDER const unsigned *__restrict__ counters, C_ORDER unsigned *__restrict__ words,
                                  unsigned key0, unsigned key1, long long count) {
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i >= count) return;
    Words word = {{counters[4 * i], counters[4 * i + 1], counters[4 * i + 2], counters[4 * i + 3]}};
    word = philox(word, key0, key1);
    for (int k = 0; k < 4; ++k) words[4 * i + k] = word.of[k];
}
