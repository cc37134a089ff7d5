#pragma once

#include <MPS/Image.hpp>
#include <MPS/NNGraphOptions.hpp>
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
    bool source = false;             ///< an input of the graph

    /// Whether it leaves the graph.
    bool leaves() const { return exported || results > 0; }
    /// Reads that a temporary one starts with: one for each way out.
    std::size_t readCount() const { return reads + results + (exported ? 1 : 0); }
};

/// A state that flows through the program.
struct StateSlot {
    std::shared_ptr<MPS::Handle> handle;
    bool exported = false, synchronize = false, persistent = false;
    std::size_t producer = kNone, lastReader = kNone;
    std::size_t reads = 0;
    bool source = false;  ///< an input of the graph

    std::size_t readCount() const { return reads + (exported ? 1 : 0); }
};

/// One step and the slots it touches.
struct ProgramStep {
    std::shared_ptr<Step> step;
    std::vector<std::size_t> images, states;
    std::size_t result = kNone;
    /// Slots of the states it makes, one for each of the filter's states; kNone for those that nobody reads. The list ends
    /// with the last one that somebody reads.
    std::vector<std::size_t> made;

    /// Made from a gradient filter, or runs a forward kernel again for one.
    bool isGradient = false;
    /// The step whose kernel this one runs again; kNone: it is not a repetition.
    std::size_t recomputes = kNone;
    /// Kernels of filters that became part of this one, by name.
    std::vector<std::string> absorbed;

    std::size_t firstMade() const { return made.empty() ? kNone : made[0]; }
};

/// A graph compiled to a flat list of steps over slots.
class GraphProgram {
public:
    /// Empty, to be filled from an archive.
    GraphProgram() = default;
    /// Walks back from the results, drops what nothing needs, orders, makes the kernels, and rewrites the list as the
    /// options say.
    GraphProgram(const std::shared_ptr<MTL::Device>& device,
                 const std::vector<std::shared_ptr<MPS::NNImageNode>>& results,
                 const std::vector<bool>& needed, const MPS::NNGraphOptions& options = {});

    /// The steps that read image / state slot `slot`, a step once for every argument. Looks at every step.
    std::vector<std::size_t> readersOfImage(std::size_t slot) const;
    std::vector<std::size_t> readersOfState(std::size_t slot) const;
    /// The same of all image / state slots at once.
    std::vector<std::vector<std::size_t>> imageReaders() const;
    std::vector<std::vector<std::size_t>> stateReaders() const;
    /// Drops step `index`, whose result nobody reads.
    void removeStep(std::size_t index) { steps.erase(steps.begin() + static_cast<std::ptrdiff_t>(index)); }
    /// Gives every kernel the graph's options, once they change from None.
    void setOptions(MPS::KernelOptions options);
    /// Whether results may lie where a source did.
    bool inPlace = true;
    /// Whether sources of concatenations may lie in their result.
    bool concatenateInPlace = true;
    /// Whether images may lie in blocks of channels.
    bool chooseLayouts = true;
    /// Whether updates from small gradients may wait for one another.
    bool joinUpdates = true;

    /// Drops image slots that no step writes any more, and counts reads, first writers and last readers anew from the
    /// steps; after every change of the list.
    void finish();

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

private:
    void dropUnwritten();

    MPS::KernelOptions options_ = MPS::KernelOptionsNone;
};

/// Who makes the image of a slot: result 0 has the graph's allocator.
inline const std::shared_ptr<MPS::ImageAllocator>& allocatorOf(const GraphProgram& program, std::size_t slot,
                                                               const std::shared_ptr<MPS::ImageAllocator>& ofResult) {
    const bool first = !program.results.empty() && program.results[0] == slot && program.images[slot].results > 0;
    return first ? ofResult : program.images[slot].allocator;
}

}  // namespace pewter::mps
