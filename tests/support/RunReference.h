#pragma once

#include <memory>

#include "ops/Backends.h"

namespace pewter::test {

/// The oracle.
inline ops::Backend& referenceBackend() {
    static const std::shared_ptr<ops::Backend> backend = ops::referenceBackend().backend;
    return *backend;
}

/// Runs one operation on the oracle.
template <class Op>
void runReference(const Op& op) {
    ops::Stream stream;
    referenceBackend().run(op, stream);
}

/// A tensor read as if it had the given extents: where it has 1 and they have more, its one element is read
/// again.
inline ops::Tensor broadcast(ops::Tensor tensor, std::int64_t n, std::int64_t h, std::int64_t w,
                             std::int64_t c) {
    auto widen = [](std::int64_t& extent, std::int64_t& stride, std::int64_t wanted) {
        if (extent == 1 && wanted != 1) stride = 0;
        extent = wanted;
    };
    widen(tensor.n, tensor.strideN, n);
    widen(tensor.h, tensor.strideH, h);
    widen(tensor.w, tensor.strideW, w);
    widen(tensor.c, tensor.strideC, c);
    return tensor;
}

}  // namespace pewter::test
