#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"

namespace pewter::cpu {

/// From this number of channels on, loops over the channels of a pixel pay; below, loops over the elements of
/// a row, which lie in registers or are gathered.
inline constexpr std::int64_t kManyChannels = 16;

/// What one output of an axis reads: weightA of pixel a and weightB of pixel b; a < 0: nothing.
struct ResampleStep {
    std::int64_t a, b;
    float weightA, weightB;
};

/// A row made element by element, `lanes` at a time: element k is the sum over its readers t of weight times
/// the element of another row. Each register takes its elements out of a window of that row.
struct ResampleGather {
    std::int64_t count = 0, readers = 0, blocks = 0;
    /// For reader t of block b, at b * readers + t: where the window starts, and how many registers it is
    /// wide; 0 for a wide one whose elements are loaded one by one.
    const std::int64_t* windows = nullptr;
    const std::int32_t* widths = nullptr;
    /// lanes for each window: the place in it, and the weight. Null weights, of one reader, are 1.
    const std::int32_t* places = nullptr;
    const float* weights = nullptr;
};

/// A resampling of dense float32 images; image i of dst is image i / views of src seen through view i %
/// views.
struct ResamplePlan {
    const float* src = nullptr;
    float* dst = nullptr;
    std::int64_t h = 0, w = 0, c = 0, outH = 0, outW = 0, views = 1;
    /// outH and outW entries a view.
    const ResampleStep* rows = nullptr;
    const ResampleStep* columns = nullptr;
    /// One view of few channels: an output row out of a source row; else no readers.
    ResampleGather gather;
    /// Whether rows are mixed before they are resampled along x: fewer rows come out than go in.
    bool rowsFirst = false;
    /// Whether dst is too large to stay in the caches.
    bool streaming = false;
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
    /// Few channels: a result row out of an incoming row; else no readers.
    ResampleGather gather;
};

}  // namespace pewter::cpu

/// What windows of a ResampleGather are made of: floats of a register, and registers that a window may have
/// (0: none). resampleRows: rows [from, to) of all images of dst, counted through; lines has room for 2 *
/// outW * c, or (w + outW) * c where rows are mixed first. resampleGradientRows: rows [from, to) of all images of src; line has room for outW * c.
#define PEWTER_UPSAMPLING_FUNCTIONS                                                                 \
    std::int64_t gatherLanes();                                                                     \
    std::int64_t gatherRegisters();                                                                 \
    void resampleRows(const ResamplePlan& plan, std::int64_t from, std::int64_t to, float* lines);  \
    void resampleGradientRows(const ResampleGradientPlan& plan, std::int64_t from, std::int64_t to, \
                              float* line);

PEWTER_VECTOR_FUNCTIONS(PEWTER_UPSAMPLING_FUNCTIONS)
