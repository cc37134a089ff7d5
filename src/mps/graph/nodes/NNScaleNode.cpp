#include <MPS/ImageScale.hpp>
#include <MPS/NNScaleNode.hpp>
#include <MTL/Error.hpp>

#include "mps/graph/steps/ScaleStep.h"

namespace MPS {

using namespace pewter::mps;

NNScaleNode::NNScaleNode(const char* className, const std::shared_ptr<NNImageNode>& source,
                         std::shared_ptr<ImageTransformProvider> transformProvider,
                         const MTL::Size& outputSize)
    : NNFilterNode(className, {{"source", source}}),
      provider_(std::move(transformProvider)),
      outputSize_(outputSize) {
    if (outputSize.width == 0) throw Error(className, "outputSize.width", "at least 1", "0");
    if (outputSize.height == 0) throw Error(className, "outputSize.height", "at least 1", "0");
}

std::unique_ptr<Step> NNScaleNode::compileWith(const std::shared_ptr<ImageScale>& kernel) const {
    if (!label().empty()) kernel->setLabel(label());
    auto step = std::make_unique<ScaleStep>(kernel, outputSize_, provider_, sources()[0]->handle(),
                                            paddingPolicy());
    // Both are asked while encoding.
    if (provider_ || (paddingPolicy()->paddingMethod() & NNPaddingMethodCustom)) step->refuseReplay();
    return step;
}

std::shared_ptr<NNBilinearScaleNode> NNBilinearScaleNode::node(const std::shared_ptr<NNImageNode>& source,
                                                               const MTL::Size& outputSize) {
    return node(source, nullptr, outputSize);
}

std::shared_ptr<NNBilinearScaleNode> NNBilinearScaleNode::node(
    const std::shared_ptr<NNImageNode>& source,
    const std::shared_ptr<ImageTransformProvider>& transformProvider, const MTL::Size& outputSize) {
    return std::make_shared<NNBilinearScaleNode>(source, transformProvider, outputSize);
}

NNBilinearScaleNode::NNBilinearScaleNode(const std::shared_ptr<NNImageNode>& source,
                                         const std::shared_ptr<ImageTransformProvider>& transformProvider,
                                         const MTL::Size& outputSize)
    : NNScaleNode("NNBilinearScaleNode", source, transformProvider, outputSize) {}

std::unique_ptr<Step> NNBilinearScaleNode::compile(Compilation& compilation) const {
    return compileWith(std::make_shared<ImageBilinearScale>(compilation.device()));
}

std::shared_ptr<NNLanczosScaleNode> NNLanczosScaleNode::node(const std::shared_ptr<NNImageNode>& source,
                                                             const MTL::Size& outputSize) {
    return node(source, nullptr, outputSize);
}

std::shared_ptr<NNLanczosScaleNode> NNLanczosScaleNode::node(
    const std::shared_ptr<NNImageNode>& source,
    const std::shared_ptr<ImageTransformProvider>& transformProvider, const MTL::Size& outputSize) {
    return std::make_shared<NNLanczosScaleNode>(source, transformProvider, outputSize);
}

NNLanczosScaleNode::NNLanczosScaleNode(const std::shared_ptr<NNImageNode>& source,
                                       const std::shared_ptr<ImageTransformProvider>& transformProvider,
                                       const MTL::Size& outputSize)
    : NNScaleNode("NNLanczosScaleNode", source, transformProvider, outputSize) {}

std::unique_ptr<Step> NNLanczosScaleNode::compile(Compilation& compilation) const {
    return compileWith(std::make_shared<ImageLanczosScale>(compilation.device()));
}

}  // namespace MPS
