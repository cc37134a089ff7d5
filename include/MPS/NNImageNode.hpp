#pragma once

#include <memory>
#include <vector>

#include <MPS/Handle.hpp>
#include <MPS/Types.hpp>

namespace MPS {

class ImageAllocator;
class NNFilterNode;

/// MPSNNImageNode: stands for an image of a graph: an input when the application makes it, else the result of
/// a filter. Holds no device memory. A filter's result image keeps the filter alive, and with it all that
/// leads there. Source: MPSNNGraphNodes.h.
class PEWTER_API NNImageNode final {
public:
    NNImageNode() = default;
    /// Objective-C: -initWithHandle:
    explicit NNImageNode(std::shared_ptr<Handle> handle) : handle_(std::move(handle)) {}
    NNImageNode(const NNImageNode&) = delete;
    NNImageNode& operator=(const NNImageNode&) = delete;

    /// Objective-C: +nodeWithHandle:
    static std::shared_ptr<NNImageNode> node(std::shared_ptr<Handle> handle = nullptr);
    /// With exportFromGraph() set. The image is still a temporary unless the allocator is changed.
    /// Objective-C: +exportedNodeWithHandle:
    static std::shared_ptr<NNImageNode> exportedNode(std::shared_ptr<Handle> handle);

    /// Default null.
    const std::shared_ptr<Handle>& handle() const { return handle_; }
    void setHandle(std::shared_ptr<Handle> handle) { handle_ = std::move(handle); }

    /// Wanted channel format; None (default): the graph's. A new filter's result starts with the format that
    /// the filter's first source has at that moment.
    ImageFeatureChannelFormat format() const { return format_; }
    void setFormat(ImageFeatureChannelFormat format) { format_ = format; }

    /// Who makes the image. Default TemporaryImage::defaultAllocator(). Ignored for the first result of a
    /// graph, which has an allocator of its own. Throws MPS::Error for null.
    std::shared_ptr<ImageAllocator> imageAllocator() const;
    void setImageAllocator(std::shared_ptr<ImageAllocator> allocator);

    /// Whether the image outlives the encode and is handed out among the intermediate images. Default false.
    bool exportFromGraph() const { return exportFromGraph_; }
    void setExportFromGraph(bool value) { exportFromGraph_ = value; }
    /// Whether the host can read the image once the command buffer completes. Default false.
    bool synchronizeResource() const { return synchronizeResource_; }
    void setSynchronizeResource(bool value) { synchronizeResource_ = value; }
    /// Whether trainingGraph() ends here: consumers of the image get gradient filters, what makes it gets
    /// none. Default false.
    bool stopGradient() const { return stopGradient_; }
    void setStopGradient(bool value) { stopGradient_ = value; }

    /// The filter whose result this is, null for an input. (Extension.)
    NNFilterNode* producer() const { return producer_; }

private:
    std::shared_ptr<Handle> handle_;
    ImageFeatureChannelFormat format_ = ImageFeatureChannelFormat::None;
    std::shared_ptr<ImageAllocator> allocator_;  // null: the default one
    bool exportFromGraph_ = false, synchronizeResource_ = false, stopGradient_ = false;
    NNFilterNode* producer_ = nullptr;
    friend class NNFilterNode;
};

/// An array of image nodes, as several methods take and give it.
using NNImageNodes = std::vector<std::shared_ptr<NNImageNode>>;

}  // namespace MPS
