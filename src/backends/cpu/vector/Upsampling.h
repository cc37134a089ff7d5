#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"

namespace pewter::cpu {

/// What one output of an axis reads: weightA of pixel a and weightB of pixel b; a < 0: nothing.
struct ResampleStep {
    std::int64_t a, b;
    float weightA, weightB;
};

/// A resampling of dense float32 images; image i of dst is image i / views of src seen through view i %
/// views.
struct ResamplePlan {
    const float* src = nullptr;
    float* dst = nullptr;
    std::int64_t h = 0, w = 0, c = 0, outH = 0, outW = 0, views = 1;
    bool nearest = false;
    /// outH and outW entries a view.
    const ResampleStep* rows = nullptr;
    const ResampleStep* columns = nullptr;
    /// One view of few channels: for each element of an output row the two elements of a source row that it
    /// reads, and their weights (the second of each absent for nearest); else null.
    const std::int32_t *elementsA = nullptr, *elementsB = nullptr;
    const float *weightsA = nullptr, *weightsB = nullptr;
};

/// For each of `count` pixels the outputs that read it: entries start[i] ... start[i + 1] - 1.
struct ResampleReaders {
    const std::int64_t* start = nullptr;
    const std::int64_t* output = nullptr;
    const float* weight = nullptr;
};

/// The adjoint for one view: dst is the incoming gradient (outH by outW), src the result (h by w).
struct ResampleGradientPlan {
    float* src = nullptr;
    const float* dst = nullptr;
    std::int64_t h = 0, w = 0, c = 0, outH = 0, outW = 0;
    ResampleReaders rows, columns;
    /// Few channels: reader t of element k of a result row is element elements[t * w * c + k] of an incoming
    /// row; `readers` of them, those that are missing point at a 0 behind the row. Else null.
    const std::int32_t* elements = nullptr;
    const float* weights = nullptr;
    std::int64_t readers = 0;
};

}  // namespace pewter::cpu

/// resampleRows: rows [from, to) of all images of dst, counted through; lines has room for 2 * outW * c.
/// resampleGradientRows: rows [from, to) of all images of src; line has room for outW * c + 1.
#define PEWTER_UPSAMPLING_FUNCTIONS                                                                 \
    void resampleRows(const ResamplePlan& plan, std::int64_t from, std::int64_t to, float* lines);  \
    void resampleGradientRows(const ResampleGradientPlan& plan, std::int64_t from, std::int64_t to, \
                              float* line);

PEWTER_VECTOR_FUNCTIONS(PEWTER_UPSAMPLING_FUNCTIONS)
