// Softmax and cross entropy in one, one warp for each row of logits (rows, classes). Formulas in kernels/plain/loss.py.
//
// The caller checks that targets are classes, where he can without waiting for the GPU. A target that is none gives NaN
// here, instead of reading beyond the arrays.

__device__ inline real weight_of(const real *__restrict__ weight, long long y, int classes) {
    if (y < 0 || y >= classes) return log((real)-1);  // NaN
    return weight ? weight[y] : (real)1;
}

// losses[row] = -(1 - s) * weight[y] * log p[y] - s / classes * sum_c weight[c] * log p[c], and p itself; 0 where the
// target is ignore_index. weight may be null: ones.
extern "C" __global__ void cross_entropy(
    C_ORDER const real *__restrict__ logits, C_ORDER const long long *__restrict__ target,
    OPTIONAL C_ORDER const real *__restrict__ weight, C_ORDER real *__restrict__ losses,
    C_ORDER real *__restrict__ probabilities, int rows, int classes, long long ignore_index, real smoothing) {
    int row = own_warp(), lane = threadIdx.x % WARP;
    if (row >= rows) return;  // whole warps leave
    long long start = (long long)row * classes;
    real largest = warp_largest(logits, start, classes);
    real sum = 0;
    for (int c = lane; c < classes; c += WARP) sum += exp(logits[start + c] - largest);
    sum = warp_sum(sum);
    real log_sum = log(sum), smooth = 0;
    for (int c = lane; c < classes; c += WARP) {
        real log_p = logits[start + c] - largest - log_sum;
        probabilities[start + c] = exp(log_p);
        if (smoothing != 0) smooth -= (weight ? weight[c] : (real)1) * log_p;
    }
    smooth = warp_sum(smooth);
    if (lane != 0) return;
    long long y = target[row];
    if (y == ignore_index) {
        losses[row] = 0;
        return;
    }
    real loss = -weight_of(weight, y, classes);
    if (loss == loss) loss *= logits[start + y] - largest - log_sum;
    losses[row] = smoothing != 0 ? (1 - smoothing) * loss + smoothing / classes * smooth : loss;
}

// dlogits[c] = scale * ((1 - s) * weight[y] * (p[c] - [c = y]) + s / classes * (p[c] * W - weight[c])), W the sum of
// the weights; 0 where the target is ignore_index.
extern "C" __global__ void cross_entropy_gradient(
    C_ORDER const real *__restrict__ scale, C_ORDER const real *__restrict__ probabilities,
    C_ORDER const long long *__restrict__ target, OPTIONAL C_ORDER const real *__restrict__ weight,
    C_ORDER real *__restrict__ dlogits, int rows, int classes, long long ignore_index, real smoothing) {
    int row = own_warp(), lane = threadIdx.x % WARP;
    if (row >= rows) return;
    long long start = (long long)row * classes, y = target[row];
    bool ignored = y == ignore_index;
    real all_weights = classes;
    if (weight && smoothing != 0) {
        real sum = 0;
        for (int c = lane; c < classes; c += WARP) sum += weight[c];
        all_weights = warp_sum(sum);
    }
    real hard = ignored ? (real)0 : (1 - smoothing) * weight_of(weight, y, classes), share = smoothing / classes;
    real factor = ignored ? (real)0 : scale[row];
    for (int c = lane; c < classes; c += WARP) {
        real p = probabilities[start + c], gradient = hard * (p - (real)(c == y));
        if (smoothing != 0) gradient += share * (p * all_weights - (weight ? weight[c] : (real)1));
        dlogits[start + c] = ignored ? (real)0 : factor * gradient;
    }
}
