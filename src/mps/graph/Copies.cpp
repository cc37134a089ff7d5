#include "mps/graph/Copies.h"

#include <MTL/Error.hpp>

#include "mps/core/SharedSources.h"
#include "mps/graph/StepParts.h"

namespace pewter::mps {

std::shared_ptr<GraphProgram> copyProgram(const GraphProgram& program, const std::shared_ptr<MTL::Device>& device) {
    const SharedSources sources;
    StepSharing sharing;
    auto copy = std::make_shared<GraphProgram>(program);
    std::unordered_map<const Step*, Step*> copies;
    for (auto& one : copy->steps) {
        auto& original = *one.step;
        auto parts = original.parts();
        parts.replayable = original.mayReplay();
        for (auto& kernel : parts.kernels) kernel = kernel->copy(device);
        if (parts.forward) parts.forward = copies.at(parts.forward);
        one.step = makeStep(parts, sharing);
        copies[&original] = one.step.get();
    }
    return copy;
}

}  // namespace pewter::mps
