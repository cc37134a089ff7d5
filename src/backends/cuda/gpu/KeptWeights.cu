#include "backends/cuda/gpu/KeptWeights.h"

#include "backends/cuda/Launch.cuh"
#include "backends/cuda/Recast.cuh"

namespace pewter::cuda {

namespace {

/// Runs of float32 that become runs of one 16-bit type in one launch.
struct ConversionTable {
    static constexpr int kMost = 120;
    const float* from[kMost];
    void* to[kMost];
    std::uint32_t count[kMost];
    std::uint32_t first[kMost];  ///< block of each
    int runs;
    bool half;
};
static_assert(sizeof(ConversionTable) <= 4000, "kernels take 4 KB of parameters");

constexpr std::uint32_t kLanes = 8, kBlock = kThreads * kLanes;

struct alignas(16) EightShorts {
    std::uint16_t lane[kLanes];
};
struct alignas(16) FourFloats {
    float lane[4];
};

__global__ void convertTableKernel(const ConversionTable table) {
    int k = 0;
    while (k + 1 < table.runs && table.first[k + 1] <= blockIdx.x) ++k;
    const std::uint32_t begin = (blockIdx.x - table.first[k]) * kBlock + threadIdx.x * kLanes, count = table.count[k];
    const float* from = table.from[k];
    auto* to = static_cast<std::uint16_t*>(table.to[k]);
    const auto convert = [&](float x) { return table.half ? floatToHalf(x) : floatToBrain(x); };
    if (begin + kLanes <= count) {
        const auto* in = reinterpret_cast<const FourFloats*>(from + begin);
        const FourFloats low = in[0], high = in[1];
        EightShorts out;
        for (std::uint32_t l = 0; l < 4; ++l) out.lane[l] = convert(low.lane[l]), out.lane[4 + l] = convert(high.lane[l]);
        *reinterpret_cast<EightShorts*>(to + begin) = out;
    } else {
        for (std::uint32_t i = begin; i < count; ++i) to[i] = convert(from[i]);
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
        table.half = type == ops::Type::Float16;
        std::uint32_t blocks = 0;
        const auto finish = [&] {
            if (table.runs) launch(stream, convertTableKernel, blocks, kThreads, table);
            table.runs = 0, blocks = 0;
        };
        for (auto& [key, kept] : forms_) {
            if (!kept.early || kept.count == 0 || std::get<WeightsForm>(key).type != type) continue;
            table.from[table.runs] = static_cast<const float*>(std::get<0>(key));
            table.to[table.runs] = kept.memory;
            table.count[table.runs] = static_cast<std::uint32_t>(kept.count);
            table.first[table.runs++] = blocks;
            blocks += static_cast<std::uint32_t>((kept.count + kBlock - 1) / kBlock);
            kept.valid = true;
            if (table.runs == ConversionTable::kMost) finish();
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
