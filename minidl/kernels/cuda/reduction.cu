// The sum over everything but the channels, the gradient of a bias: in double, because very many terms of either sign
// meet.

#define PIECE 4096
#define COLUMNS 32  // of a block; its 256 threads are 8 rows of 32 columns
#define ROWS 8

// x (C, pixels), in pieces as in normalization.cu. A channel of one piece goes straight to `sums` (C,), others leave
// the sums of their pieces in `totals` (C, pieces); the other of the two is null.
extern "C" __global__ void channel_pieces(CHANNELS_OUTERMOST const real *__restrict__ x,
                                          OPTIONAL C_ORDER double *__restrict__ totals,
                                          OPTIONAL C_ORDER real *__restrict__ sums, int pixels, int pieces) {
    int channel = blockIdx.x / pieces, first = blockIdx.x % pieces * PIECE;
    int length = min(pixels - first, PIECE);
    long long start = (long long)channel * pixels + first;
    double total = 0;
    for (int i = threadIdx.x; i < length; i += blockDim.x) total += x[start + i];
    total = block_sum(total);
    if (threadIdx.x != 0) return;
    if (sums)
        sums[channel] = (real)total;
    else
        totals[blockIdx.x] = total;
}

// One warp for each channel adds up its pieces.
extern "C" __global__ void add_pieces(C_ORDER const double *__restrict__ totals, C_ORDER real *__restrict__ sums,
                                      int channels, int pieces) {
    int channel = own_warp(), lane = threadIdx.x % WARP;
    if (channel >= channels) return;  // whole warps leave
    double total = 0;
    for (int i = lane; i < pieces; i += WARP) total += totals[channel * pieces + i];
    total = warp_sum(total);
    if (lane == 0) sums[channel] = (real)total;
}

// x (rows, columns) in C order, the gradient of a linear layer's output: a warp reads 32 neighbouring columns of a row,
// the eight warps of a block every eighth row.
extern "C" __global__ void column_sums(C_ORDER const real *__restrict__ x, C_ORDER real *__restrict__ sums,
                                       int rows, int columns) {
    __shared__ double parts[ROWS][COLUMNS];
    int lane = threadIdx.x % COLUMNS, row = threadIdx.x / COLUMNS, column = blockIdx.x * COLUMNS + lane;
    double total = 0;
    if (column < columns)
        for (int i = row; i < rows; i += ROWS) total += x[(long long)i * columns + column];
    parts[row][lane] = total;
    __syncthreads();
    if (row != 0 || column >= columns) return;
    for (int i = 1; i < ROWS; ++i) total += parts[i][lane];
    sums[column] = (real)total;
}
