// Convolution: plain, grouped, dilated, depthwise, sub-pixel.

#include "table/Table.h"
#include "table/WeightedCases.h"

namespace pewter::optable {

namespace {

using namespace check;
using Kernel = MPS::CNNConvolution;

OpCase convolution(std::string name, Weighted<Kernel> given) {
    return weightedCase<Kernel, MPS::CNNConvolutionGradient>(std::move(name), std::move(given));
}

std::function<void(Kernel&)> padded(MPS::NNPaddingMethod method) {
    return [method](Kernel& kernel) { kernel.setPadding(MPS::NNDefaultPadding::padding(method)); };
}

/// A given destination: offset and edge mode as they are.
std::function<void(Kernel&)> at(std::int64_t x, std::int64_t y,
                                MPS::ImageEdgeMode edge = MPS::ImageEdgeMode::Zero) {
    return [=](Kernel& kernel) {
        kernel.setOffset({x, y, 0});
        kernel.setEdgeMode(edge);
    };
}

DescriptorPtr depthwise(std::size_t kernelWidth, std::size_t kernelHeight, std::size_t inputs,
                        std::size_t outputs, std::size_t stride = 1) {
    auto d = MPS::CNNDepthWiseConvolutionDescriptor::cnnConvolutionDescriptor(kernelWidth, kernelHeight,
                                                                              inputs, outputs);
    d->setStrideInPixelsX(stride);
    d->setStrideInPixelsY(stride);
    return d;
}

DescriptorPtr subPixel(std::size_t taps, std::size_t inputs, std::size_t outputs, std::size_t factor) {
    auto d = MPS::CNNSubPixelConvolutionDescriptor::cnnConvolutionDescriptor(taps, taps, inputs, outputs);
    d->setSubPixelScaleFactor(factor);
    return d;
}

DescriptorPtr with(DescriptorPtr descriptor, MPS::NNNeuronDescriptor neuron) {
    descriptor->setFusedNeuronDescriptor(std::move(neuron));
    return descriptor;
}

DescriptorPtr folded() {
    auto d = geometry(3, 3, 2, 3);
    // Factors of 1/2, -1/2 and 2, which leave weights in bfloat16 what they are.
    d->setBatchNormalizationParametersForInference({0.5f, -1, 0}, {3.5f, 0.5f, 0.5f}, {1, -0.5f, 2}, {0, 1, -1},
                                                   0.5f);
    return d;
}

template <class Body>
ErrorCase refused(std::string name, DescriptorPtr descriptor, Body body, std::string says) {
    return {std::move(name), [=](const auto& device) { body(device, descriptor); }, std::move(says)};
}

void make(const std::shared_ptr<MTL::Device>& device, const DescriptorPtr& descriptor) {
    Kernel(device, onesOf(descriptor));
}

void makeGradient(const std::shared_ptr<MTL::Device>& device, const DescriptorPtr& descriptor) {
    MPS::CNNConvolutionGradient(device, onesOf(descriptor));
}

}  // namespace

OpRow Convolution() {
    using MPS::CNNNeuronType;
    using MPS::NNNeuronDescriptor;
    OpRow row;
    row.family = "convolution";
    row.classes = {"MPSCNNConvolutionDescriptor",
                   "MPSCNNSubPixelConvolutionDescriptor",
                   "MPSCNNDepthWiseConvolutionDescriptor",
                   "MPSCNNConvolutionDataSource",
                   "MPSCNNConvolution",
                   "MPSCNNConvolutionGradient",
                   "MPSCNNConvolutionGradientState",
                   "MPSCNNConvolutionWeightsAndBiasesState"};
    row.pytorch = "torch.nn.functional.conv2d(pad(x), w, b, stride, 0, dilation, groups)";
    row.cases = {
        convolution("3x3", {{2, 4, 3, 0}, geometry(3, 3, 2, 3)}),
        convolution("1x1", {{1, 3, 2, 0}, geometry(1, 1, 5, 3)}),
        convolution("even window 2x4", {{1, 4, 5, 0}, geometry(2, 4, 2, 2)}),
        convolution("stride 2, valid only",
                    {{1, 5, 6, 0}, geometry(3, 3, 2, 2, 2, 2), padded(MPS::NNPaddingMethodSizeValidOnly)}),
        convolution("stride 3 by 2, full",
                    {{1, 4, 5, 0}, geometry(2, 3, 2, 2, 3, 2), padded(MPS::NNPaddingMethodSizeFull)}),
        convolution("same, remainder to the right",
                    {{1, 4, 6, 0},
                     geometry(4, 2, 2, 2, 2, 1),
                     padded(MPS::NNPaddingMethodAddRemainderToBottomRight | MPS::NNPaddingMethodSizeSame)}),
        convolution("stride beyond the window", {{1, 5, 5, 0}, geometry(1, 1, 2, 3, 3, 2)}),
        convolution("dilation 2 by 3", {{1, 5, 4, 0}, geometry(3, 2, 2, 2, 1, 1, 2, 3)}),
        convolution("dilation and stride", {{1, 5, 5, 0}, geometry(2, 3, 1, 2, 2, 2, 3, 2)}),
        convolution("two groups", {{2, 3, 3, 0}, geometry(2, 2, 8, 8, 1, 1, 1, 1, 2)}),
        convolution("offset, larger result", {{1, 3, 3, 0}, geometry(3, 3, 2, 2), at(-1, 2), {1, 4, 5, 0}}),
        convolution("clamp",
                    {{2, 3, 4, 0}, geometry(3, 3, 2, 2), at(0, 0, MPS::ImageEdgeMode::Clamp), {1, 3, 4, 0}}),
        convolution(
            "clamp far outside",
            {{1, 3, 3, 0}, geometry(2, 3, 1, 2, 2, 2), at(-2, -3, MPS::ImageEdgeMode::Clamp), {1, 4, 4, 0}}),
        convolution("3 to 3 channels, stride 2", {{2, 6, 5, 0}, geometry(3, 3, 3, 3, 2, 2)}),
        convolution("3 to 16 channels", {{1, 3, 4, 0}, geometry(3, 3, 3, 16)}),
        convolution("16 to 3 channels", {{1, 3, 4, 0}, geometry(3, 3, 16, 3)}),
        convolution("bytes, 3 to 9 channels, stride 2",
                    {{2, 6, 5, 0}, geometry(3, 3, 3, 9, 2, 2), {}, {2, 3, 3, 0}, true}),
        convolution("bytes, 1 to 3 channels", {{2, 5, 6, 0}, geometry(5, 5, 1, 3), {}, {2, 5, 6, 0}, true}),
        convolution("4 to 8 channels, stride 2 by 1", {{2, 3, 4, 0}, geometry(2, 3, 4, 8, 2, 1)}),
        convolution("1 to 72 channels", {{1, 2, 3, 0}, geometry(2, 1, 1, 72)}),
        convolution("3 to 8 channels, padding beyond the window",
                    {{2, 2, 3, 0}, geometry(3, 3, 3, 8), at(-3, -4), {1, 8, 7, 0}}),
        convolution("bytes, 4 to 8 channels, clamp",
                    {{1, 4, 3, 0}, geometry(3, 2, 4, 8), at(1, -1, MPS::ImageEdgeMode::Clamp), {1, 4, 3, 0}, true}),
        convolution("a float32 gradient, 8 to 5 channels",
                    {{2, 4, 3, 0}, geometry(1, 1, 8, 5), {}, {2, 4, 3, 0}, false, true}),
        convolution("depthwise", {{2, 4, 4, 0}, depthwise(3, 3, 4, 4)}),
        convolution("depthwise, stride 2, even window", {{1, 5, 5, 0}, depthwise(4, 2, 3, 3, 2)}),
        convolution("depthwise, multiplier 2", {{1, 4, 4, 0}, depthwise(3, 3, 3, 6)}),
        convolution("sub-pixel, factor 2", {{2, 3, 2, 0}, subPixel(3, 2, 12, 2)}),
        convolution("sub-pixel, factor 3", {{1, 2, 3, 0}, subPixel(2, 3, 9, 3)}),
        convolution("fused ReLU", {{1, 4, 4, 0},
                                   with(geometry(3, 3, 2, 3), NNNeuronDescriptor::cnnNeuronDescriptor(
                                                                  CNNNeuronType::ReLU, 0.25f))}),
        convolution("fused PReLU", {{1, 3, 3, 0},
                                    with(geometry(2, 2, 2, 3),
                                         NNNeuronDescriptor::cnnNeuronPReLUDescriptor({0.5f, -1, 2}))}),
        convolution("folded normalisation", {{1, 4, 4, 0}, folded()}),
    };
    // gamma / sqrt(variance + 0.5) is at most 1 and the slopes are at most 2; the rest adds 2 to a sum of 20.
    for (auto& op : row.cases)
        if (!op.exactOnIntegers) op.magnitude = 2 * op.magnitude + 4;
    row.large = {
        convolution("3x3, 64 to 64 channels", {{8, 56, 56, 0}, geometry(3, 3, 64, 64)}),
        convolution("1x1, 256 to 64 channels", {{8, 56, 56, 0}, geometry(1, 1, 256, 64)}),
        convolution("depthwise 3x3, 128 channels", {{8, 56, 56, 0}, depthwise(3, 3, 128, 128)}),
        convolution("sub-pixel, factor 2, 32 to 128 channels", {{4, 64, 64, 0}, subPixel(3, 32, 128, 2)}),
    };
    const auto plain = geometry(3, 3, 2, 4);
    row.errors = {
        {"null data source", [](const auto& device) { Kernel(device, nullptr); },
         "weights: expected a data source, found null"},
        refused(
            "kernel width 0",
            [] {
                auto d = geometry(3, 3, 2, 4);
                d->setKernelWidth(0);
                return d;
            }(),
            make, "kernelWidth: expected at least 1, found 0"),
        refused("groups that do not divide", geometry(3, 3, 2, 4, 1, 1, 1, 1, 3), make,
                "groups: expected a divisor of both channel counts"),
        refused("groups of two channels", geometry(3, 3, 4, 4, 1, 1, 1, 1, 2), make,
                "groups: expected multiples of 4 channels in each group"),
        refused("a depthwise convolution that drops channels", depthwise(3, 3, 4, 2), make,
                "outputFeatureChannels: expected a multiple of inputFeatureChannels"),
        refused("a sub-pixel factor that does not divide", subPixel(1, 1, 6, 2), make,
                "subPixelScaleFactor: expected a factor whose square divides outputFeatureChannels"),
        refused("too few slopes",
                with(geometry(1, 1, 1, 4), NNNeuronDescriptor::cnnNeuronPReLUDescriptor({1})), make,
                "fusedNeuronDescriptor"),
        refused("training a fused neuron",
                with(geometry(1, 1, 1, 4), NNNeuronDescriptor::cnnNeuronDescriptor(CNNNeuronType::ReLU)),
                makeGradient, "fusedNeuronDescriptor: expected none"),
        refused("training a folded normalisation", folded(), makeGradient,
                "setBatchNormalizationParametersForInference: expected no folded batch normalisation"),
        refused("training a multiplier", depthwise(3, 3, 2, 4), makeGradient,
                "channelMultiplier: expected at most 1"),
        refused("training a sub-pixel convolution", subPixel(1, 1, 4, 2), makeGradient,
                "subPixelScaleFactor: expected 1: the rearrangement has no gradient"),
        refused(
            "too few channels", plain,
            [](const auto& device, const auto& d) {
                Kernel kernel(device, onesOf(d));
                const auto images = imagesOf({device}, {{1, 3, 3, 1}, std::vector<double>(9)});
                kernel.encodeBatch(device->newCommandQueue()->commandBuffer(), images);
            },
            "sourceImage: expected 2 feature channels, found 1"),
        refused(
            "a state of other weights", plain,
            [](const auto& device, const auto& d) {
                Kernel kernel(device, onesOf(d));
                kernel.reloadWeightsAndBiases(device->newCommandQueue()->commandBuffer(),
                                              std::make_shared<MPS::CNNConvolutionWeightsAndBiasesState>(
                                                  device, *geometry(1, 1, 2, 4)));
            },
            "state: expected 72 weights, found 8"),
    };
    return row;
}

}  // namespace pewter::optable
