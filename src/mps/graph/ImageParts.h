#pragma once

#include <MPS/NNGraph.hpp>
#include <cstddef>
#include <functional>
#include <vector>

#include "mps/graph/Program.h"

namespace pewter::mps {

/// Images of a program that are channels of a wider one: a source of a concatenation that lies in its result, or the
/// gradient of one, which lies in the gradient of the whole. Nothing is copied between the two.
class ImageParts {
public:
    struct Part {
        std::size_t slot = kNone, whole = kNone;
        std::size_t firstChannel = 0;
    };

    explicit ImageParts(std::size_t slots = 0) : wholes_(slots, kNone), firsts_(slots), hasParts_(slots) {}

    void add(const Part& part);
    void remove(const Part& part);
    bool isEmpty() const { return count_ == 0; }
    bool isPart(std::size_t slot) const { return slot < wholes_.size() && wholes_[slot] != kNone; }
    /// Whether other images lie in it, or it in another.
    bool isShared(std::size_t slot) const { return isPart(slot) || (slot < hasParts_.size() && hasParts_[slot] > 0); }
    /// What the slot is a part of at once, itself perhaps a part.
    std::size_t wholeOf(std::size_t slot) const { return isPart(slot) ? wholes_[slot] : kNone; }
    /// The slot whose memory it lies in, and where there; itself for an image of its own.
    Part place(std::size_t slot) const;
    /// For each slot the last step that reads it or one of its parts.
    std::vector<std::size_t> lastReaders(const GraphProgram& program) const;

private:
    std::vector<std::size_t> wholes_, firsts_, hasParts_;
    std::size_t count_ = 0;
};

/// The sources of one concatenation, or one gradient of them, in the order in which they are made.
using PartGroup = std::vector<ImageParts::Part>;

/// Groups of images that may be parts: inside the graph, temporary, of the type and size of the whole, whose channels
/// begin and end at multiples of 4. isOwn: whether an encode makes the image of a slot inside its plan.
std::vector<PartGroup> possibleParts(const GraphProgram& program, const MPS::NNGraphReport& report,
                                     const std::function<bool(std::size_t)>& isOwn);

/// Those of them with which no more bytes live at a time than without: a whole is there from the first of its parts to the
/// last. bytesWith: the most that live at a time.
ImageParts chooseParts(const std::vector<PartGroup>& groups, std::size_t slots,
                       const std::function<std::size_t(const ImageParts&)>& bytesWith);

}  // namespace pewter::mps
