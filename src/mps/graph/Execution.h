#pragma once

#include <MPS/NNGraph.hpp>
#include <memory>
#include <string>
#include <vector>

#include "mps/graph/Program.h"
#include "mtl/CommandBuffer.h"

namespace pewter::mps {

/// One encode of a program: images and states of its slots, read counts, and the way back if it fails.
class Execution {
public:
    struct Settings {
        std::string name;
        MPS::ImageFeatureChannelFormat format = MPS::ImageFeatureChannelFormat::Float16;
        std::shared_ptr<MPS::ImageAllocator> resultAllocator;
        bool outputStateIsTemporary = false;
        bool batch = true;
        /// Plans only: data sources are not asked for updates, and the steps' host state is taken back.
        bool dry = false;
    };

    Execution(GraphProgram& program, std::shared_ptr<MTL::CommandBuffer> commandBuffer, Settings settings);
    ~Execution();

    /// Checks the inputs and raises the counts of temporaries for the time of the encode.
    void bindSources(const std::vector<MPS::ImageBatch>& images, const std::vector<MPS::StateBatch>& states);
    void run();

    /// Result 0; empty when it is not needed.
    MPS::ImageBatch result();
    /// Exported images and further results, exported states; the caller's to keep. Null: dropped.
    void deliver(std::vector<MPS::ImageBatch>* images, std::vector<MPS::StateBatch>* states);

    /// Filled by run() when set before.
    MPS::NNGraphReport* report = nullptr;

private:
    void runStep(std::size_t index);
    void makeImages(const ProgramStep& step, StepArguments& arguments);
    void makeStates(const ProgramStep& step, StepArguments& arguments);
    void releaseAfter(std::size_t index);
    void noteStep(std::size_t index, const ProgramStep& step);

    GraphProgram& program_;
    /// The buffer that records now; a callback may have handed over the one of the start.
    mtl::CommandBuffer& root() { return mtl::rootOf(*commandBuffer_); }
    /// Lowers the count of every source by the graph's own read.
    void returnHeld();

    std::shared_ptr<MTL::CommandBuffer> commandBuffer_, start_;
    Settings settings_;
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
};

}  // namespace pewter::mps
