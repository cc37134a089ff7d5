#pragma once

#include <MPS/NNFilterNode.hpp>
#include <MPS/NNPadding.hpp>
#include <MTL/Error.hpp>
#include <memory>
#include <utility>

#include "mps/graph/Step.h"

namespace pewter::mps {

/// The kernel with the node's padding policy, and its label if it has one (a data source's label stays
/// otherwise).
template <class Kernel>
std::shared_ptr<Kernel> prepared(std::shared_ptr<Kernel> kernel, const MPS::NNFilterNode& node) {
    kernel->setPadding(node.paddingPolicy());
    if (!node.label().empty()) kernel->setLabel(node.label());
    return kernel;
}

/// A new kernel for the node, prepared. What its constructor refuses is reported under the label of the node.
template <class Kernel, class... Arguments>
std::shared_ptr<Kernel> made(const MPS::NNFilterNode& node, Arguments&&... arguments) {
    try {
        return prepared(std::make_shared<Kernel>(std::forward<Arguments>(arguments)...), node);
    } catch (const MPS::Error& error) {
        if (node.label().empty() || error.argument().empty()) throw;
        throw MPS::Error(node.name(), error.argument(), error.expected(), error.found());
    }
}

/// The single pictures of a batch: itself, or views of the pictures that one image of the single-image form
/// holds. Views of a temporary together take one read of it.
inline MPS::ImageBatch singlePictures(const MPS::ImageBatch& images) {
    return images.size() == 1 && images[0]->numberOfImages() > 1 ? images[0]->batchRepresentation() : images;
}

}  // namespace pewter::mps
