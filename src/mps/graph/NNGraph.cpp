#include <fmt/format.h>

#include <MPS/Handle.hpp>
#include <MPS/NNGraph.hpp>
#include <MPS/NNImageNode.hpp>
#include <MPS/NNRecomputePolicy.hpp>
#include <MTL/CommandBuffer.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>

#include "mps/core/ImageAccess.h"
#include "mps/graph/Execution.h"
#include "mps/graph/PlanCache.h"
#include "mps/graph/Program.h"
#include "mps/graph/Report.h"

namespace MPS {

using namespace pewter::mps;

NNGraph::NNGraph(const std::shared_ptr<MTL::Device>& device, const std::shared_ptr<NNImageNode>& resultImage,
                 bool resultImageIsNeeded)
    : Kernel(device), allocator_(Image::defaultAllocator()) {
    build({resultImage}, {resultImageIsNeeded}, {});
}

NNGraph::NNGraph(const std::shared_ptr<MTL::Device>& device,
                 const std::vector<std::shared_ptr<NNImageNode>>& resultImages,
                 const std::vector<bool>& resultsAreNeeded, const NNGraphOptions& options)
    : Kernel(device), allocator_(Image::defaultAllocator()) {
    build(resultImages,
          resultsAreNeeded.empty() ? std::vector<bool>(resultImages.size(), true) : resultsAreNeeded, options);
}

NNGraph::~NNGraph() = default;

void NNGraph::build(const std::vector<std::shared_ptr<NNImageNode>>& resultImages, std::vector<bool> needed,
                    const NNGraphOptions& options) {
    if (resultImages.empty()) throw Error(name(), "resultImages", "at least one image node", "none");
    if (needed.size() != resultImages.size())
        throw Error(name(), "resultsAreNeeded", fmt::format("{} flags, one an image", resultImages.size()),
                    fmt::format("{}", needed.size()));
    for (std::size_t i = 0; i < resultImages.size(); ++i) {
        if (!resultImages[i])
            throw Error(name(), fmt::format("resultImages[{}]", i), "an image node", "null");
        if (!resultImages[i]->producer())
            throw Error(name(), fmt::format("resultImages[{}]", i), "the result image of a filter",
                        "an image that no filter makes");
    }
    plans_ = std::make_unique<PlanCache>();
    policy_ = std::make_unique<NNRecomputePolicy>(NNRecomputePolicy::none());
    program_ = std::make_shared<GraphProgram>(device(), resultImages, needed, options);
}

std::shared_ptr<NNGraph> NNGraph::graph(const std::shared_ptr<MTL::Device>& device,
                                        const std::shared_ptr<NNImageNode>& resultImage,
                                        bool resultImageIsNeeded) {
    return std::make_shared<NNGraph>(device, resultImage, resultImageIsNeeded);
}

std::shared_ptr<NNGraph> NNGraph::graph(const std::shared_ptr<MTL::Device>& device,
                                        const std::vector<std::shared_ptr<NNImageNode>>& resultImages,
                                        const std::vector<bool>& resultsAreNeeded,
                                        const NNGraphOptions& options) {
    return std::make_shared<NNGraph>(device, resultImages, resultsAreNeeded, options);
}

const std::vector<std::shared_ptr<Handle>>& NNGraph::sourceImageHandles() const {
    return program_->sourceImageHandles;
}
const std::vector<std::shared_ptr<Handle>>& NNGraph::sourceStateHandles() const {
    return program_->sourceStateHandles;
}
const std::vector<std::shared_ptr<Handle>>& NNGraph::intermediateImageHandles() const {
    return program_->exportedImageHandles;
}
const std::vector<std::shared_ptr<Handle>>& NNGraph::resultStateHandles() const {
    return program_->exportedStateHandles;
}
const std::shared_ptr<Handle>& NNGraph::resultHandle() const { return program_->resultHandle; }
bool NNGraph::resultImageIsNeeded() const { return program_->resultNeeded[0]; }

void NNGraph::setDestinationImageAllocator(std::shared_ptr<ImageAllocator> allocator) {
    if (!allocator) throw Error(name(), "destinationImageAllocator", "an allocator", "null");
    allocator_ = std::move(allocator);
}

namespace {

/// Refuses an encode of the same graph from inside one of its callbacks.
class EncodingFlag {
public:
    EncodingFlag(bool& flag, const std::string& who) : flag_(flag) {
        if (flag_)
            throw Error(who, "encode", "one encode at a time",
                        "an encode from inside a callback of the same graph");
        flag_ = true;
    }
    ~EncodingFlag() { flag_ = false; }

private:
    bool& flag_;
};

void checkBuffer(const Kernel& graph, const std::shared_ptr<MTL::CommandBuffer>& commandBuffer) {
    if (!commandBuffer) throw Error(graph.name(), "commandBuffer", "a command buffer", "null");
    if (commandBuffer->device() != graph.device())
        throw Error(graph.name(), "commandBuffer",
                    "one of device " + graph.device()->name() + ", the graph's",
                    "one of device " + commandBuffer->device()->name());
}

}  // namespace

ImageBatch NNGraph::run(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                        const std::vector<ImageBatch>& sourceImages, const std::vector<StateBatch>& sourceStates,
                        std::vector<ImageBatch>* intermediateImages, std::vector<StateBatch>* destinationStates,
                        bool batch) {
    EncodingFlag flag(encoding_, name());
    checkBuffer(*this, commandBuffer);
    program_->setOptions(options());
    const Recording::Settings settings{.name = name(),
                                       .format = format_,
                                       .resultAllocator = allocator_,
                                       .outputStateIsTemporary = outputStateIsTemporary_,
                                       .batch = batch};
    Execution execution(program_, commandBuffer, settings);
    execution.bindSources(sourceImages, sourceStates);
    SourceShape shape(sourceImages, sourceStates);
    const bool replayed = Recording::isPossible(*program_, settings, shape);
    if (replayed || policy_->kind() != NNRecomputePolicy::Kind::None) {
        // Runs of one recording follow each other on one queue.
        shape.add({reinterpret_cast<std::uint64_t>(commandBuffer->commandQueue().get()),
                   static_cast<std::uint64_t>(format_), static_cast<std::uint64_t>(batch),
                   static_cast<std::uint64_t>(options()), static_cast<std::uint64_t>(outputStateIsTemporary_),
                   reinterpret_cast<std::uint64_t>(allocator_.get())});
        const Recomputed* plan = plans_->find(shape.key());
        if (!plan) plan = plans_->add(shape.key(), makePlan(settings, sourceImages, sourceStates));
        if (plan->program != program_) {
            execution.use(plan->program);
            execution.bindSources(sourceImages, sourceStates);
        }
        if (replayed) {
            execution.replay(plan->recording, shape);
        } else {
            execution.run();
        }
    } else {
        execution.run();
    }
    execution.deliver(intermediateImages, destinationStates);
    return execution.result();
}

Recomputed NNGraph::makePlan(const PlanSettings& settings, const std::vector<ImageBatch>& sourceImages,
                             const std::vector<StateBatch>& sourceStates) {
    return applyPolicy(program_, *policy_, name(), [&](const std::shared_ptr<GraphProgram>& program) {
        return Recording::make(program, device(), settings, sourceImages, sourceStates);
    });
}

void NNGraph::setRecomputePolicy(const NNRecomputePolicy& policy) {
    *policy_ = policy;
    plans_->clear();
}
const NNRecomputePolicy& NNGraph::recomputePolicy() const { return *policy_; }

ImageBatch NNGraph::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                const std::vector<ImageBatch>& sourceImages,
                                const std::vector<StateBatch>& sourceStates) {
    return run(commandBuffer, sourceImages, sourceStates, nullptr, nullptr, true);
}

ImageBatch NNGraph::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                const std::vector<ImageBatch>& sourceImages,
                                const std::vector<StateBatch>& sourceStates,
                                std::vector<ImageBatch>* intermediateImages,
                                std::vector<StateBatch>* destinationStates) {
    return run(commandBuffer, sourceImages, sourceStates, intermediateImages, destinationStates, true);
}

std::shared_ptr<Image> NNGraph::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                       const std::vector<std::shared_ptr<Image>>& sourceImages) {
    return encode(commandBuffer, sourceImages, {});
}

std::shared_ptr<Image> NNGraph::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                       const std::vector<std::shared_ptr<Image>>& sourceImages,
                                       const std::vector<std::shared_ptr<State>>& sourceStates,
                                       std::vector<std::shared_ptr<Image>>* intermediateImages,
                                       std::vector<std::shared_ptr<State>>* destinationStates) {
    std::vector<ImageBatch> images;
    for (const auto& image : sourceImages) images.push_back({image});
    std::vector<StateBatch> states;
    for (const auto& state : sourceStates) states.push_back({state});
    std::vector<ImageBatch> imagesOut;
    std::vector<StateBatch> statesOut;
    const auto result = run(commandBuffer, images, states, intermediateImages ? &imagesOut : nullptr,
                            destinationStates ? &statesOut : nullptr, false);
    for (const auto& batch : imagesOut) intermediateImages->push_back(batch.front());
    for (const auto& batch : statesOut) destinationStates->push_back(batch.front());
    return result.empty() ? nullptr : result.front();
}

std::shared_ptr<Image> NNGraph::executeAsync(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                             CompletionHandler handler) {
    try {
        if (!handler) throw Error(name(), "completionHandler", "a handler", "an empty one");
        if (!program_->sourceStates.empty())
            throw Error(name(), "executeAsync", "a graph without source states",
                        fmt::format("one with {}", program_->sourceStates.size()));
        if (!program_->resultNeeded[0])
            throw Error(name(), "executeAsync", "a graph whose result image is needed",
                        "one whose result is not");
        if (!queue_) queue_ = device()->newCommandQueue();
        const auto commandBuffer = queue_->commandBuffer();
        commandBuffer->setLabel(name());
        const auto result = encode(commandBuffer, sourceImages);
        commandBuffer->addCompletedHandler(
            [handler, result](const std::shared_ptr<MTL::CommandBuffer>& done) {
                if (const auto failure = done->error()) {
                    const Error error(failure->localizedDescription);
                    handler(nullptr, &error);
                } else {
                    handler(result, nullptr);
                }
            });
        commandBuffer->commit();
        return result;
    } catch (const Error& error) {
        if (!handler) throw;
        handler(nullptr, &error);
        return nullptr;
    }
}

std::size_t NNGraph::readCountForSourceImage(std::size_t index) const {
    if (index >= program_->sourceImages.size())
        throw Error(name(), "index",
                    fmt::format("less than {}, the number of source images", program_->sourceImages.size()),
                    fmt::format("{}", index));
    return program_->images[program_->sourceImages[index]].reads > 0 ? 1 : 0;
}

std::size_t NNGraph::readCountForSourceState(std::size_t index) const {
    if (index >= program_->sourceStates.size())
        throw Error(name(), "index",
                    fmt::format("less than {}, the number of source states", program_->sourceStates.size()),
                    fmt::format("{}", index));
    return program_->states[program_->sourceStates[index]].reads > 0 ? 1 : 0;
}

void NNGraph::reloadFromDataSources() {
    const EncodingFlag flag(encoding_, name());
    plans_->clear();
    for (auto& step : program_->steps) step.step->reloadFromDataSource();
}

NNGraphReport NNGraph::memoryReport(const std::vector<ImageBatch>& sourceImages,
                                    const std::vector<StateBatch>& sourceStates) {
    EncodingFlag flag(encoding_, name());
    return makePlan({.name = name(),
                     .format = format_,
                     .resultAllocator = allocator_,
                     .outputStateIsTemporary = outputStateIsTemporary_,
                     .batch = true},
                    sourceImages, sourceStates)
        .recording->report;
}

bool NNGraph::isReplayed(const std::vector<ImageBatch>& sourceImages,
                         const std::vector<StateBatch>& sourceStates) const {
    return Recording::isPossible(*program_, {.resultAllocator = allocator_},
                                 SourceShape(sourceImages, sourceStates));
}

std::string NNGraph::debugDescription() const { return describeProgram(*program_, name()); }

}  // namespace MPS
