#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <MTL/Export.hpp>

namespace MPS {

/// Which forward images of a training graph are not kept for the backward pass but computed again, by their own kernels
/// from their own sources, right before the gradient kernels that read them (extension). Results are the same bit for
/// bit; a step takes longer, and its temporary memory is smaller. NNGraph::memoryReport() shows both.
class PEWTER_API NNRecomputePolicy {
public:
    /// Everything is kept. The default.
    static NNRecomputePolicy none() { return {}; }
    /// The results of the filters with these labels. An encode throws MPS::Error for a label that no filter of the
    /// graph has, and for one whose result cannot be computed again.
    static NNRecomputePolicy nodes(std::vector<std::string> labels) {
        NNRecomputePolicy policy;
        policy.kind_ = Kind::Nodes;
        policy.labels_ = std::move(labels);
        return policy;
    }
    /// As many as it takes for the temporary memory of an encode to stay within `bytes`, those first that are cheap to
    /// compute for their size. An encode throws MPS::Error, with the least that was found, when it cannot.
    static NNRecomputePolicy budget(std::size_t bytes) {
        NNRecomputePolicy policy;
        policy.kind_ = Kind::Budget;
        policy.bytes_ = bytes;
        return policy;
    }

    enum class Kind { None, Nodes, Budget };
    Kind kind() const { return kind_; }
    const std::vector<std::string>& labels() const { return labels_; }
    std::size_t bytes() const { return bytes_; }

private:
    NNRecomputePolicy() = default;
    Kind kind_ = Kind::None;
    std::vector<std::string> labels_;
    std::size_t bytes_ = 0;
};

}  // namespace MPS
