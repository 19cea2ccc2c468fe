// Copies between memory orders: (rows, columns, inner) -> (columns, rows, inner), the numbers of `inner` side by side.

#define TILE 32

// One thread writes one number. Reads and writes are both coalesced in runs of `inner`.
extern "C" __global__ void exchange(C_ORDER const real *__restrict__ x, C_ORDER real *__restrict__ y,
                                    int rows, int columns, int inner, int size) {
    long long thread = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (thread >= size) return;
    int i = (int)thread, run = i / inner;  // of y: column * rows + row
    y[i] = x[(run % rows * columns + run / rows) * inner + i % inner];
}

// inner = 1. A block moves a tile of 32 x 32 through shared memory, so that reads go along the rows of x and writes
// along the rows of y: both coalesced. The 33rd column shifts each row by one memory bank, so that reading a column
// of the tile meets 32 different banks.
extern "C" __global__ void transpose(C_ORDER const real *__restrict__ x, C_ORDER real *__restrict__ y,
                                     int rows, int columns, int tiles_across) {
    __shared__ real tile[TILE][TILE + 1];
    int row = blockIdx.x / tiles_across * TILE, column = blockIdx.x % tiles_across * TILE;
    int lane = threadIdx.x % TILE, first = threadIdx.x / TILE, step = blockDim.x / TILE;
    for (int i = first; i < TILE; i += step)
        if (row + i < rows && column + lane < columns)
            tile[i][lane] = x[(long long)(row + i) * columns + column + lane];
    __syncthreads();
    for (int i = first; i < TILE; i += step)
        if (column + i < columns && row + lane < rows)
            y[(long long)(column + i) * rows + row + lane] = tile[lane][i];
}
