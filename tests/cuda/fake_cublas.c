/* cuBLAS's C interface, as far as minidl uses it, on the CPU: column-major, and strict about every rule that the real
   library states. What it is told is kept, for the test to read: fake_calls() and fake_last(). */

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, NOT_SUPPORTED = 15 };
enum { REAL_32 = 0, REAL_64 = 1, COMPUTE_32 = 68, COMPUTE_64 = 70, COMPUTE_32_FAST_TF32 = 77 };

typedef struct { uint64_t magic; void *stream; int stream_set; void *workspace; } Handle;
static const uint64_t MAGIC = 0x6d696e69646c2121ull;

typedef struct { int transposed_a, transposed_b, m, n, k, lda, ldb, ldc, compute; void *stream, *workspace; } Call;
static Call last;
static int calls, handles;

int fake_calls(void) { return calls; }
int fake_handles(void) { return handles; }
void fake_last(Call *call) { *call = last; }

int cublasCreate_v2(Handle **handle) {
    *handle = calloc(1, sizeof(Handle));
    (*handle)->magic = MAGIC;
    handles++;
    return SUCCESS;
}

static int valid(const Handle *handle) { return handle && handle->magic == MAGIC; }

int cublasDestroy_v2(Handle *handle) {
    if (!valid(handle)) return NOT_INITIALIZED;
    handle->magic = 0;
    free(handle);
    handles--;
    return SUCCESS;
}

int cublasSetStream_v2(Handle *handle, void *stream) {
    if (!valid(handle)) return NOT_INITIALIZED;
    handle->stream = stream;
    handle->stream_set = 1;
    handle->workspace = NULL; /* the real one goes back to its default workspace */
    return SUCCESS;
}

int cublasSetWorkspace_v2(Handle *handle, void *workspace, size_t size) {
    if (!valid(handle)) return NOT_INITIALIZED;
    if (!workspace || (uintptr_t)workspace % 256 || size < (32u << 20)) return INVALID_VALUE;
    handle->workspace = workspace;
    return SUCCESS;
}

/* The mantissa of TF32: 10 bits, round to nearest (ties away from zero). */
static float to_tf32(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    bits = (bits + 0x1000u) & ~0x1fffu;
    memcpy(&x, &bits, 4);
    return x;
}

static double element(const void *matrix, int type, size_t i, int compute) {
    if (type == REAL_64) return ((const double *)matrix)[i];
    float x = ((const float *)matrix)[i];
    return compute == COMPUTE_32_FAST_TF32 ? to_tf32(x) : x;
}

int cublasGemmEx(Handle *handle, int ta, int tb, int m, int n, int k, const void *alpha, const void *A, int type_a,
                 int lda, const void *B, int type_b, int ldb, const void *beta, void *C, int type_c, int ldc,
                 int compute, int algorithm) {
    if (!valid(handle)) return NOT_INITIALIZED;
    if (!handle->stream_set || !handle->workspace) return INVALID_VALUE; /* the order that minidl has to keep */
    if ((ta | tb) & ~1 || m < 0 || n < 0 || k < 0 || algorithm != -1) return INVALID_VALUE;
    if (lda < (ta ? k : m) || ldb < (tb ? n : k) || ldc < m || lda < 1 || ldb < 1 || ldc < 1) return INVALID_VALUE;
    if (type_a != type_b || type_a != type_c) return NOT_SUPPORTED;
    if (type_a == REAL_64 ? compute != COMPUTE_64 : compute != COMPUTE_32 && compute != COMPUTE_32_FAST_TF32)
        return NOT_SUPPORTED;
    calls++;
    last = (Call){ta, tb, m, n, k, lda, ldb, ldc, compute, handle->stream, handle->workspace};
    const double by = type_a == REAL_64 ? *(const double *)alpha : *(const float *)alpha;
    const double keep = type_a == REAL_64 ? *(const double *)beta : *(const float *)beta;
    double *column = malloc(sizeof(double) * (size_t)(m ? m : 1));
    for (size_t j = 0; j < (size_t)n; j++) {
        memset(column, 0, sizeof(double) * (size_t)m);
        for (size_t p = 0; p < (size_t)k; p++) {
            const double b = element(B, type_b, tb ? p * ldb + j : j * ldb + p, compute);
            for (size_t i = 0; i < (size_t)m; i++)
                column[i] += b * element(A, type_a, ta ? i * lda + p : p * lda + i, compute);
        }
        for (size_t i = 0; i < (size_t)m; i++) { /* with beta 0 the old value is not read: it may be NaN */
            const size_t at = j * ldc + i;
            if (type_c == REAL_64)
                ((double *)C)[at] = by * column[i] + (keep ? keep * ((double *)C)[at] : 0);
            else
                ((float *)C)[at] = (float)(by * column[i] + (keep ? keep * ((float *)C)[at] : 0));
        }
    }
    free(column);
    return SUCCESS;
}
