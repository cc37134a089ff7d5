#pragma once

#include <algorithm>
#include <unordered_set>
#include <vector>

#include "mps/graph/Program.h"

namespace pewter::mps {

/// Whether images of the format hold fewer values than the kernels compute: making one does more than round.
inline bool clamps(MPS::ImageFeatureChannelFormat format) {
    using Format = MPS::ImageFeatureChannelFormat;
    return format == Format::Unorm8 || format == Format::Unorm16;
}

/// Whether nobody but the library makes the image: an allocator of the user's sees every image it was set for, and the
/// kernel it is made for.
inline bool isOurs(const ImageSlot& image) {
    return image.allocator == MPS::TemporaryImage::defaultAllocator() || image.allocator == MPS::Image::defaultAllocator();
}

/// Whether only kernels of the program see the image, in full: it may as well not be made.
inline bool isInner(const ImageSlot& image) {
    return !image.source && !image.leaves() && image.isMade && isOurs(image) && !image.synchronize && !clamps(image.format);
}

/// A program while a pass takes steps out of it: all that is known about steps and slots, found once, by numbers that
/// stay until the end.
class Fusion {
public:
    explicit Fusion(GraphProgram& program)
        : program_(program), imageReaders_(program.imageReaders()), stateReaders_(program.stateReaders()) {
        writers_.assign(program.images.size(), kNone);
        makers_.assign(program.states.size(), kNone);
        for (std::size_t i = 0; i < program.steps.size(); ++i) {
            writers_[program.steps[i].result] = i;
            for (const std::size_t state : program.steps[i].made)
                if (state != kNone) makers_[state] = i;
        }
    }
    ~Fusion() {
        std::vector<ProgramStep> kept;
        for (std::size_t i = 0; i < program_.steps.size(); ++i)
            if (!gone_.contains(i)) kept.push_back(std::move(program_.steps[i]));
        program_.steps = std::move(kept);
    }
    Fusion(const Fusion&) = delete;
    Fusion& operator=(const Fusion&) = delete;

    /// The last step that writes the image, or the one that makes the state; kNone: an input.
    std::size_t writer(std::size_t image) const { return writers_[image]; }
    std::size_t maker(std::size_t state) const { return makers_[state]; }
    const std::vector<std::size_t>& readers(std::size_t image) const { return imageReaders_[image]; }
    const std::vector<std::size_t>& stateReaders(std::size_t state) const { return stateReaders_[state]; }
    /// Whether exactly these steps read the image, in order.
    bool isReadBy(std::size_t image, const std::vector<std::size_t>& steps) const { return readers(image) == steps; }

    /// Step `index` reads another image as its source `position`.
    void reread(std::size_t index, std::size_t position, std::size_t image) {
        auto& images = program_.steps[index].images;
        forget(imageReaders_[images[position]], index);
        images[position] = image;
        add(imageReaders_[image], index);
    }
    /// Step `index` reads another state as its state `position`.
    void rereadState(std::size_t index, std::size_t position, std::size_t state) {
        auto& states = program_.steps[index].states;
        forget(stateReaders_[states[position]], index);
        states[position] = state;
        add(stateReaders_[state], index);
    }
    /// One source more.
    void readToo(std::size_t index, std::size_t image) {
        program_.steps[index].images.push_back(image);
        add(imageReaders_[image], index);
    }
    /// Step `index` writes another image.
    void rewrite(std::size_t index, std::size_t image) {
        program_.steps[index].result = image;
        writers_[image] = index;
    }
    /// `by` does from now on what step `index` did.
    void take(std::size_t index, std::size_t by) {
        program_.steps[by].absorbed.push_back(program_.steps[index].step->kernel().name());
        for (const std::size_t image : program_.steps[index].images) forget(imageReaders_[image], index);
        for (const std::size_t state : program_.steps[index].states) forget(stateReaders_[state], index);
        gone_.insert(index);
    }

private:
    static void forget(std::vector<std::size_t>& readers, std::size_t index) {
        readers.erase(std::find(readers.begin(), readers.end(), index));
    }
    static void add(std::vector<std::size_t>& readers, std::size_t index) {
        readers.insert(std::upper_bound(readers.begin(), readers.end(), index), index);
    }

    GraphProgram& program_;
    std::vector<std::vector<std::size_t>> imageReaders_, stateReaders_;
    std::vector<std::size_t> writers_, makers_;
    std::unordered_set<std::size_t> gone_;
};

}  // namespace pewter::mps
