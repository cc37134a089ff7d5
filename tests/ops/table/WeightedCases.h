#pragma once

#include <MPS/CNNConvolution.hpp>
#include <Pewter/check/KernelCases.hpp>
#include <algorithm>
#include <functional>
#include <string>
#include <vector>

/// Cases of kernels with weights: operands source, weights and biases, the last two through a data source.
namespace pewter::optable {

using DescriptorPtr = std::shared_ptr<MPS::CNNConvolutionDescriptor>;

class ListSource : public MPS::CNNConvolutionDataSource {
public:
    ListSource(DescriptorPtr descriptor, std::vector<float> weights, std::vector<float> biases = {})
        : descriptor_(std::move(descriptor)), weights_(std::move(weights)), biases_(std::move(biases)) {}
    bool load() override { return true; }
    void purge() override {}
    DescriptorPtr descriptor() const override { return descriptor_; }
    MPS::DataType dataType() const override { return MPS::DataType::Float32; }
    const void* weights() const override { return weights_.empty() ? nullptr : weights_.data(); }
    const float* biasTerms() const override { return biases_.empty() ? nullptr : biases_.data(); }
    std::string label() const override { return {}; }

private:
    DescriptorPtr descriptor_;
    std::vector<float> weights_, biases_;
};

/// Weights of ones.
inline std::shared_ptr<ListSource> onesOf(const DescriptorPtr& descriptor) {
    return std::make_shared<ListSource>(descriptor, std::vector<float>(descriptor->weightCount(), 1.0f));
}

inline DescriptorPtr geometry(std::size_t kernelWidth, std::size_t kernelHeight, std::size_t inputs,
                              std::size_t outputs, std::size_t strideX = 1, std::size_t strideY = 1,
                              std::size_t dilationX = 1, std::size_t dilationY = 1, std::size_t groups = 1) {
    auto d =
        MPS::CNNConvolutionDescriptor::cnnConvolutionDescriptor(kernelWidth, kernelHeight, inputs, outputs);
    d->setStrideInPixelsX(strideX);
    d->setStrideInPixelsY(strideY);
    d->setDilationRateX(dilationX);
    d->setDilationRateY(dilationY);
    d->setGroups(groups);
    return d;
}

/// A kernel, its gradient kernel and how they are placed.
template <class Forward>
struct Weighted {
    check::Shape source;  ///< channels are the descriptor's
    DescriptorPtr descriptor;
    /// Sets offsets, edge mode, padding; may be empty.
    std::function<void(Forward&)> place = {};
    /// Size of a given destination; with w 0 the padding policy decides.
    check::Shape result = {1, 0, 0, 1};
    /// Bytes as the source, zeros and ones, whatever the format under test; they have no gradient.
    bool bytes = false;
    /// The incoming gradient is float32, whatever the format under test.
    bool wideGradient = false;
};

/// Sums: taps times channels of a group and a bias forward; as many for the source's gradient; pixels of the
/// batch for those of weights and biases. Every operand is at most 1.
template <class Forward, class Backward>
check::OpCase weightedCase(std::string name, Weighted<Forward> given) {
    using namespace check;
    const auto& d = *given.descriptor;
    given.source.c = d.inputFeatureChannels();
    const bool trains = d.fusedNeuronDescriptor().neuronType() == MPS::CNNNeuronType::None &&
                        !d.batchNormalization() && d.subPixelScaleFactor() == 1 && d.channelMultiplier() <= 1;
    OpCase op;
    op.name = std::move(name);
    op.operands = {{"source", given.source},
                   {"weights", {1, 1, 1, d.weightCount()}, Domain::Signed, Kind::Parameter},
                   {"biases", {1, 1, 1, d.outputFeatureChannels()}, Domain::Signed, Kind::Parameter}};
    for (auto& operand : op.operands) operand.differentiable = trains;
    if (given.bytes) {
        op.operands[0].domain = Domain::OneHot;
        op.operands[0].differentiable = false;
    }
    op.run = [given, trains](const Setting& setting, const std::vector<Array>& operands,
                             const Incoming* incoming) {
        const auto source =
            std::make_shared<ListSource>(given.descriptor, floatsOf(operands[1]), floatsOf(operands[2]));
        const auto forward = std::make_shared<Forward>(setting.device, source);
        forward->setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto options = setting.isExact ? MPS::KernelOptionsDirectConvolution : MPS::KernelOptionsNone;
        forward->setOptions(options);
        if (given.place) given.place(*forward);
        const auto commandBuffer = setting.device->newCommandQueue()->commandBuffer();
        const auto in = [&](bool other, MPS::ImageFeatureChannelFormat format) {
            return Setting{setting.device, other ? format : setting.format};
        };
        const auto sources = imagesOf(in(given.bytes, MPS::ImageFeatureChannelFormat::Unorm8), operands[0]);
        const bool backwards = incoming && trains;
        MPS::StateBatch states;
        MPS::ImageBatch results;
        if (given.result.w > 0) {
            Shape shape{given.source.n, given.result.h, given.result.w,
                        given.descriptor->outputFeatureChannels()};
            results = imagesOf(setting, {shape, std::vector<double>(shape.count())});
            if (backwards) states = forward->resultStateBatch(sources, {}, results);
            forward->encodeBatch(commandBuffer, sources, states, results);
        } else if (backwards) {
            results = forward->encodeBatch(commandBuffer, sources, &states, false);
        } else {
            results = forward->encodeBatch(commandBuffer, sources);
        }
        Outcome outcome;
        outcome.gradients.resize(3);
        MPS::ImageBatch gradients;
        if (backwards) {
            const auto backward = std::make_shared<Backward>(setting.device, source);
            backward->setDestinationImageAllocator(MPS::Image::defaultAllocator());
            backward->setOptions(options);
            const auto& first = *results.at(0);
            const Shape shape{results.size(), first.height(), first.width(), first.featureChannels()};
            const auto wide = in(given.wideGradient, MPS::ImageFeatureChannelFormat::Float32);
            gradients = backward->encodeBatch(
                commandBuffer, imagesOf(wide, {shape, (*incoming)(0, shape)}), sources, states);
        }
        finish(commandBuffer);
        outcome.outputs = {arrayOf(results)};
        if (backwards) {
            auto& state = dynamic_cast<MPS::CNNConvolutionGradientState&>(*states.at(0));
            outcome.gradients[0] = arrayOf(gradients);
            outcome.gradients[1] = arrayOf(*state.gradientForWeights(), state.weightCount());
            outcome.gradients[2] = arrayOf(*state.gradientForBiases(), state.biasCount());
        }
        return outcome;
    };
    op.exactOnIntegers =
        d.fusedNeuronDescriptor().neuronType() == MPS::CNNNeuronType::None && !d.batchNormalization();
    const double taps = static_cast<double>(d.kernelWidth() * d.kernelHeight());
    op.sumLength = op.magnitude = taps * static_cast<double>(d.inputChannelsPerGroup()) + 1;
    const auto stride = static_cast<double>(d.strideInPixelsX() * d.strideInPixelsY());
    // Pixels of the larger side: a result may be larger than its source by full padding or a stride that
    // enlarges.
    const double pixels =
        static_cast<double>(given.source.n) *
        std::max({static_cast<double>(given.source.h + d.kernelHeight() * d.dilationRateY()) *
                      static_cast<double>(given.source.w + d.kernelWidth() * d.dilationRateX()) * stride,
                  static_cast<double>(given.result.h * given.result.w)});
    op.gradientLength = op.gradientMagnitude =
        std::max(taps * static_cast<double>(d.outputFeatureChannels()), pixels);
    return op;
}

}  // namespace pewter::optable
