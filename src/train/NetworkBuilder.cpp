#include <MPS/CNNBatchNormalizationNode.hpp>
#include <MPS/CNNConvolutionNode.hpp>
#include <MPS/CNNDropoutNode.hpp>
#include <MPS/CNNInstanceNormalizationNode.hpp>
#include <MPS/CNNNeuronNode.hpp>
#include <MPS/CNNPoolingNode.hpp>
#include <MPS/CNNUpsamplingNode.hpp>
#include <MPS/NNArithmeticNode.hpp>
#include <MPS/NNPadding.hpp>
#include <MPS/NNReductionNode.hpp>
#include <MTL/Error.hpp>
#include <Pewter/train/NetworkBuilder.hpp>

namespace pewter::train {

namespace {

NetworkBuilder::Image labelled(const std::shared_ptr<MPS::NNFilterNode>& node, const std::string& label) {
    node->setLabel(label);
    return node->resultImage();
}

}  // namespace

template <class Source, class Make>
std::shared_ptr<Source> NetworkBuilder::source(const std::string& label, Make make) {
    auto& known = sources_[label];
    if (!known) {
        known = make(order_.size() + 1);
        order_.push_back(known);
    }
    const auto found = std::dynamic_pointer_cast<Source>(known);
    if (!found) throw MPS::Error("layer " + label, "label", "one that no layer of another kind has", "\"" + label + "\"");
    return found;
}

std::shared_ptr<ConvolutionDataSource> NetworkBuilder::convolutionSource(const std::string& label,
                                                                         const ConvolutionShape& shape,
                                                                         const Start& start) {
    return source<ConvolutionDataSource>(label, [&](std::uint64_t stream) {
        return std::make_shared<ConvolutionDataSource>(device_, label, shape, start.weights, start.bias, optimizer_,
                                                       seed_, stream);
    });
}

NetworkBuilder::Image NetworkBuilder::convolution(const Image& source, const std::string& label, std::size_t kernel,
                                                  std::size_t inputs, std::size_t outputs, const Start& start) {
    return convolution(
        source, label, {.kernelWidth = kernel, .kernelHeight = kernel, .inputs = inputs, .outputs = outputs}, start);
}

NetworkBuilder::Image NetworkBuilder::convolution(const Image& source, const std::string& label,
                                                  const ConvolutionShape& shape, const Start& start) {
    const auto node = MPS::CNNConvolutionNode::node(source, convolutionSource(label, shape, start));
    node->setPaddingPolicy(MPS::NNDefaultPadding::padding(MPS::NNPaddingMethodSizeSame));
    return labelled(node, label);
}

NetworkBuilder::Image NetworkBuilder::fullyConnected(const Image& source, const std::string& label, std::size_t width,
                                                     std::size_t height, std::size_t inputs, std::size_t outputs,
                                                     const Start& start) {
    const ConvolutionShape shape = {
        .kernelWidth = width, .kernelHeight = height, .inputs = inputs, .outputs = outputs};
    return labelled(MPS::CNNFullyConnectedNode::node(source, convolutionSource(label, shape, start)), label);
}

NetworkBuilder::Image NetworkBuilder::batchNormalization(const Image& source, const std::string& label,
                                                         std::size_t channels) {
    const auto data = this->source<BatchNormalizationDataSource>(label, [&](std::uint64_t) {
        return std::make_shared<BatchNormalizationDataSource>(device_, label, channels, optimizer_);
    });
    return labelled(MPS::CNNBatchNormalizationNode::node(source, data), label);
}

NetworkBuilder::Image NetworkBuilder::instanceNormalization(const Image& source, const std::string& label,
                                                            std::size_t channels) {
    const auto data = this->source<InstanceNormalizationDataSource>(label, [&](std::uint64_t) {
        return std::make_shared<InstanceNormalizationDataSource>(device_, label, channels, optimizer_);
    });
    return labelled(MPS::CNNInstanceNormalizationNode::node(source, data), label);
}

NetworkBuilder::Image NetworkBuilder::relu(const Image& source, const std::string& label, float slope) {
    return labelled(MPS::CNNNeuronReLUNode::node(source, slope), label);
}

NetworkBuilder::Image NetworkBuilder::sigmoid(const Image& source, const std::string& label) {
    return labelled(MPS::CNNNeuronSigmoidNode::node(source), label);
}

NetworkBuilder::Image NetworkBuilder::addition(const Image& left, const Image& right, const std::string& label) {
    return labelled(MPS::NNAdditionNode::node(left, right), label);
}

NetworkBuilder::Image NetworkBuilder::maxPool(const Image& source, const std::string& label) {
    const auto node = MPS::CNNPoolingMaxNode::node(source, 2);
    node->setPaddingPolicy(MPS::NNDefaultPadding::paddingForTensorflowAveragePooling());
    return labelled(node, label);
}

NetworkBuilder::Image NetworkBuilder::maxPool(const Image& source, const std::string& label, std::size_t kernel,
                                              std::size_t stride) {
    const auto node = MPS::CNNPoolingMaxNode::node(source, kernel, stride);
    node->setPaddingPolicy(MPS::NNDefaultPadding::padding(MPS::NNPaddingMethodSizeSame));
    return labelled(node, label);
}

NetworkBuilder::Image NetworkBuilder::spatialMean(const Image& source, const std::string& label) {
    return labelled(MPS::NNReductionSpatialMeanNode::node(source), label);
}

NetworkBuilder::Image NetworkBuilder::upsamplingNearest(const Image& source, const std::string& label,
                                                        std::size_t factor) {
    return labelled(MPS::CNNUpsamplingNearestNode::node(source, factor, factor), label);
}

NetworkBuilder::Image NetworkBuilder::dropout(const Image& source, const std::string& label, float keepProbability) {
    if (!training_) return source;
    return labelled(MPS::CNNDropoutNode::node(source, keepProbability, seed_, MTL::Size{1, 1, 1}), label);
}

}  // namespace pewter::train
