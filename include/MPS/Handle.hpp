#pragma once

#include <string>

#include <MTL/Export.hpp>

namespace MPS {

/// MPSHandle: an object of the application that names an image or state node. The graph never looks inside;
/// it hands the handle back in its lists of inputs and outputs. Source: MPSNNGraphNodes.h.
class PEWTER_API Handle {
public:
    virtual ~Handle();
    /// Becomes the debug label of what is made for the node; may be empty.   Objective-C: -label
    virtual std::string label() const = 0;
};

}  // namespace MPS
