#pragma once

#include "ops/Tensor.h"

namespace pewter::ops {

enum class ReductionOperation : std::uint8_t { Sum, Mean, Min, Max, ArgumentMin, ArgumentMax };

/// Reduces src over every axis along which dst has extent 1 and src more; n is equal.
///   Sum   scale * sum of x [* weight]
///   Mean  the same divided by the number of elements; with byNonZeroWeights (Sum or Mean) by the number of
///         weights that are not 0 instead, and 0 where all are
///   Min, Max  a NaN wins over everything
///   ArgumentMin, ArgumentMax  over channels only: the lowest index of the extremum, as a number; the first
///   NaN
/// weights has the extents of src, may be null, and belongs to Sum and Mean.
struct Reduction {
    ReductionOperation operation = ReductionOperation::Sum;
    Tensor src, weights, dst;
    float scale = 1;
    bool byNonZeroWeights = false;
};

}  // namespace pewter::ops
