#include "backends/cpu/Cpu.h"

#include <algorithm>
#include <fstream>
#include <stdexcept>

#include "backends/cpu/AlignedMemory.h"
#include "backends/cpu/ConvolutionChoices.h"
#include "backends/cpu/Engine.h"
#include "backends/cpu/Parallel.h"
#include "ops/Backends.h"

namespace pewter::cpu {

namespace {

/// The processor's name as the system tells it.
std::string processorName() {
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);) {
        if (!line.starts_with("model name")) continue;
        const std::size_t colon = line.find(": ");
        if (colon != std::string::npos) return line.substr(colon + 2);
    }
    return "processor";
}

}  // namespace

Cpu::Cpu()
    : primitives_(std::make_unique<PrimitiveCache>()),
      choices_(std::make_unique<ConvolutionChoices>(processorName() + ", " + libraryVersion())) {}

Cpu::~Cpu() = default;

std::string Cpu::description() const {
    const int count = threads();
    return processorName() + ", " + std::to_string(count) + (count == 1 ? " thread, " : " threads, ") +
           libraryVersion();
}

int Cpu::threads() const { return maxThreads(); }

void* Cpu::allocate(std::size_t bytes) { return allocateAligned(bytes); }

void Cpu::deallocate(void* memory, std::size_t bytes) noexcept { freeAligned(memory, bytes); }

std::unique_ptr<ops::Stream> Cpu::newStream() { return std::make_unique<CpuStream>(); }

bool Cpu::supports(ops::Type imageType) const {
    switch (imageType) {
        case ops::Type::Float32:
        case ops::Type::Float16:
        case ops::Type::BFloat16:
        case ops::Type::Unorm8:
        case ops::Type::Unorm16:
            return true;
        default:
            return false;
    }
}

}  // namespace pewter::cpu

namespace pewter::ops {

BackendEntry cpuBackend() {
    try {
        return {"cpu", std::make_shared<cpu::Cpu>(), ""};
    } catch (const std::invalid_argument& error) {
        return {"cpu", nullptr, error.what()};
    }
}

}  // namespace pewter::ops
