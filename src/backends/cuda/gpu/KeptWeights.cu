#include "backends/cuda/gpu/KeptWeights.h"

#include "backends/cuda/BlockTable.cuh"
#include "backends/cuda/Lanes.cuh"
#include "backends/cuda/Recast.cuh"

namespace pewter::cuda {

namespace {

constexpr std::uint32_t kLanes = 8, kBlock = kThreads * kLanes;

/// Runs of float32 that become runs of one 16-bit type in one launch.
struct ConversionTable {
    static constexpr int kMost = 120;
    BlockTable<kMost> blocks;
    const float* from[kMost];
    void* to[kMost];
    std::uint32_t count[kMost];
};
static_assert(sizeof(ConversionTable) <= 4000, "kernels take 4 KB of parameters");

template <class T>
__global__ void convertTableKernel(const ConversionTable table) {
    static_assert(TypedLanes<T>::kCount == kLanes);
    const int k = table.blocks.runOf(blockIdx.x);
    const std::uint32_t begin = (blockIdx.x - table.blocks.first[k]) * kBlock + threadIdx.x * kLanes, count = table.count[k];
    View to{};
    to.data = static_cast<char*>(table.to[k]);
    if (begin + kLanes <= count) {
        float values[kLanes];
        loadFloats(table.from[k] + begin, values);
        TypedLanes<T>::store(to, begin, values);
    } else {
        for (std::uint32_t i = begin; i < count; ++i) fromFloat(reinterpret_cast<T*>(to.data)[i], table.from[k][i]);
    }
}

bool is16Bit(ops::Type type) { return type == ops::Type::Float16 || type == ops::Type::BFloat16; }

}  // namespace

KeptWeights::~KeptWeights() {
    for (auto& [key, kept] : forms_) cudaFree(kept.memory);
}

void KeptWeights::begin(CudaStream& stream, bool capturing) {
    for (auto& [key, kept] : forms_) {
        kept.early = kept.early && kept.used;
        kept.valid = kept.stale = kept.used = false;
    }
    if (!capturing) return;
    for (const ops::Type type : {ops::Type::BFloat16, ops::Type::Float16}) {
        ConversionTable table{};
        const auto finish = [&] {
            const auto kernel = type == ops::Type::Float16 ? convertTableKernel<Half> : convertTableKernel<Brain>;
            if (table.blocks.runs) launch(stream, kernel, table.blocks.blocks, kThreads, table);
            table.blocks = {};
        };
        for (auto& [key, kept] : forms_) {
            if (!kept.early || kept.count == 0 || std::get<WeightsForm>(key).type != type) continue;
            const int k = table.blocks.add(kept.count, kBlock);
            table.from[k] = static_cast<const float*>(std::get<0>(key));
            table.to[k] = kept.memory;
            table.count[k] = static_cast<std::uint32_t>(kept.count);
            kept.valid = true;
            if (table.blocks.runs == table.kMost) finish();
        }
        finish();
    }
}

const void* KeptWeights::find(CudaStream& stream, const ops::Tensor& weights, const WeightsForm& form, bool capturing) {
    const auto [at, isNew] = forms_.try_emplace({weights.data, weights.n, weights.h, weights.w, weights.c, form});
    Kept& kept = at->second;
    const auto room = ops::Tensor::dense(kept.memory, form.type, form.outputs, weights.h, weights.w, form.inputs);
    if (!kept.memory) {
        const auto bytes = static_cast<std::size_t>(room.count()) * ops::sizeOf(form.type);
        if (capturing || cudaMalloc(&kept.memory, bytes) != cudaSuccess) {
            cudaGetLastError();
            forms_.erase(at);
            return nullptr;
        }
        const bool plain = weights.isDense() && weights.type == ops::Type::Float32 && is16Bit(form.type) &&
                           weights.sameExtents(room) && room.count() < (std::int64_t{1} << 31) &&
                           reinterpret_cast<std::uintptr_t>(weights.data) % 16 == 0;
        kept.count = plain ? room.count() : 0;
    }
    kept.used = true;
    if (!kept.valid) {
        auto to = room;
        to.data = kept.memory;
        recast(stream, weights, to);
        kept.valid = true;
        kept.early |= !kept.stale;
    }
    return kept.memory;
}

void KeptWeights::noteWritten(const void* values) {
    for (auto& [key, kept] : forms_)
        if (std::get<0>(key) == values) kept.valid = false, kept.stale = true;
}

}  // namespace pewter::cuda
