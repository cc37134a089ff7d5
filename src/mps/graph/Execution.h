#pragma once

#include <MPS/NNGraph.hpp>
#include <memory>
#include <string>
#include <vector>

#include "mps/graph/JoinedUpdates.h"
#include "mps/graph/Program.h"
#include "mps/graph/Recording.h"
#include "mtl/CommandBuffer.h"

namespace pewter::mps {

/// Sets the count of every distinct temporary of a batch.
void setReads(const MPS::ImageBatch& batch, std::size_t reads);
void setReads(const MPS::StateBatch& batch, std::size_t reads);

/// One encode of a program: images and states of its slots, read counts, and the way back if it fails.
class Execution {
public:
    using Settings = Recording::Settings;

    /// recording: the encode only fills it; data sources are not asked for updates, and the steps' host state is taken
    /// back.
    Execution(std::shared_ptr<GraphProgram> program, std::shared_ptr<MTL::CommandBuffer> commandBuffer, Settings settings,
              Recording* recording = nullptr);
    ~Execution();

    /// Goes on with another program of the same graph; before bindSources().
    void use(std::shared_ptr<GraphProgram> program);
    /// Checks the inputs.
    void bindSources(const std::vector<MPS::ImageBatch>& images, const std::vector<MPS::StateBatch>& states);
    /// Encodes step by step.
    void run();
    /// Runs a recording made for sources of this shape instead.
    void replay(const std::shared_ptr<Recording>& recording, const SourceShape& shape);

    /// Result 0; empty when it is not needed.
    MPS::ImageBatch result();
    /// Exported images and further results, exported states; the caller's to keep. Null: dropped.
    void deliver(std::vector<MPS::ImageBatch>* images, std::vector<MPS::StateBatch>* states);

private:
    void runStep(std::size_t index);
    void makeImages(const ProgramStep& step, StepArguments& arguments);
    void makeStates(const ProgramStep& step, StepArguments& arguments);
    void releaseAfter(std::size_t index);
    void checkImage(const ProgramStep& step, const MPS::ImageDescriptor& descriptor, const MPS::ImageBatch& images) const;
    /// Refuses a format whose clamping the rewrites have left out.
    void checkFormat() const;
    void keepResult(std::size_t slot, const MPS::ImageBatch& images);
    void planHostPart(std::size_t index, const StepArguments& arguments);
    void planUpdate(std::size_t index, std::size_t end, const StepArguments& arguments);
    void planJoined();
    void runHostPart(const Recording::Update& update);

    std::shared_ptr<GraphProgram> shared_;
    /// The buffer that records now; a callback may have handed over the one of the start.
    mtl::CommandBuffer& root() { return mtl::rootOf(*commandBuffer_); }
    /// Raises the counts of temporary sources, so that the graph's own read is the last.
    void raiseHeld();
    /// Lowers the count of every source by the graph's own read.
    void returnHeld();

    std::shared_ptr<MTL::CommandBuffer> commandBuffer_, start_;
    Settings settings_;
    Recording* recording_;
    std::size_t commands_, handlers_, temporaries_;
    std::size_t stepsBegun_ = 0;
    bool done_ = false;
    std::vector<MPS::ImageBatch> images_;
    std::vector<MPS::StateBatch> states_;
    struct Held {
        std::shared_ptr<mtl::Temporary> temporary;
        std::size_t before = 0, reads = 0;
    };
    std::vector<Held> held_;
    JoinedUpdates joined_;
};

}  // namespace pewter::mps
