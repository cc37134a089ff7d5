#include "ops/Compare.h"

#include "backends/cuda/Cuda.h"
#include "backends/cuda/Elementwise.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace {

PEWTER_DEVICE bool holds(ops::ComparisonType type, double threshold, double x, double y) {
    switch (type) {
        case ops::ComparisonType::Equal: return fabs(x - y) <= threshold;
        case ops::ComparisonType::NotEqual: return fabs(x - y) > threshold;
        case ops::ComparisonType::Less: return x < y;
        case ops::ComparisonType::LessOrEqual: return x <= y;
        case ops::ComparisonType::Greater: return x > y;
        case ops::ComparisonType::GreaterOrEqual: return x >= y;
    }
    return false;
}

/// The element as it is: what has no exact float32 is not rounded to one.
PEWTER_DEVICE double exactly(const View& t, const Position& p) {
    const std::int64_t i = t.offset(p.n, p.h, p.w, p.c);
    switch (t.type) {
        case ops::Type::Unorm8: return reinterpret_cast<const std::uint8_t*>(t.data)[i] / 255.0;
        case ops::Type::Unorm16: return reinterpret_cast<const std::uint16_t*>(t.data)[i] / 65535.0;
        case ops::Type::UInt32: return reinterpret_cast<const std::uint32_t*>(t.data)[i];
        default: return loadAs(t.type, t.data, i);
    }
}

bool isFloat(ops::Type type) {
    return type == ops::Type::Float32 || type == ops::Type::Float16 || type == ops::Type::BFloat16;
}

}  // namespace

void Cuda::run(const ops::Compare& op, ops::Stream& stream) {
    const ops::ComparisonType type = op.type;
    const double threshold = op.threshold;
    if (isFloat(op.primary.type) && isFloat(op.secondary.type))
        return elementwise(streamOf(stream), op.dst, {op.primary, op.secondary},
                           PEWTER_KERNEL_LAMBDA(const Inputs<2>& x, int) {
                               return holds(type, threshold, x[0], x[1]) ? 1.0f : 0.0f;
                           });
    const View primary = viewOf(op.primary), secondary = viewOf(op.secondary), dst = viewOf(op.dst);
    forEachElement(streamOf(stream), dst, PEWTER_KERNEL_LAMBDA(const Position& p) {
        store(dst, p, holds(type, threshold, exactly(primary, p), exactly(secondary, p)) ? 1.0f : 0.0f);
    });
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
