#pragma once

#include <MPS/Image.hpp>
#include <memory>
#include <string>
#include <vector>

#include "mps/graph/Step.h"

namespace MPS {
class Handle;
class NNImageNode;
}  // namespace MPS

namespace pewter::mps {

inline constexpr std::size_t kNone = static_cast<std::size_t>(-1);

/// An image that flows through the program: an input, or the result of one step.
struct ImageSlot {
    std::shared_ptr<MPS::Handle> handle;
    MPS::ImageFeatureChannelFormat format = MPS::ImageFeatureChannelFormat::None;
    std::shared_ptr<MPS::ImageAllocator> allocator;
    bool exported = false, synchronize = false;
    std::size_t producer = kNone;    ///< step, or kNone for an input
    std::size_t lastReader = kNone;  ///< step, or kNone
    std::size_t reads = 0;           ///< by the kernels of the program
    std::size_t results = 0;         ///< how often it is a needed result image
    bool isMade = true;              ///< false when its step runs without a result image
};

/// A state that flows through the program.
struct StateSlot {
    std::shared_ptr<MPS::Handle> handle;
    bool exported = false, synchronize = false, persistent = false;
    std::size_t producer = kNone, lastReader = kNone;
    std::size_t reads = 0;
    std::size_t readsOfProducer = 0;  ///< reads by the step that makes it
};

/// One step and the slots it touches.
struct ProgramStep {
    std::unique_ptr<Step> step;
    std::vector<std::size_t> images, states;
    std::size_t result = kNone;
    std::size_t state = kNone;  ///< slot of the state it makes, if anybody reads it
};

/// A graph compiled to a flat list of steps over slots.
class GraphProgram {
public:
    /// Walks back from the results, drops what nothing needs, orders, and makes the kernels.
    GraphProgram(const std::shared_ptr<MTL::Device>& device,
                 const std::vector<std::shared_ptr<MPS::NNImageNode>>& results,
                 const std::vector<bool>& needed);

    std::vector<ProgramStep> steps;
    std::vector<ImageSlot> images;
    std::vector<StateSlot> states;

    std::vector<std::size_t> sourceImages, sourceStates;  ///< slots, in the order encodes expect
    std::vector<std::size_t> exportedImages, exportedStates;
    std::vector<std::size_t> results;  ///< slot of each result image
    std::vector<bool> resultNeeded;

    std::vector<std::shared_ptr<MPS::Handle>> sourceImageHandles, sourceStateHandles, exportedImageHandles,
        exportedStateHandles;
    std::shared_ptr<MPS::Handle> resultHandle;
};

}  // namespace pewter::mps
