#pragma once

#include <MPS/Image.hpp>
#include <MPS/Kernel.hpp>
#include <MTL/CommandBuffer.hpp>
#include <string>
#include <vector>

#include "mps/core/Geometry.h"
#include "mps/core/TensorRef.h"
#include "mtl/CommandBuffer.h"
#include "mtl/Device.h"

namespace pewter::mps {

/// The recording half of one encode call: takes scratch memory, appends operations, and undoes both unless finish() is
/// reached. Everything the encode needs is allocated before any source is released.
class Encoder {
public:
    Encoder(MTL::CommandBuffer& commandBuffer, const MPS::Kernel& kernel);
    Encoder(MTL::CommandBuffer& commandBuffer, const std::string& name, const std::shared_ptr<MTL::Device>& device);
    ~Encoder();
    Encoder(const Encoder&) = delete;
    Encoder& operator=(const Encoder&) = delete;

    /// Appends one operation; make() returns its struct when the command runs.
    template <class Make>
    void run(Make make) {
        mtl::encodeOp(commandBuffer_, label_, backend_, std::move(make));
    }
    /// Appends work of the host side of a device (no arithmetic of the seam).
    void runHost(std::function<void()> work);

    /// Memory for this encode only.
    TensorRef scratch(ops::Type type, std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c);
    ArrayRef scratchArray(ops::Type type, std::int64_t size);

    /// Images of a batch (or `count` images of one, from `first`) as one tensor. Loose images are gathered once.
    TensorRef source(const MPS::ImageBatch& images, std::size_t first, std::size_t count);
    /// The clip rectangle and channels of the destinations as one tensor; loose images are written back at the end, and
    /// lanes up to the next multiple of 4 of a wider image get zeros.
    TensorRef destination(const MPS::ImageBatch& images, std::size_t first, std::size_t count, const Clip& clip,
                          std::size_t firstChannel, std::size_t channels);
    /// The rectangle of a source that starts at (x, y) and may reach outside: then it is copied, with the edge mode.
    TensorRef region(const TensorRef& source, std::int64_t x, std::int64_t y, std::int64_t w, std::int64_t h,
                     ops::Edge edge);

    /// Where a gradient of width x height pixels goes whose pixel (0,0) is the destination image's: the destination
    /// itself when the extents agree, else scratch that is cut (or framed with zeros) to the clip rectangle at the end.
    TensorRef wholeGradient(const TensorRef& destination, const Clip& clip, std::int64_t width, std::int64_t height);

    /// Appends what destination() owes and keeps the commands.
    void finish();

    ops::Backend& backend() const { return backend_; }
    const std::string& label() const { return label_; }
    MTL::CommandBuffer& commandBuffer() const { return commandBuffer_; }

private:
    struct WriteBack {
        TensorRef from;
        std::vector<TensorRef> to;
    };

    MTL::CommandBuffer& commandBuffer_;
    mtl::CommandBuffer& root_;
    ops::Backend& backend_;
    std::string label_;
    std::size_t mark_;
    bool finished_ = false;
    std::vector<std::shared_ptr<mtl::TemporaryHeap::Range>> scratch_;
    struct Cut {
        TensorRef from, to;
        std::int64_t x, y;
    };
    std::vector<Cut> cuts_;
    std::vector<WriteBack> writeBacks_;
    std::vector<TensorRef> zeroLanes_;
};

ops::Edge edgeOf(MPS::ImageEdgeMode mode);

/// A unary encode as its kernel sees it. validate() gets everything but the tensors; record() gets all.
struct UnaryEncoding {
    const MPS::ImageBatch& sources;
    const MPS::StateBatch& sourceStates;
    const MPS::StateBatch& destinationStates;
    const MPS::ImageBatch& destinations;
    std::size_t images = 0;             ///< pictures processed
    std::size_t sourceWidth = 0, sourceHeight = 0;
    ChannelWindow sourceChannels;       ///< channels read
    std::size_t resultChannels = 0;     ///< channels written
    Clip clip;                          ///< pixels written

    Encoder* encoder = nullptr;
    TensorRef source;       ///< whole images, the channels read
    TensorRef destination;  ///< the clip rectangle, the channels written
};

/// The same for two sources. For gradient kernels the primary source is the incoming gradient.
struct BinaryEncoding {
    const MPS::ImageBatch& primaries;
    const MPS::ImageBatch& secondaries;
    const MPS::StateBatch& sourceStates;
    const MPS::StateBatch& destinationStates;
    const MPS::ImageBatch& destinations;
    std::size_t images = 0;
    std::size_t primaryWidth = 0, primaryHeight = 0, secondaryWidth = 0, secondaryHeight = 0;
    ChannelWindow primaryChannels, secondaryChannels;
    std::size_t resultChannels = 0;
    Clip clip;

    Encoder* encoder = nullptr;
    TensorRef primary, secondary;
    TensorRef destination;
};

/// The same for any number of sources.
struct MultiaryEncoding {
    struct Source {
        std::size_t width = 0, height = 0;
        ChannelWindow channels;
        TensorRef tensor;
    };

    const std::vector<MPS::ImageBatch>& images;
    const MPS::StateBatch& destinationStates;
    const MPS::ImageBatch& destinations;
    std::vector<Source> sources;
    std::size_t count = 0;  ///< pictures processed
    std::size_t resultChannels = 0;
    Clip clip;

    Encoder* encoder = nullptr;
    TensorRef destination;
};

}  // namespace pewter::mps
