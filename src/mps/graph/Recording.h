#pragma once

#include <MPS/NNGraph.hpp>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "mps/core/StateAccess.h"
#include "mps/graph/ImageParts.h"
#include "mps/graph/Placement.h"
#include "mps/graph/Program.h"
#include "mps/graph/Sources.h"
#include "mtl/CommandBuffer.h"

namespace pewter::mps {

/// What an encode depends on besides its sources.
struct PlanSettings {
    std::string name;
    MPS::ImageFeatureChannelFormat format = MPS::ImageFeatureChannelFormat::Float16;
    std::shared_ptr<MPS::ImageAllocator> resultAllocator;
    bool outputStateIsTemporary = false;
    bool batch = true;
};

/// One encode of a program for sources of one shape, kept: its commands, and where each of its temporaries lies in one
/// piece of memory. A later encode of the same shape takes that piece, says where the sources and results are, and runs
/// the commands. What the host has to do each time (updates by data sources) is noted in between.
///
/// The commands look their memory up when they run, in one place for all runs, so the runs of one recording must be those
/// of one queue, which come one after the other.
class Recording {
public:
    using Settings = PlanSettings;

    /// Records and plans; concatenations without copies, where the program may and it needs no more memory; images in the
    /// layouts that take the least time. Throws what an encode of such sources would throw.
    static std::shared_ptr<Recording> make(const std::shared_ptr<GraphProgram>& program,
                                           const std::shared_ptr<MTL::Device>& device, const Settings& settings,
                                           const std::vector<MPS::ImageBatch>& images,
                                           const std::vector<MPS::StateBatch>& states);
    /// parts: images that are made as channels of others. wholes: extents of all images, from a recording without parts.
    /// inBlocks: by slot; none: no image lies in blocks of channels.
    Recording(const std::shared_ptr<GraphProgram>& program, const std::shared_ptr<MTL::Device>& device, const Settings& settings,
              const std::vector<MPS::ImageBatch>& images, const std::vector<MPS::StateBatch>& states, ImageParts parts = ImageParts(),
              const MPS::NNGraphReport& extents = {}, std::vector<bool> inBlocks = {});

    /// Whether an encode with these settings and sources may run a recording at all.
    static bool isPossible(const GraphProgram& program, const Settings& settings, const SourceShape& shape);

    /// A result image of the graph, made anew by every run.
    struct Result {
        std::size_t slot = 0, step = 0, count = 0;
        MPS::ImageDescriptor descriptor;
        std::shared_ptr<RunMemory> memory;
    };
    /// What the host does after command `end`: Step::encoded(), and the update with these states.
    struct Update {
        std::size_t step = 0, end = 0;
        StepArguments arguments;
        struct Saved {
            MPS::State* state;
            StateAccess::Resources resources;
            std::size_t readCount;
        };
        std::vector<Saved> states;
    };
    /// A number that differs from run to run.
    struct Number {
        std::size_t step;
        std::shared_ptr<std::uint64_t> cell;
    };

    std::shared_ptr<const mtl::CommandList> commands;
    std::vector<Update> updates;  ///< in order
    std::vector<Number> numbers;
    std::vector<Result> results;
    std::vector<std::shared_ptr<RunMemory>> sources;  ///< one a storage of the shape
    std::shared_ptr<mtl::TemporaryHeap> heap;
    MPS::NNGraphReport report;

    // --- for the encode that records ---

    /// Images for a slot that leaves the graph, or that is part of another; empty for others.
    MPS::ImageBatch bound(const GraphProgram& program, std::size_t step, const MPS::ImageDescriptor& descriptor,
                          std::size_t count, const std::shared_ptr<MTL::CommandBuffer>& commandBuffer);
    const ImageParts& parts() const { return parts_; }
    bool isInBlocks(std::size_t slot) const { return !inBlocks_.empty() && inBlocks_[slot]; }
    /// Whether it will be run, not only looked at: an encode step by step places its memory as it goes.
    bool isPlan() const { return isPlan_; }
    void beginStep(std::size_t index, Step& step, bool isRepetition);
    void noteStep(const GraphProgram& program, std::size_t index, const StepArguments& arguments);
    void endStep(std::size_t commands) {
        endTicks_.push_back(heap->tick());
        endCommands_.push_back(commands);
    }
    void noteUpdate(std::size_t step, std::size_t end, const StepArguments& arguments);

private:
    void plan(const GraphProgram& program);
    /// Whose memory each trace has with these parts, and for how long.
    struct Lives {
        /// For each trace the one whose memory it has: itself, the source that it overwrites, or what it is a part of.
        std::vector<std::size_t> roots;
        std::vector<Interval> of;  ///< of the roots, to the end of the last that lies there
    };
    Lives livesWith(const GraphProgram& program, const ImageParts& parts) const;
    void tie(const GraphProgram& program, const ImageParts& parts, Lives& lives) const;
    std::vector<std::size_t> tracesOfImages() const;
    std::vector<Interval> ofRoots(const Lives& lives) const;
    ImageParts chooseParts(const GraphProgram& program) const;
    /// By slot; empty: all stay N,H,W,C.
    struct Layouts {
        std::vector<bool> inBlocks;
        double saved = 0;
    };
    Layouts chooseLayouts(const GraphProgram& program, ops::Backend& backend) const;
    bool mayBeInBlocks(const GraphProgram& program, std::size_t slot) const;
    MPS::ImageBatch part(std::size_t slot, std::size_t channels, std::size_t count, MTL::CommandBuffer& commandBuffer) const;
    /// Where in the memory beside the plan a run puts its results and the states of updates.
    void placeApart();
    std::size_t stepOf(std::size_t tick) const;
    void noteRanges();
    void noteState(std::size_t slot, const MPS::StateBatch& states);

    Settings settings_;
    bool isPlan_ = false;
    std::vector<std::size_t> stepTicks_, endTicks_, endCommands_;
    std::vector<bool> inBlocks_;
    std::vector<const void*> ranges_;  ///< by slot: the temporary memory that its image lies in
    struct Owner {
        std::size_t image = MPS::NNGraphReport::npos, state = MPS::NNGraphReport::npos;
    };
    std::unordered_map<const void*, Owner> owners_;  // by range
    ImageParts parts_;
    std::unordered_map<std::size_t, MPS::ImageDescriptor> wholes_;
    Lives lives_;
    std::vector<std::size_t> apartOffsets_;
    std::size_t apartBytes_ = 0;
};

}  // namespace pewter::mps
