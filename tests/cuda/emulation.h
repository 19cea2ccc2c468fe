// Enough of CUDA C++ to run the kernels of minidl on a CPU: one block after the other, its threads as fibers.
//
// A fiber runs threads of its block, one after the other, until one of them has to wait for others (__syncthreads, a
// shuffle); then another fiber goes on with the next thread. With `reverse` blocks and threads start in the opposite
// order: a kernel whose results depend on that order has a race. What would go unnoticed on a GPU is an error here: an
// index outside an array, threads that leave while others wait for them, lanes that miss from a shuffle.

#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <type_traits>

#define __global__ static
#define __device__ static
#define __shared__ static
#define __restrict__
#define __launch_bounds__(...)

struct Index {
    unsigned x, y, z;
};
static Index threadIdx, blockIdx, blockDim, gridDim;

using std::erf;
using std::erfc;
using std::exp;
using std::fabs;
using std::log;
using std::max;
using std::min;
using std::sqrt;
using std::tanh;

namespace emulation {

static char error[400];
static const char *kernel;

template <typename... Values>
static void fail(const char *format, Values... values) {
    if (error[0]) return;  // the first one says most
    int length = snprintf(error, sizeof error, "%s, block %u, thread %u: ", kernel, blockIdx.x, threadIdx.x);
    snprintf(error + length, sizeof error - length, format, values...);
}

// --- Arrays that know their length ---

template <typename T>
struct Pointer {
    T *start;
    long long bytes;
    const char *name;

    T &operator[](long long i) const {
        long long length = bytes / (long long)sizeof(T);
        if (i < 0 || i >= length) {
            static std::remove_const_t<T> nowhere;  // the launch has failed, but runs on
            fail("index %lld is outside of %s, which has %lld elements", i, name, length);
            return nowhere;
        }
        return start[i];
    }
    explicit operator bool() const { return start != nullptr; }
};

// The address of an argument, which becomes whatever type the kernel wants.
struct Argument {
    void *address;

    template <typename T>
    operator T() const {
        return *(T *)address;
    }
};

// --- Fibers ---

struct Fiber {
    ucontext_t first;  // to be started with
    void *registers[5];
    char *stack;
    Index thread;
    bool begun, busy;
    const long *epoch;  // what a waiting fiber watches, and the value that it waits for
    long awaited;
    const char *barrier;
};

enum { MOST = 1024, STACK = 65536, LANES = 32 };
static Fiber fibers[MOST];
static unsigned fibers_begun;
static void *scheduler[5];
static Fiber *current;
static void (*body)();
static unsigned count, started, finished;
static bool reverse;
static long block_epoch, warp_epoch[MOST / LANES];
static unsigned block_arrived, warp_arrived[MOST / LANES];
static char exchanged[2][MOST][8];
static unsigned char parity[MOST];

// GCC's own setjmp: five registers and no system call, forty times as fast as swapcontext.
__attribute__((noinline)) static void resume(void **there) { __builtin_longjmp(there, 1); }
__attribute__((noinline)) static void leave_for(void **here, void **there) {
    if (__builtin_setjmp(here) == 0) resume(there);
}
// Called through a pointer that the compiler cannot follow: other fibers change shared memory meanwhile.
static void (*volatile leave)(void **, void **) = leave_for;

__attribute__((noinline)) static void begin(Fiber *fiber) {
    if (__builtin_setjmp(scheduler) == 0) setcontext(&fiber->first);
}

static void run_threads() {
    for (;;) {
        while (started < count) {
            unsigned number = reverse ? count - 1 - started : started;
            ++started;
            current->thread = threadIdx = Index{number, 0, 0};
            body();
            ++finished;
        }
        current->busy = false;
        leave(current->registers, scheduler);
    }
}

static void run_fiber(Fiber *fiber) {
    current = fiber;
    fiber->busy = true;
    fiber->epoch = nullptr;
    threadIdx = fiber->thread;
    if (fiber->begun) {
        leave(scheduler, fiber->registers);
        return;
    }
    fiber->begun = true;
    if (fiber->stack == nullptr) fiber->stack = (char *)malloc(STACK);
    getcontext(&fiber->first);
    fiber->first.uc_stack.ss_sp = fiber->stack;
    fiber->first.uc_stack.ss_size = STACK;
    fiber->first.uc_link = nullptr;
    makecontext(&fiber->first, run_threads, 0);
    begin(fiber);
}

// Wait until all `wanted` threads that count themselves in `arrived` have come here.
static void wait(long &epoch, unsigned &arrived, unsigned wanted, const char *barrier) {
    if (error[0]) return;
    if (++arrived == wanted) {
        arrived = 0;
        ++epoch;
        return;
    }
    Fiber *self = current;
    self->epoch = &epoch;
    self->awaited = epoch + 1;
    self->barrier = barrier;
    leave(self->registers, scheduler);
    threadIdx = self->thread;
}

static void run_block() {
    started = finished = block_arrived = 0;
    memset(warp_arrived, 0, sizeof warp_arrived);
    memset(parity, 0, sizeof parity);
    while (finished < count) {
        bool progress = false;
        Fiber *idle = nullptr;
        // A warp goes on as far as it can before the next one does: that is as unfair to the others as a GPU may be.
        for (Fiber *warp = fibers; warp < fibers + fibers_begun; warp += LANES) {
            bool again = true;
            while (again) {
                again = false;
                for (Fiber *fiber = warp; fiber < warp + LANES && fiber < fibers + fibers_begun; ++fiber)
                    if (fiber->busy && *fiber->epoch >= fiber->awaited) {
                        run_fiber(fiber);
                        progress = again = true;
                    }
            }
        }
        for (Fiber *fiber = fibers; fiber < fibers + fibers_begun && idle == nullptr; ++fiber)
            if (!fiber->busy) idle = fiber;
        if (started < count) {
            run_fiber(idle ? idle : &fibers[fibers_begun++]);
            progress = true;
        }
        if (progress) continue;
        for (Fiber *fiber = fibers; fiber < fibers + fibers_begun; ++fiber) {
            if (!fiber->busy) continue;
            threadIdx = fiber->thread;
            fail("waits at %s for threads that never come", fiber->barrier);
            fiber->busy = fiber->begun = false;  // given up
        }
        return;
    }
}

static const char *run(const char *name, void (*call)(), unsigned blocks, unsigned threads, bool backwards) {
    kernel = name;
    error[0] = 0;
    body = call;
    count = threads;
    reverse = backwards;
    gridDim = Index{blocks, 1, 1};
    blockDim = Index{threads, 1, 1};
    for (unsigned i = 0; i < blocks && !error[0]; ++i) {
        blockIdx = Index{reverse ? blocks - 1 - i : i, 0, 0};
        run_block();
    }
    return error;
}

}  // namespace emulation

using emulation::Argument;
using emulation::Pointer;

static void __syncthreads() {
    emulation::wait(emulation::block_epoch, emulation::block_arrived, blockDim.x, "__syncthreads()");
}

// Two buffers in turn: no lane can be a whole shuffle ahead of another one.
template <typename T>
static T __shfl_xor_sync(unsigned, T value, int offset) {
    static_assert(sizeof(T) <= sizeof emulation::exchanged[0][0], "at most eight bytes");
    unsigned thread = threadIdx.x, warp = thread / emulation::LANES, buffer = emulation::parity[thread] ^= 1;
    memcpy(emulation::exchanged[buffer][thread], &value, sizeof(T));
    emulation::wait(emulation::warp_epoch[warp], emulation::warp_arrived[warp], emulation::LANES, "a shuffle");
    memcpy(&value, emulation::exchanged[buffer][thread ^ offset], sizeof(T));
    return value;
}

static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((unsigned long long)a * b >> 32); }
