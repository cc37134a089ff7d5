#pragma once

#include <MPS/NNRecomputePolicy.hpp>
#include <functional>
#include <memory>
#include <unordered_set>

#include "mps/graph/Program.h"
#include "mps/graph/Recording.h"

namespace pewter::mps {

/// The program with these image slots computed again for the gradient kernels that read them, instead of kept.
std::shared_ptr<GraphProgram> recomputing(const GraphProgram& program, const std::unordered_set<std::size_t>& dropped);

/// Image slots that may be dropped: forward results inside the graph, made by kernels that give the same again, read by
/// gradient kernels.
std::unordered_set<std::size_t> recomputableImages(const GraphProgram& program);

/// What a policy makes of a program. record: records and plans a program for the sources at hand.
struct Recomputed {
    std::shared_ptr<GraphProgram> program;
    std::shared_ptr<Recording> recording;
};
using Record = std::function<std::shared_ptr<Recording>(const std::shared_ptr<GraphProgram>&)>;
Recomputed applyPolicy(const std::shared_ptr<GraphProgram>& program, const MPS::NNRecomputePolicy& policy,
                       const std::string& graph,
                       const Record& record);

}  // namespace pewter::mps
