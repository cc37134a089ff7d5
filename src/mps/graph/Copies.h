#pragma once

#include <memory>
#include <unordered_map>

#include "mps/graph/Program.h"

namespace pewter::mps {

/// What the steps of a graph that is copied or read from an archive have in common.
class StepSharing final : public Sharing {
public:
    std::shared_ptr<void>& shared(const void* dataSource) override { return shared_[dataSource]; }

private:
    std::unordered_map<const void*, std::shared_ptr<void>> shared_;
};

/// The program with copies of its kernels on another device. A data source is copied once for all its kernels; one that
/// has no copies, padding policies, callbacks, allocators and handles are those of the original.
std::shared_ptr<GraphProgram> copyProgram(const GraphProgram& program, const std::shared_ptr<MTL::Device>& device);

}  // namespace pewter::mps
