#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <MPS/Image.hpp>
#include <MPS/Kernel.hpp>
#include <MPS/NNGraphOptions.hpp>
#include <MPS/State.hpp>

namespace MTL {
class CommandQueue;
}

namespace pewter::mps {
class GraphProgram;
class PlanCache;
struct PlanSettings;
struct Recomputed;
}

namespace MPS {

class Handle;
class NNImageNode;
class NNRecomputePolicy;

/// What one encode of a graph does, step by step, and the memory it takes (extension).
struct PEWTER_API NNGraphReport {
    static constexpr std::size_t npos = static_cast<std::size_t>(-1);

    /// One kernel, in the order of execution.
    struct Step {
        std::string label;      ///< name of the kernel: class and label
        std::string className;  ///< class of the kernel that writes the result
        std::vector<std::size_t> sourceImages, sourceStates;  ///< indices into images and states
        std::size_t resultImage = npos, resultState = npos;
        bool updatesWeights = false;
        /// The step whose kernel this one runs again, for a gradient kernel that needs what was dropped; npos: none.
        std::size_t recomputes = npos;
        std::size_t liveBytes = 0;  ///< temporary bytes alive right after the step
        std::size_t peakBytes = 0;  ///< the largest sum of live bytes while the step was encoded, scratch included
    };
    /// One image or state slot; bytes are those of the whole batch.
    struct Image {
        std::string label, format;
        std::size_t width = 0, height = 0, featureChannels = 0, count = 0, bytes = 0;
        std::size_t firstWriter = npos, lastReader = npos;  ///< steps; npos: an input, nobody
        std::size_t readCount = 0;
        bool temporary = false, source = false, result = false, exported = false;
        bool inBlocks = false;  ///< lies in blocks of 16 channels
        /// First byte in the encode's temporary memory; npos: it has memory of its own, or shares another's.
        std::size_t offset = npos;
    };
    struct State {
        std::string label, className;
        std::string forwardKernel;                 ///< the kernel that made it
        std::vector<std::string> consumers;        ///< the kernels that read it
        std::size_t count = 0, bytes = 0, readCount = 0;
        std::size_t firstWriter = npos, lastReader = npos;
        bool temporary = false, source = false, exported = false;
        std::string description;
        /// As of an image; a state of several buffers names the lowest.
        std::size_t offset = npos;
    };

    /// One piece of the encode's temporary memory; a state may have several, an image that works in place has none.
    struct Range {
        std::size_t offset = 0, bytes = 0;
        std::size_t firstStep = 0, lastStep = 0;  ///< taken while the one is encoded, returned while the other is
        std::size_t image = npos, state = npos;   ///< whose it is; npos both: scratch of the step's kernel
    };

    std::vector<Step> steps;
    std::vector<Image> images;
    std::vector<State> states;
    /// In the order in which they are taken; no two that live at one time have a byte in common.
    std::vector<Range> ranges;
    /// Temporary memory that the encode reserves.
    std::size_t peakBytes = 0;
    /// The largest sum of live bytes at any step: no placement can need less.
    std::size_t lowerBoundBytes = 0;
    /// Kernels that run a second time because their result was not kept, and the bytes of those results.
    std::size_t recomputedSteps = 0, recomputedBytes = 0;
    /// What peakBytes would be if everything was kept.
    std::size_t peakWithoutRecomputation = 0;
    /// Images in blocks of channels, and the milliseconds that convolutions and reorders take less by that, as measured
    /// one by one.
    std::size_t imagesInBlocks = 0;
    double millisecondsByLayouts = 0;
};

/// MPSNNGraph: filter nodes compiled to kernels, encoded together.
///
/// Built backwards from result images: filters that nothing needed reaches are left out; filters that update weights and
/// loss filters stay. Data sources are loaded and purged one at a time. Image sizes are not fixed: each encode derives
/// them from the images it gets. One thread at a time; any number of encodes may be in flight on one queue.
/// Source: MPSNNGraph.h.
class PEWTER_API NNGraph : public Kernel {
public:
    /// Throws MPS::Error for null arguments, a result that no filter makes, a data source that does not load.
    /// Objective-C: -initWithDevice:resultImage:resultImageIsNeeded:, -initWithDevice:resultImage:
    NNGraph(const std::shared_ptr<MTL::Device>& device, const std::shared_ptr<NNImageNode>& resultImage,
            bool resultImageIsNeeded = true);
    /// Image 0 is what encodes return, the others are appended to intermediateImages. Flags: one an image, or none for
    /// all needed.   Objective-C: -initWithDevice:resultImages:resultsAreNeeded:
    NNGraph(const std::shared_ptr<MTL::Device>& device, const std::vector<std::shared_ptr<NNImageNode>>& resultImages,
            const std::vector<bool>& resultsAreNeeded = {}, const NNGraphOptions& options = {});
    ~NNGraph() override;
    using Options = NNGraphOptions;

    /// Objective-C: +graphWithDevice:resultImage:resultImageIsNeeded:, +graphWithDevice:resultImages:resultsAreNeeded:,
    /// +graphWithDevice:resultImage:
    static std::shared_ptr<NNGraph> graph(const std::shared_ptr<MTL::Device>& device,
                                          const std::shared_ptr<NNImageNode>& resultImage,
                                          bool resultImageIsNeeded = true);
    static std::shared_ptr<NNGraph> graph(const std::shared_ptr<MTL::Device>& device,
                                          const std::vector<std::shared_ptr<NNImageNode>>& resultImages,
                                          const std::vector<bool>& resultsAreNeeded = {},
                                          const NNGraphOptions& options = {});

    /// Handles of the inputs in the order that encodes expect; null where a node has none. The order is that of a walk
    /// from the results backwards, depth first, image sources before state sources.
    const std::vector<std::shared_ptr<Handle>>& sourceImageHandles() const;
    const std::vector<std::shared_ptr<Handle>>& sourceStateHandles() const;
    /// Exported images, parallel to the front of intermediateImages.
    const std::vector<std::shared_ptr<Handle>>& intermediateImageHandles() const;
    /// States that leave the graph, parallel to destinationStates.
    const std::vector<std::shared_ptr<Handle>>& resultStateHandles() const;
    const std::shared_ptr<Handle>& resultHandle() const;

    /// Whether states that leave the graph are temporary. Default: no.
    bool outputStateIsTemporary() const { return outputStateIsTemporary_; }
    void setOutputStateIsTemporary(bool temporary) { outputStateIsTemporary_ = temporary; }
    /// Makes result image 0. Default: Image::defaultAllocator(), so that the result outlives the command buffer.
    const std::shared_ptr<ImageAllocator>& destinationImageAllocator() const { return allocator_; }
    void setDestinationImageAllocator(std::shared_ptr<ImageAllocator> allocator);
    /// Channel format of images whose node names none; read by each encode. Default: Float16.
    ImageFeatureChannelFormat format() const { return format_; }
    void setFormat(ImageFeatureChannelFormat format) { format_ = format; }
    /// As given at construction; of image 0 when there are several.
    bool resultImageIsNeeded() const;

    /// One image an input; it may hold several pictures. Returns result 0, or null when it is not needed. Temporary
    /// sources lose one read. Throws MPS::Error for wrong numbers of inputs, unequal batches, spent temporaries; nothing is
    /// encoded then.   Objective-C: -encodeToCommandBuffer:sourceImages:
    std::shared_ptr<Image> encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                  const std::vector<std::shared_ptr<Image>>& sourceImages);
    /// Null vectors: exported images and states are dropped.
    /// Objective-C: -encodeToCommandBuffer:sourceImages:sourceStates:intermediateImages:destinationStates:
    std::shared_ptr<Image> encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                  const std::vector<std::shared_ptr<Image>>& sourceImages,
                                  const std::vector<std::shared_ptr<State>>& sourceStates,
                                  std::vector<std::shared_ptr<Image>>* intermediateImages = nullptr,
                                  std::vector<std::shared_ptr<State>>* destinationStates = nullptr);
    /// One batch an input, all of the same length; state batches have one state a sample.
    /// Objective-C: -encodeBatchToCommandBuffer:sourceImages:sourceStates:
    ImageBatch encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                           const std::vector<ImageBatch>& sourceImages,
                           const std::vector<StateBatch>& sourceStates = {});
    /// Objective-C: -encodeBatchToCommandBuffer:sourceImages:sourceStates:intermediateImages:destinationStates:
    ImageBatch encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                           const std::vector<ImageBatch>& sourceImages, const std::vector<StateBatch>& sourceStates,
                           std::vector<ImageBatch>* intermediateImages, std::vector<StateBatch>* destinationStates);

    /// MPSNNGraphCompletionHandler.
    using CompletionHandler = std::function<void(const std::shared_ptr<Image>& result, const Error* error)>;
    /// Encodes and commits on a queue of the graph's own; returns at once with the result, whose contents are valid when
    /// the handler is called. Mistakes reach the handler, on this thread, and null is returned: also for a graph with
    /// source states or whose result is not needed.
    /// Objective-C: -executeAsyncWithSourceImages:completionHandler:
    std::shared_ptr<Image> executeAsync(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                        CompletionHandler handler);

    /// By how much an encode lowers the read count of a temporary source: 1, or 0 for one that no kernel reads.
    /// Objective-C: -readCountForSourceImageAtIndex:, -readCountForSourceStateAtIndex:
    std::size_t readCountForSourceImage(std::size_t index) const;
    std::size_t readCountForSourceState(std::size_t index) const;

    /// Every kernel with a data source loads it again, now, on this thread. No work of the graph may be pending.
    void reloadFromDataSources();

    /// What an encode of such sources does and needs: every image and state with bytes, first writer, last reader and
    /// place, the peak and the bound below it. Nothing is executed, no weight is updated, no source needs memory
    /// (extension).
    NNGraphReport memoryReport(const std::vector<ImageBatch>& sourceImages,
                               const std::vector<StateBatch>& sourceStates = {});
    /// The same.
    NNGraphReport report(const std::vector<ImageBatch>& sourceImages, const std::vector<StateBatch>& sourceStates = {}) {
        return memoryReport(sourceImages, sourceStates);
    }
    /// Which forward images are computed again instead of kept. Default: none. What it saves and costs: memoryReport().
    /// Takes effect with the next encode (extension).
    void setRecomputePolicy(const NNRecomputePolicy& policy);
    const NNRecomputePolicy& recomputePolicy() const;

    /// Whether encodes of such sources run a plan made by the first of them, or are encoded step by step each time, as when
    /// user code is asked while encoding or a state leaves the graph (extension).
    bool isReplayed(const std::vector<ImageBatch>& sourceImages, const std::vector<StateBatch>& sourceStates = {}) const;
    /// One line a step: kernel, sources, result, state.
    std::string debugDescription() const;

    /// A graph of its own, with copies of all kernels on `device`, or on the own device when null: one copy a device or
    /// thread, so that updates do not collide. A data source whose copy() returns another belongs to the copy, however
    /// many kernels have it; one whose copy() returns null, padding policies, callbacks, allocators and handles are shared.
    /// Weights are those that the host sees now: wait for command buffers that update them. Dropout begins its masks anew.
    /// Throws MPS::Error for a kernel that cannot be copied.   Objective-C: -copyWithZone:device:
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

    /// A graph that encodeWithCoder() wrote. A null device means the coder's, which is the only other one allowed.
    /// Throws MPS::Error for whatever the archive says that no graph can be.   Objective-C: -initWithCoder:device:,
    /// -initWithCoder:
    NNGraph(Coder& coder, const std::shared_ptr<MTL::Device>& device);
    /// Kernels, handles, allocators, policies, and the weights that the host sees now: wait for command buffers that
    /// update them. A data source with secure coding is written itself; in place of another one come its parameters,
    /// which do not learn: a filter that such a source updates is refused by its label, and so is every other object of
    /// the application without secure coding.   Objective-C: -encodeWithCoder:
    void encodeWithCoder(Coder& coder) const override;
    /// Objective-C: +supportsSecureCoding
    static constexpr bool supportsSecureCoding() { return true; }

    const char* className() const override { return "NNGraph"; }

private:
    /// Without a program.
    explicit NNGraph(const std::shared_ptr<MTL::Device>& device);
    void build(const std::vector<std::shared_ptr<NNImageNode>>& resultImages, std::vector<bool> needed,
               const NNGraphOptions& options);

    /// Encodes and hands out what leaves the graph; returns result 0.
    ImageBatch run(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const std::vector<ImageBatch>& sourceImages,
                   const std::vector<StateBatch>& sourceStates, std::vector<ImageBatch>* intermediateImages,
                   std::vector<StateBatch>* destinationStates, bool batch);

    pewter::mps::Recomputed makePlan(const pewter::mps::PlanSettings& settings, const std::vector<ImageBatch>& sourceImages,
                                     const std::vector<StateBatch>& sourceStates);

    std::shared_ptr<pewter::mps::GraphProgram> program_;
    std::unique_ptr<pewter::mps::PlanCache> plans_;
    std::unique_ptr<NNRecomputePolicy> policy_;
    std::shared_ptr<ImageAllocator> allocator_;
    ImageFeatureChannelFormat format_ = ImageFeatureChannelFormat::Float16;
    bool outputStateIsTemporary_ = false, encoding_ = false;
    std::shared_ptr<MTL::CommandQueue> queue_;
};

}  // namespace MPS
