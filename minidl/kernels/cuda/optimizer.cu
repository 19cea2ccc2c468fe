// SGD and Adam, in place, for up to MANY tensors in one launch: a small network has dozens of tensors of a few hundred
// numbers, and a launch for each would cost more than the arithmetic. Formulas in kernels/plain/optimizer.py.
//
// The addresses of the tensors go by value, with the launch. So do the numbers of the formula, unless `current` is
// given: then they are read from the device, where a captured graph finds those of its own replay.

#define MANY 48      // with five tensors each, the arguments stay below the 4 KiB that every GPU takes
#define CHUNK 4096   // numbers of a block

struct Arrays {
    real *of[MANY];
};

struct Sizes {
    long long of[MANY];
};

struct Starts {
    int of[MANY];
};

struct SgdNumbers {
    double lr, momentum, rest, decay, sign, nesterov, first;
};

struct AdamNumbers {
    double shrink, decay, sign, rest1, beta2, rest2, root, epsilon, step_size;
};

// Which tensor this block works on: starts.of[t] is the number of the first block of tensor t.
__device__ inline int own_tensor(const Starts &starts, int tensors) {
    int tensor = 0;
    while (tensor + 1 < tensors && starts.of[tensor + 1] <= (int)blockIdx.x) ++tensor;
    return tensor;
}

// rest = 1 - dampening, decay = weight_decay, sign = -1 to maximize. At the `first` step the buffer is set, not read.
extern "C" __global__ void __launch_bounds__(256) sgd(
    DENSE const Arrays parameters, DENSE const Arrays gradients, DENSE const Arrays buffers, Sizes sizes, Starts starts,
    int tensors, SgdNumbers given, OPTIONAL C_ORDER const double *__restrict__ current) {
    int t = own_tensor(starts, tensors);
    real lr = current ? current[0] : given.lr, momentum = current ? current[1] : given.momentum;
    real rest = current ? current[2] : given.rest, decay = current ? current[3] : given.decay;
    real sign = current ? current[4] : given.sign;
    bool nesterov = (current ? current[5] : given.nesterov) != 0, first = (current ? current[6] : given.first) != 0;
    long long start = (long long)(blockIdx.x - starts.of[t]) * CHUNK;
    long long stop = min(start + CHUNK, sizes.of[t]);
    for (long long i = start + threadIdx.x; i < stop; i += blockDim.x) {
        real parameter = parameters.of[t][i], step = sign * gradients.of[t][i];
        if (decay != 0) step += decay * parameter;  // 0 times infinity would be NaN
        if (buffers.of[t]) {
            real buffer = first ? step : momentum * buffers.of[t][i] + rest * step;
            buffers.of[t][i] = buffer;
            step = nesterov ? step + momentum * buffer : buffer;
        }
        parameters.of[t][i] = parameter - lr * step;
    }
}

// shrink = 1 - lr * weight_decay for AdamW, else 1; decay = weight_decay for Adam, else 0; rest1 = 1 - beta1, rest2 =
// 1 - beta2; root = sqrt(1 - beta2**t); step_size = lr / (1 - beta1**t). `largest` are AMSGrad's, or null.
extern "C" __global__ void __launch_bounds__(256) adam(
    DENSE const Arrays parameters, DENSE const Arrays gradients, DENSE const Arrays averages,
    DENSE const Arrays squares, DENSE const Arrays largest, Sizes sizes, Starts starts, int tensors, AdamNumbers given,
    OPTIONAL C_ORDER const double *__restrict__ current) {
    int t = own_tensor(starts, tensors);
    real shrink = current ? current[0] : given.shrink, decay = current ? current[1] : given.decay;
    real sign = current ? current[2] : given.sign, rest1 = current ? current[3] : given.rest1;
    real beta2 = current ? current[4] : given.beta2, rest2 = current ? current[5] : given.rest2;
    real root = current ? current[6] : given.root, epsilon = current ? current[7] : given.epsilon;
    real step_size = current ? current[8] : given.step_size;
    long long start = (long long)(blockIdx.x - starts.of[t]) * CHUNK;
    long long stop = min(start + CHUNK, sizes.of[t]);
    for (long long i = start + threadIdx.x; i < stop; i += blockDim.x) {
        real parameter = parameters.of[t][i], direction = sign * gradients.of[t][i];
        if (decay != 0) direction += decay * parameter;
        real average = averages.of[t][i], square = beta2 * squares.of[t][i] + rest2 * direction * direction;
        average += rest1 * (direction - average);
        averages.of[t][i] = average;
        squares.of[t][i] = square;
        if (largest.of[t]) {
            real before = largest.of[t][i];
            square = square > before || square != square ? square : before;
            largest.of[t][i] = square;
        }
        parameters.of[t][i] = parameter * shrink - step_size * (average / (sqrt(square) / root + epsilon));
    }
}
