#include "backends/cuda/Optimizer.cuh"

#include "backends/cuda/BlockTable.cuh"
#include "backends/cuda/Cuda.h"
#include "backends/cuda/ParameterChanges.cuh"

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace {

/// The state of one element.
struct Element {
    float gradient, value, first, second, third;
};

PEWTER_DEVICE void updateElement(const Update& u, Element& e) {
    float g = e.gradient;
    if (u.clip) {
        g = g < u.clipMin ? u.clipMin : g;
        g = u.clipMax < g ? u.clipMax : g;
    }
    g *= u.rescale;
    if (u.regularization == ops::RegularizationType::L2) g += u.regularizationScale * e.value;
    if (u.regularization == ops::RegularizationType::L1)
        g += u.regularizationScale * static_cast<float>((e.value > 0) - (e.value < 0));
    switch (u.type) {
        case ops::OptimizerType::StochasticGradientDescent:
            if (!u.first) {
                e.value -= u.rate * g;
            } else if (u.nesterov) {
                e.first = u.keepFirst * e.first + g;
                e.value -= u.rate * (g + u.keepFirst * e.first);
            } else {
                e.first = u.keepFirst * e.first + u.rate * g;
                e.value -= e.first;
            }
            return;
        case ops::OptimizerType::RMSProp:
            e.first = u.keepFirst * e.first + u.takeFirst * g * g;
            e.value -= u.rate * g / (sqrtf(e.first) + u.epsilon);
            return;
        case ops::OptimizerType::Adam:
            e.first = u.keepFirst * e.first + u.takeFirst * g;
            e.second = u.keepSecond * e.second + u.takeSecond * g * g;
            if (u.third) e.third = e.third < e.second ? e.second : e.third;
            e.value -= u.rate * e.first / (sqrtf(u.third ? e.third : e.second) + u.epsilon);
            return;
    }
}

struct alignas(16) FourFloats {
    float lane[4];
};
struct alignas(8) FourShorts {
    std::uint16_t lane[4];
};

/// Elements 4i .. 4i+3, aligned.
PEWTER_DEVICE void loadFour(ops::Type type, const char* data, std::int64_t i, float (&to)[4]) {
    if (type == ops::Type::Float32) {
        const FourFloats in = reinterpret_cast<const FourFloats*>(data)[i];
        for (int l = 0; l < 4; ++l) to[l] = in.lane[l];
        return;
    }
    const FourShorts in = reinterpret_cast<const FourShorts*>(data)[i];
    for (int l = 0; l < 4; ++l) to[l] = type == ops::Type::Float16 ? halfToFloat(in.lane[l]) : brainToFloat(in.lane[l]);
}
PEWTER_DEVICE void storeFour(ops::Type type, char* data, std::int64_t i, const float (&from)[4]) {
    if (type == ops::Type::Float32) {
        FourFloats out;
        for (int l = 0; l < 4; ++l) out.lane[l] = from[l];
        reinterpret_cast<FourFloats*>(data)[i] = out;
        return;
    }
    FourShorts out;
    for (int l = 0; l < 4; ++l) out.lane[l] = type == ops::Type::Float16 ? floatToHalf(from[l]) : floatToBrain(from[l]);
    reinterpret_cast<FourShorts*>(data)[i] = out;
}

PEWTER_DEVICE void updateFour(const Update& u, std::int64_t i) {
    float gradient[4], value[4], first[4] = {}, second[4] = {}, third[4] = {};
    loadFour(u.gradientType, u.gradient, i, gradient);
    loadFour(u.valuesType, u.values, i, value);
    if (u.first) loadFour(u.firstType, u.first, i, first);
    if (u.second) loadFour(u.secondType, u.second, i, second);
    if (u.third) loadFour(u.thirdType, u.third, i, third);
    for (int l = 0; l < 4; ++l) {
        Element e{gradient[l], value[l], first[l], second[l], third[l]};
        updateElement(u, e);
        value[l] = e.value, first[l] = e.first, second[l] = e.second, third[l] = e.third;
    }
    if (u.first) storeFour(u.firstType, u.first, i, first);
    if (u.second) storeFour(u.secondType, u.second, i, second);
    if (u.third) storeFour(u.thirdType, u.third, i, third);
    storeFour(u.resultType, u.result, i, value);
}

PEWTER_DEVICE void updateOne(const Update& u, std::int64_t i) {
    Element e{loadAs(u.gradientType, u.gradient, i), loadAs(u.valuesType, u.values, i), 0, 0, 0};
    if (u.first) e.first = loadAs(u.firstType, u.first, i);
    if (u.second) e.second = loadAs(u.secondType, u.second, i);
    if (u.third) e.third = loadAs(u.thirdType, u.third, i);
    updateElement(u, e);
    if (u.first) storeAs(u.firstType, u.first, i, e.first);
    if (u.second) storeAs(u.secondType, u.second, i, e.second);
    if (u.third) storeAs(u.thirdType, u.third, i, e.third);
    storeAs(u.resultType, u.result, i, e.value);
}

/// Elements that one block takes, a multiple of four.
inline constexpr std::int64_t kBlock = 4 * kThreads;

struct Table {
    Update update[kUpdates];
    BlockTable<kUpdates> blocks;
};

__global__ void updateKernel(Table table) {
    const int k = table.blocks.runOf(blockIdx.x);
    const Update& u = table.update[k];
    const std::int64_t from = (blockIdx.x - table.blocks.first[k]) * kBlock;
    const std::int64_t end = from + kBlock < u.count ? from + kBlock : u.count;
    std::int64_t rest = from;
    if (u.fours) {
        for (std::int64_t i = from / 4 + threadIdx.x; i < end / 4; i += blockDim.x) updateFour(u, i);
        rest = end / 4 * 4;
    }
    for (std::int64_t i = rest + threadIdx.x; i < end; i += blockDim.x) updateOne(u, i);
}

char* dataOf(const ops::Array& a) { return static_cast<char*>(resolve(a.data)); }

bool inFours(const ops::Array& a) {
    const bool type = a.type == ops::Type::Float32 || a.type == ops::Type::Float16 || a.type == ops::Type::BFloat16;
    return a.isNull() || (type && reinterpret_cast<std::uintptr_t>(a.data) % 16 == 0);
}

}  // namespace

Update updateOf(const ops::OptimizerStep& op) {
    Update u{};
    u.gradient = dataOf(op.gradient), u.gradientType = op.gradient.type;
    u.values = dataOf(op.values), u.valuesType = op.values.type;
    u.result = dataOf(op.result), u.resultType = op.result.type;
    u.first = op.first.isNull() ? nullptr : dataOf(op.first), u.firstType = op.first.type;
    u.second = op.second.isNull() ? nullptr : dataOf(op.second), u.secondType = op.second.type;
    u.third = op.third.isNull() ? nullptr : dataOf(op.third), u.thirdType = op.third.type;
    u.count = op.values.size;
    u.type = op.type;
    u.regularization = op.regularization;
    u.clip = op.clip, u.nesterov = op.nesterov;
    u.fours = inFours(op.gradient) && inFours(op.values) && inFours(op.result) && inFours(op.first) &&
              inFours(op.second) && inFours(op.third);
    u.clipMin = op.clipMin, u.clipMax = op.clipMax;
    u.rescale = op.rescale, u.regularizationScale = op.regularizationScale;
    u.rate = static_cast<float>(op.rate);
    const bool adam = op.type == ops::OptimizerType::Adam, sgd = op.type == ops::OptimizerType::StochasticGradientDescent;
    const double keepFirst = adam ? op.beta1 : sgd ? op.momentum : op.decay;
    u.keepFirst = static_cast<float>(keepFirst), u.takeFirst = static_cast<float>(1 - keepFirst);
    u.keepSecond = static_cast<float>(op.beta2), u.takeSecond = static_cast<float>(1 - op.beta2);
    u.epsilon = op.epsilon;
    return u;
}

void runUpdates(CudaStream& stream, const Update* updates, std::int64_t count) {
    static_assert(sizeof(Table) <= 4000, "kernels take 4 KB of parameters");
    for (std::int64_t start = 0; start < count; start += kUpdates) {
        Table table{};
        for (std::int64_t k = start; k < std::min(count, start + kUpdates); ++k) {
            if (updates[k].count > 0) table.update[table.blocks.add(updates[k].count, kBlock)] = updates[k];
        }
        launchRenewably(stream, updateKernel, table.blocks.blocks, kThreads, table);
    }
}

void Cuda::run(const ops::OptimizerStep& op, ops::Stream& stream) {
    putOff(static_cast<CudaStream&>(stream), updateOf(op));
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
