// Transposed convolution: the adjoint of a convolution, its stride enlarges.

#include <MPS/CNNConvolutionTranspose.hpp>

#include "table/Table.h"
#include "table/WeightedCases.h"

namespace pewter::optable {

namespace {

using namespace check;
using Kernel = MPS::CNNConvolutionTranspose;

OpCase transposed(std::string name, Weighted<Kernel> given) {
    return weightedCase<Kernel, MPS::CNNConvolutionTransposeGradient>(std::move(name), std::move(given));
}

std::function<void(Kernel&)> padded(MPS::NNPaddingMethod method) {
    return [method](Kernel& kernel) { kernel.setPadding(MPS::NNDefaultPadding::padding(method)); };
}

std::function<void(Kernel&)> at(std::int64_t x, std::int64_t y, std::int64_t offset = 0) {
    return [=](Kernel& kernel) {
        kernel.setKernelOffsetX(x);
        kernel.setKernelOffsetY(y);
        kernel.setOffset({offset, 0, 0});
    };
}

/// The kernel placed by a convolution that it undoes, whose source had that size.
std::function<void(Kernel&)> undoing(std::size_t width, std::size_t height) {
    return [=](Kernel& kernel) {
        const auto& d = kernel.descriptor();
        const auto back = geometry(d.kernelWidth(), d.kernelHeight(), 1, 1, d.strideInPixelsX(),
                                   d.strideInPixelsY(), d.dilationRateX(), d.dilationRateY());
        MPS::CNNConvolution convolution(kernel.device(), onesOf(back));
        const auto x =
            imagesOf({kernel.device()}, {{1, height, width, 1}, std::vector<double>(width * height)});
        const auto size = convolution.destinationImageDescriptor({x[0]});
        const auto y = imagesOf({kernel.device()}, {{1, size.height, size.width, 1},
                                                    std::vector<double>(size.width * size.height)});
        const auto state = convolution.resultState(x[0], {}, y[0]);
        kernel.configure(*std::dynamic_pointer_cast<MPS::CNNConvolutionGradientState>(state)->record());
    };
}

DescriptorPtr depthwise(std::size_t taps, std::size_t channels, std::size_t stride) {
    auto d = MPS::CNNDepthWiseConvolutionDescriptor::cnnConvolutionDescriptor(taps, taps, channels, channels);
    d->setStrideInPixelsX(stride);
    d->setStrideInPixelsY(stride);
    return d;
}

void make(const std::shared_ptr<MTL::Device>& device, const DescriptorPtr& descriptor) {
    Kernel(device, onesOf(descriptor));
}

}  // namespace

OpRow ConvolutionTranspose() {
    OpRow row;
    row.family = "convolution_transpose";
    row.classes = {"MPSCNNConvolutionTranspose", "MPSCNNConvolutionTransposeGradient",
                   "MPSCNNConvolutionTransposeGradientState"};
    row.pytorch =
        "torch.nn.functional.conv_transpose2d(x, w.flip(1, 2).permute(3, 0, 1, 2), b, stride, p, op, groups, "
        "d)";
    auto rectified = geometry(3, 3, 2, 3, 2, 2);
    rectified->setFusedNeuronDescriptor(
        MPS::NNNeuronDescriptor::cnnNeuronDescriptor(MPS::CNNNeuronType::ReLU, 0.5f));
    row.cases = {
        transposed("3x3, stride 1", {{2, 3, 4, 0}, geometry(3, 3, 2, 3)}),
        transposed("3x3, stride 2", {{2, 3, 2, 0}, geometry(3, 3, 2, 3, 2, 2)}),
        transposed("3x3, stride 2, full",
                   {{1, 2, 3, 0}, geometry(3, 3, 2, 2, 2, 2), padded(MPS::NNPaddingMethodSizeFull)}),
        transposed("4x4, stride 2, valid only",
                   {{1, 4, 3, 0}, geometry(4, 4, 2, 2, 2, 2), padded(MPS::NNPaddingMethodSizeValidOnly)}),
        transposed("even window, stride 3 by 2", {{1, 3, 2, 0}, geometry(2, 4, 2, 2, 3, 2)}),
        transposed("stride beyond the window", {{1, 2, 3, 0}, geometry(1, 2, 2, 3, 3, 3)}),
        transposed("dilation 2 by 3", {{1, 3, 3, 0}, geometry(3, 2, 2, 2, 2, 1, 2, 3)}),
        transposed("two groups", {{1, 2, 3, 0}, geometry(2, 2, 8, 8, 2, 2, 1, 1, 2)}),
        transposed("depthwise", {{2, 3, 3, 0}, depthwise(3, 3, 2)}),
        transposed("one pixel to a window",
                   {{2, 1, 1, 0}, geometry(4, 3, 5, 2), padded(MPS::NNPaddingMethodSizeFull)}),
        transposed("kernel offset, given result",
                   {{1, 3, 3, 0}, geometry(3, 3, 2, 2, 2, 2), at(-2, 1), {1, 7, 5, 0}}),
        transposed("offset in pixels of the source",
                   {{1, 3, 4, 0}, geometry(3, 2, 2, 2, 2, 1), at(0, 0, 1), {1, 3, 6, 0}}),
        transposed("undoing a convolution of 7x6",
                   {{1, 3, 4, 0}, geometry(3, 3, 2, 2, 2, 2), undoing(7, 6), {1, 6, 7, 0}}),
        transposed("fused ReLU", {{1, 3, 3, 0}, rectified}),
    };
    row.large = {
        transposed("4x4, stride 2, 128 to 64 channels", {{8, 32, 32, 0}, geometry(4, 4, 128, 64, 2, 2)}),
        transposed("3x3, stride 2, 64 to 64 channels", {{8, 28, 28, 0}, geometry(3, 3, 64, 64, 2, 2)}),
        transposed("2x2, stride 2, 64 to 32 channels", {{4, 128, 128, 0}, geometry(2, 2, 64, 32, 2, 2)}),
        transposed("4x4, stride 2, 1024 to 512 channels", {{16, 4, 4, 0}, geometry(4, 4, 1024, 512, 2, 2)}),
    };
    row.errors = {
        {"null data source", [](const auto& device) { Kernel(device, nullptr); },
         "weights: expected a data source, found null"},
        {"a sub-pixel descriptor",
         [](const auto& device) {
             auto d = MPS::CNNSubPixelConvolutionDescriptor::cnnConvolutionDescriptor(2, 2, 1, 4);
             d->setSubPixelScaleFactor(2);
             make(device, d);
         },
         "subPixelScaleFactor: expected 1 for a transposed convolution, found 2"},
        {"weights of half precision",
         [](const auto& device) {
             struct Halves final : ListSource {
                 using ListSource::ListSource;
                 MPS::DataType dataType() const override { return MPS::DataType::Float16; }
             };
             Kernel(device, std::make_shared<Halves>(geometry(1, 1, 1, 1), std::vector<float>{1}));
         },
         "dataType: expected Float32 for a transposed convolution"},
        {"another edge mode",
         [](const auto& device) {
             Kernel kernel(device, onesOf(geometry(1, 1, 1, 1)));
             kernel.setEdgeMode(MPS::ImageEdgeMode::Clamp);
             kernel.encodeBatch(device->newCommandQueue()->commandBuffer(),
                                imagesOf({device}, {{1, 1, 1, 1}, {1}}));
         },
         "edgeMode: expected Zero"},
        {"training a fused neuron",
         [rectified](const auto& device) { MPS::CNNConvolutionTransposeGradient(device, onesOf(rectified)); },
         "fusedNeuronDescriptor: expected none"},
        {"a convolution's state",
         [](const auto& device) {
             const auto source = onesOf(geometry(1, 1, 1, 1));
             const auto forward = std::make_shared<MPS::CNNConvolution>(device, source);
             MPS::CNNConvolutionTransposeGradient gradient(device, source);
             const auto x = imagesOf({device}, {{1, 1, 1, 1}, {1}});
             const auto commandBuffer = device->newCommandQueue()->commandBuffer();
             MPS::StateBatch states;
             forward->setDestinationImageAllocator(MPS::Image::defaultAllocator());
             const auto y = forward->encodeBatch(commandBuffer, x, &states, false);
             gradient.encodeBatch(commandBuffer, y, x, states);
         },
         "gradientState: expected a CNNConvolutionTransposeGradientState, found a "
         "CNNConvolutionGradientState"},
    };
    return row;
}

}  // namespace pewter::optable
