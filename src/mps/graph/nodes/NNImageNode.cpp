#include <MPS/Image.hpp>
#include <MPS/NNImageNode.hpp>
#include <MPS/NNStateNode.hpp>
#include <MTL/Error.hpp>

namespace MPS {

Handle::~Handle() = default;

std::shared_ptr<NNImageNode> NNImageNode::node(std::shared_ptr<Handle> handle) {
    return std::make_shared<NNImageNode>(std::move(handle));
}

std::shared_ptr<NNImageNode> NNImageNode::exportedNode(std::shared_ptr<Handle> handle) {
    auto node = std::make_shared<NNImageNode>(std::move(handle));
    node->setExportFromGraph(true);
    return node;
}

std::shared_ptr<ImageAllocator> NNImageNode::imageAllocator() const {
    return allocator_ ? allocator_ : TemporaryImage::defaultAllocator();
}

void NNImageNode::setImageAllocator(std::shared_ptr<ImageAllocator> allocator) {
    if (!allocator) throw Error("NNImageNode", "imageAllocator", "an allocator", "null");
    allocator_ = std::move(allocator);
}

NNStateNode::~NNStateNode() = default;

}  // namespace MPS
