#pragma once

#include <MPS/NNGraph.hpp>
#include <cstddef>
#include <vector>

namespace pewter::inspect {

/// What a range of memory holds.
enum class Kind { Image, Gradient, State, Scratch };
const char* nameOf(Kind kind);

/// What a report does not say outright: which side of a training graph a step is on, and what its images are.
struct Roles {
    explicit Roles(const MPS::NNGraphReport& report);

    /// Steps that carry gradients back, and those that run a forward kernel again on the way.
    std::vector<bool> backward;
    /// Images that a gradient kernel or a loss has written.
    std::vector<bool> gradientImage;
    /// The first backward step; the number of steps when there is none.
    std::size_t turn = 0;

    Kind kindOf(const MPS::NNGraphReport::Range& range) const;
};

/// The pieces of temporary memory: the report's own, or one for each image and state whose offset is known.
std::vector<MPS::NNGraphReport::Range> rangesOf(const MPS::NNGraphReport& report);

/// For each image that a kernel wrote in place: the image whose memory it took over, npos for all others. Reports say only
/// that such an image has no range of its own; the range of one of its writer's sources then lasts as long as it.
std::vector<std::size_t> memoryOwners(const MPS::NNGraphReport& report);

/// The most that is alive while a step is encoded.
std::size_t liveAt(const MPS::NNGraphReport::Step& step);

/// Bytes of all temporary images and states: what they would take if each had memory of its own.
std::size_t temporaryBytes(const MPS::NNGraphReport& report);

/// The steps that read an image or a state, in order, each once.
struct Readers {
    explicit Readers(const MPS::NNGraphReport& report);
    std::vector<std::vector<std::size_t>> images, states;
};

}  // namespace pewter::inspect
