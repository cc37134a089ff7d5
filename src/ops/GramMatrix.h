#pragma once

#include "ops/Tensor.h"

namespace pewter::ops {

/// dst[n][0][f][c] = alpha * sum over the pixels of src[n] of x_f x_c. dst has h = 1, w = c = the channels of
/// src.
struct GramMatrixForward {
    Tensor src, dst;
    double alpha = 1;
};

/// diffSrc[n][v][u][k] = alpha * sum over c of (diffDst[n][0][k][c] + diffDst[n][0][c][k]) * src[n][v][u][c].
struct GramMatrixGradient {
    Tensor src, diffDst, diffSrc;
    double alpha = 1;
};

}  // namespace pewter::ops
