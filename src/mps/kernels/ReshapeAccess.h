#pragma once

#include <MPS/NNReshape.hpp>
#include <vector>

namespace pewter::mps {

/// What graphs see of a reshape kernel beyond its public face.
struct ReshapeAccess {
    /// destinationImageDescriptor() for a result of the given shape; checks the number of elements.
    static MPS::ImageDescriptor describe(MPS::NNReshape& kernel,
                                         const std::vector<std::shared_ptr<MPS::Image>>& sourceImages,
                                         const MPS::StateBatch& sourceStates, std::size_t width,
                                         std::size_t height, std::size_t featureChannels);
};

}  // namespace pewter::mps
