// The beginning of every source in this folder: the launcher puts it in front.

// float or double: a source is compiled once for each.
typedef REAL real;

// What a signature says about its arrays, for the launcher to check (minidl/backend/launcher.py); nothing to a
// compiler.
#define C_ORDER             // the last axis is contiguous
#define CHANNELS_OUTERMOST  // a logical (N, C, ...) array that lies in memory as (C, N, ...)
#define DENSE               // no gaps, any order: the same for all such arrays of a launch
#define OPTIONAL            // may be null

// a / b for a of at least 0: most strides and dilations are 1, and a division takes some twenty instructions.
__device__ inline int quotient(int a, int b) {
    return b == 1 ? a : a / b;
}

// A sliding window over images: rows are H, columns W.
struct Window {
    int H, W, kh, kw, sh, sw, ph, pw, dh, dw, oh, ow;
};

#define WARP 32
#define ALL_LANES 0xffffffffu

// The number of this thread's warp in the whole grid.
__device__ inline int own_warp() {
    return blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
}

// The sum over `lanes` neighbouring threads of a warp (a power of two), for each of them. By exchanging, not by handing
// down: every lane adds the same numbers in the same tree, so all of them hold the same bits.
template <typename T>
__device__ inline T lane_sum(T value, int lanes) {
    for (int offset = lanes / 2; offset > 0; offset /= 2) value += __shfl_xor_sync(ALL_LANES, value, offset);
    return value;
}

template <typename T>
__device__ inline T warp_sum(T value) {
    return lane_sum(value, WARP);
}

// The largest of `length` numbers from x[start], for every lane of the warp; NaN is passed over.
__device__ inline real warp_largest(const real *__restrict__ x, long long start, int length) {
    real largest = x[start];
    for (int i = threadIdx.x % WARP; i < length; i += WARP) largest = x[start + i] > largest ? x[start + i] : largest;
    for (int offset = WARP / 2; offset > 0; offset /= 2) {
        real other = __shfl_xor_sync(ALL_LANES, largest, offset);
        largest = other > largest ? other : largest;
    }
    return largest;
}

// The sum over all threads of a block (whole warps of them), for each: in a tree within warps, then warp after warp.
template <typename T>
__device__ inline T block_sum(T value) {
    __shared__ T parts[WARP];
    value = warp_sum(value);
    __syncthreads();  // the parts of an earlier sum have been read
    if (threadIdx.x % WARP == 0) parts[threadIdx.x / WARP] = value;
    __syncthreads();
    T total = 0;
    for (int warp = 0; warp < (int)blockDim.x / WARP; ++warp) total += parts[warp];
    return total;
}

// --- Random numbers ---

// Four of Philox's words: a counter, or what became of it.
struct Words {
    unsigned of[4];
};

// Philox4x32-10 (Salmon et al. 2011): ten rounds of multiplying and mixing turn a counter and a key into four random
// words. The same bits as kernels/plain/philox.py.
__device__ inline Words philox(Words c, unsigned key0, unsigned key1) {
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        unsigned high0 = __umulhi(0xD2511F53u, c.of[0]), low0 = 0xD2511F53u * c.of[0];
        unsigned high1 = __umulhi(0xCD9E8D57u, c.of[2]), low1 = 0xCD9E8D57u * c.of[2];
        c = Words{{high1 ^ c.of[1] ^ key0, low1, high0 ^ c.of[3] ^ key1, low0}};
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return c;
}

// One stream of random numbers: seed and step of 64 bits, and what they are for.
struct Stream {
    unsigned long long seed, step, site;
};

// Block `number` of a stream. `current` is null, or holds the step: a captured graph finds there that of its own
// replay.
__device__ inline Words random_block(unsigned number, const Stream &given, const unsigned long long *current) {
    unsigned long long step = current ? current[0] : given.step;
    Words counter = {{number, (unsigned)step, (unsigned)(step >> 32), (unsigned)given.site}};
    return philox(counter, (unsigned)given.seed, (unsigned)(given.seed >> 32));
}
