#pragma once

#include <cstdint>

#include "backends/cpu/vector/Dispatch.h"

// Between the seam's layouts and oneDNN's blocked ones: images [pixel][channel] and [channel / 16][pixel][16], weights
// [O][tap][I] and [O / 16][I / 16][tap][16 I][16 O]. `step`: from one pixel or tap of the plain side to the next, which is
// more than its channels or inputs where these are a slice of others.

#define PEWTER_BLOCKED_LAYOUT_FUNCTIONS                                                                               \
    /** Some pixels of one image; `blocked` points at the first of them, whose blocks are `blockStride` apart. */     \
    void imageToBlocks(const float* plain, std::int64_t pixels, std::int64_t c, std::int64_t step,                    \
                       std::int64_t blockStride, float* blocked);                                                     \
    /** past: past the caches; then streamEnd() comes before another thread reads. */                                 \
    void imageFromBlocks(const float* blocked, std::int64_t pixels, std::int64_t c, std::int64_t step,                \
                         std::int64_t blockStride, bool past, float* plain);                                          \
    void imageAddBlocks(const float* blocked, std::int64_t pixels, std::int64_t c, std::int64_t step,                 \
                        std::int64_t blockStride, float* plain);                                                      \
    /** Sixteen outputs. */                                                                                           \
    void weightsToBlocks(const float* plain, std::int64_t taps, std::int64_t inputs, std::int64_t step, bool past,    \
                         float* blocked);                                                                             \
    void weightsFromBlocks(const float* blocked, std::int64_t taps, std::int64_t inputs, std::int64_t step, bool add, \
                           float* plain);

PEWTER_VECTOR_FUNCTIONS(PEWTER_BLOCKED_LAYOUT_FUNCTIONS)
