#include "backends/cuda/gpu/Operands.h"

#include "backends/cuda/Recast.cuh"
#include "backends/cuda/gpu/Weights.h"

namespace pewter::cuda {

namespace {

bool isNarrow(ops::Type type) { return type == ops::Type::Float16 || type == ops::Type::BFloat16; }

}  // namespace

bool Operands::areUsable() const {
    if (x.isNull() || w.isNull() || y.isNull() || w.type != ops::Type::Float32) return false;
    if (x.count() == 0 || w.count() == 0 || y.count() == 0) return false;
    for (const auto type : {x.type, y.type})
        if (!isNarrow(type) && type != ops::Type::Float32 && type != ops::Type::Unorm8 && type != ops::Type::Unorm16)
            return false;
    return true;
}

ops::Type productType(const Operands& operands, Direction direction, ops::Exactness exactness) {
    const ops::Type x = operands.x.type, y = operands.y.type;
    if (exactness == ops::Exactness::Products) return ops::Type::Float32;
    // A result in bytes would be rounded twice.
    const bool bytesAreRead = operands.result(direction).type != ops::Type::Unorm8;
    if (isNarrow(x) && (x == y || (y == ops::Type::Unorm8 && bytesAreRead))) return x;
    if (isNarrow(y) && x == ops::Type::Unorm8 && bytesAreRead) return y;
    return ops::Type::Float32;
}

std::size_t roomOf(const ops::Tensor& t) {
    return t.data ? 0 : aligned(static_cast<std::size_t>(t.count()) * ops::sizeOf(t.type));
}

char* lend(CudaStream& stream, const Operands& operands, Operands& used, Direction direction, std::size_t extra,
           bool bothWays) {
    auto* memory = static_cast<char*>(stream.scratch(roomOf(used.x) + roomOf(used.w) + roomOf(used.y) + extra + 1));
    const auto place = [&](const ops::Tensor& given, ops::Tensor& t, Direction writing, bool isWeights) {
        if (t.data) return;
        const std::size_t room = roomOf(t);
        t.data = memory;
        memory += room;
        if (direction == writing) {
            if (bothWays) recast(stream, given, t);
        } else if (isWeights) {
            t.data = const_cast<void*>(weightsAs(stream, given, {t.type, t.n, t.c}, t.data));
        } else {
            recast(stream, given, t);
        }
    };
    place(operands.x, used.x, Direction::DataGradient, false);
    place(operands.w, used.w, Direction::WeightsGradient, true);
    place(operands.y, used.y, Direction::Forward, false);
    return memory;
}

}  // namespace pewter::cuda
