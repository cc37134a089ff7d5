#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ops/Arithmetic.h"
#include "ops/BatchNormalization.h"
#include "ops/BinaryConvolution.h"
#include "ops/Compare.h"
#include "ops/Convolution.h"
#include "ops/Copy.h"
#include "ops/CrossChannelNormalization.h"
#include "ops/Dropout.h"
#include "ops/GramMatrix.h"
#include "ops/GridSample.h"
#include "ops/GroupNormalization.h"
#include "ops/ImageScale.h"
#include "ops/LocalContrastNormalization.h"
#include "ops/LocalCorrelation.h"
#include "ops/Loss.h"
#include "ops/Neuron.h"
#include "ops/Optimizer.h"
#include "ops/Pad.h"
#include "ops/Pooling.h"
#include "ops/Reduction.h"
#include "ops/SoftMax.h"
#include "ops/SpatialNormalization.h"
#include "ops/Upsampling.h"
#include "ops/YoloLoss.h"

/// Every computation of the seam, once. Declarations, stand-ins and listings are made from this list.
#define PEWTER_OPS(X)                       \
    X(ConvolutionForward)                   \
    X(ConvolutionDataGradient)              \
    X(ConvolutionWeightsGradient)           \
    X(FullyConnectedForward)                \
    X(FullyConnectedDataGradient)           \
    X(FullyConnectedWeightsGradient)        \
    X(PoolingForward)                       \
    X(PoolingGradient)                      \
    X(NeuronForward)                        \
    X(NeuronGradient)                       \
    X(SoftMaxForward)                       \
    X(SoftMaxGradient)                      \
    X(DropoutForward)                       \
    X(DropoutGradient)                      \
    X(BatchNormalizationStatistics)         \
    X(BatchNormalizationForward)            \
    X(BatchNormalizationStatisticsGradient) \
    X(BatchNormalizationGradient)           \
    X(Arithmetic)                           \
    X(ArithmeticGradient)                   \
    X(Loss)                                 \
    X(OptimizerStep)                        \
    X(Copy)                                 \
    X(CopyGradient)                         \
    X(Fill)                                 \
    X(ArrayCopy)                            \
    X(BinaryConvolutionForward)             \
    X(GroupNormalizationForward)            \
    X(GroupNormalizationGradient)           \
    X(SpatialNormalizationForward)          \
    X(SpatialNormalizationGradient)         \
    X(LocalContrastNormalizationForward)    \
    X(LocalContrastNormalizationGradient)   \
    X(CrossChannelNormalizationForward)     \
    X(CrossChannelNormalizationGradient)    \
    X(ResampleForward)                      \
    X(ResampleGradient)                     \
    X(LanczosForward)                       \
    X(GridSample)                           \
    X(Reduction)                            \
    X(GramMatrixForward)                    \
    X(GramMatrixGradient)                   \
    X(LocalCorrelation)                     \
    X(PadForward)                           \
    X(PadGradient)                          \
    X(Compare)                              \
    X(LossGradient)                         \
    X(YoloLoss)

namespace pewter::ops {

/// Whoever is shown operations that are recorded, instead of a backend that runs them.
class OperationVisitor {
public:
    virtual ~OperationVisitor() = default;
#define PEWTER_DECLARE(Op) virtual void visit(const Op& op) = 0;
    PEWTER_OPS(PEWTER_DECLARE)
#undef PEWTER_DECLARE
};

/// Which images of an operation may be in blocks of channels, and what that costs.
struct LayoutCost {
    /// Operands of the operation that was asked about; none: it takes no image in blocks.
    std::vector<const Tensor*> images;
    /// Milliseconds for two images, by whether the first and the second are in blocks. Nothing: all images have to be
    /// alike, and the time is the same both ways.
    std::optional<std::array<std::array<double, 2>, 2>> milliseconds;
};

/// What a backend needs between two calls of one queue: a CUDA stream, or nothing. Made once a queue; used by one
/// thread at a time.
class Stream {
public:
    virtual ~Stream() = default;
    /// Returns when everything handed to this stream is done; throws what failed.
    virtual void synchronize() {}

    /// Whether operations are still under way when run() has returned: then the next command buffer may be handed over
    /// before the one before is done.
    virtual bool isAsynchronous() const { return false; }
    /// A place in the stream, and waiting until the device has passed it; throws what failed.
    virtual std::uint64_t mark() { return 0; }
    virtual void wait(std::uint64_t) { synchronize(); }

    /// Runs work(), the commands [first, last) of a recorded program, or repeats what they did to the same addresses: a
    /// device may keep the whole stretch as one object. Commands that differ from run to run say so in their operations.
    struct Stretch {
        std::shared_ptr<const void> program;
        std::size_t first = 0, last = 0;
        /// Everything that the commands reach and that is not the same in every run.
        std::vector<const void*> addresses;
    };
    virtual void replay(const Stretch&, const std::function<void()>& work) { work(); }
    /// replay() may put work off, until something else is done on the stream, so that stretches and what little lies between
    /// them become one object. Comes before what work() finds its addresses by is changed: after it nothing is put off.
    virtual void endReplay() {}
    /// For reports: how what was replayed is kept and, if it is not, why; a line each.
    virtual std::vector<std::string> describeReplays() const { return {}; }
};

/// A device's arithmetic and memory. The extents of an operation are checked before it gets here; run() may throw only
/// for faults of the device. Different streams call in from different threads.
class Backend {
public:
    virtual ~Backend() = default;

    /// Short name, the one users look the device up by: "reference", "cpu".
    virtual std::string name() const = 0;
    /// Processor and libraries in one line, for `pewter devices`.
    virtual std::string description() const = 0;
    /// Threads that one operation may use; 0 where the question makes no sense.
    virtual int threads() const = 0;

    /// Memory aligned to at least 64 bytes; throws std::bad_alloc.
    virtual void* allocate(std::size_t bytes) = 0;
    virtual void deallocate(void* memory, std::size_t bytes) noexcept = 0;
    virtual std::unique_ptr<Stream> newStream() { return std::make_unique<Stream>(); }

    /// Whether the host may follow the addresses that allocate() gives. Where it may not, it moves bytes with the functions
    /// below, and shared storage is memory of another kind.
    virtual bool hostVisible() const { return true; }
    /// Bytes of the device's own memory; 0 where it uses the host's.
    virtual std::uint64_t memoryBytes() const { return 0; }
    /// Memory that host and device both reach by one address; throws std::bad_alloc.
    virtual void* allocateShared(std::size_t bytes) { return allocate(bytes); }
    virtual void deallocateShared(void* memory, std::size_t bytes) noexcept { deallocate(memory, bytes); }
    /// The device's address of memory of the caller, until unshare(); throws std::runtime_error when it cannot reach it.
    virtual void* share(void* memory, std::size_t) { return memory; }
    virtual void unshare(void*) noexcept {}
    /// Copies now, between host memory and the device's; nothing that uses the bytes may be under way.
    virtual void download(void* host, const void* device, std::size_t bytes) { std::memcpy(host, device, bytes); }
    virtual void upload(void* device, const void* host, std::size_t bytes) { std::memcpy(device, host, bytes); }
    /// Copies and fills in the order of a stream; the ranges may overlap, either may be shared memory.
    virtual void copyBytes(void* to, const void* from, std::size_t bytes, Stream&) { std::memmove(to, from, bytes); }
    virtual void fillBytes(void* to, std::uint8_t value, std::size_t bytes, Stream&) { std::memset(to, value, bytes); }

    /// Element types of images that the backend computes with.
    virtual bool supports(Type imageType) const = 0;

#define PEWTER_DECLARE(Op) virtual void run(const Op& op, Stream& stream) = 0;
    PEWTER_OPS(PEWTER_DECLARE)
#undef PEWTER_DECLARE

    /// Whether updates of parameters cost less together than each after its gradients: where starting an operation is dear.
    virtual bool joinsUpdates() const { return false; }

    /// Whether any operation takes images in blocks of channels.
    virtual bool hasLayouts() const { return false; }
    /// Of an operation on images N,H,W,C, whose addresses lead nowhere yet. May measure.
#define PEWTER_DECLARE(Op) \
    virtual LayoutCost layoutCost(const Op&) { return {}; }
    PEWTER_OPS(PEWTER_DECLARE)
#undef PEWTER_DECLARE
};

/// A backend that this build may or may not contain.
struct BackendEntry {
    std::string name;
    /// Null when the backend is missing; then `reason` says why, in a sentence's end ("built without oneDNN").
    std::shared_ptr<Backend> backend;
    std::string reason;
};

/// Every backend the library knows by name, best first; made once, kept for the life of the process.
const std::vector<BackendEntry>& backends();

}  // namespace pewter::ops
