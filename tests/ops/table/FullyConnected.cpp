// Fully connected: the inner product of a whole image with each filter.

#include <MPS/CNNFullyConnected.hpp>

#include "table/Table.h"
#include "table/WeightedCases.h"

namespace pewter::optable {

namespace {

using namespace check;
using Kernel = MPS::CNNFullyConnected;

OpCase connected(std::string name, std::size_t batch, std::size_t width, std::size_t height,
                 std::size_t inputs, std::size_t outputs) {
    return weightedCase<Kernel, MPS::CNNFullyConnectedGradient>(
        std::move(name), {{batch, height, width, 0}, geometry(width, height, inputs, outputs)});
}

}  // namespace

OpRow FullyConnected() {
    OpRow row;
    row.family = "fully_connected";
    row.classes = {"MPSCNNFullyConnected", "MPSCNNFullyConnectedGradient"};
    row.pytorch = "torch.nn.functional.linear(x.flatten(1), w, b)";
    row.cases = {connected("one pixel, one image", 1, 1, 1, 7, 3),
                 connected("one pixel, batch 3", 3, 1, 1, 9, 5),
                 connected("3x2 pixels", 2, 3, 2, 3, 4),
                 connected("one column", 2, 1, 5, 2, 3),
                 connected("one output", 4, 2, 2, 5, 1),
                 connected("one input", 5, 1, 1, 1, 6),
                 connected("odd counts of channels", 2, 2, 1, 17, 3)};
    auto rectified = geometry(2, 2, 3, 4);
    rectified->setFusedNeuronDescriptor(
        MPS::NNNeuronDescriptor::cnnNeuronDescriptor(MPS::CNNNeuronType::ReLU, 0.5f));
    row.cases.push_back(
        weightedCase<Kernel, MPS::CNNFullyConnectedGradient>("fused ReLU", {{2, 2, 2, 0}, rectified}));
    row.cases.push_back(weightedCase<Kernel, MPS::CNNFullyConnectedGradient>(
        "a float32 gradient", {{3, 2, 2, 0}, geometry(2, 2, 3, 5), {}, {3, 1, 1, 0}, false, true}));
    row.cases.push_back(weightedCase<Kernel, MPS::CNNFullyConnectedGradient>(
        "bytes", {{3, 2, 2, 0}, geometry(2, 2, 3, 5), {}, {3, 1, 1, 0}, true}));
    row.large = {connected("7x7x256 to 1024", 32, 7, 7, 256, 1024),
                 connected("4096 to 1000", 64, 1, 1, 4096, 1000),
                 connected("4096 to 4096, one image", 1, 1, 1, 4096, 4096)};
    row.errors = {
        {"null data source", [](const auto& device) { Kernel(device, nullptr); },
         "weights: expected a data source, found null"},
        {"a stride", [](const auto& device) { Kernel(device, onesOf(geometry(2, 2, 1, 4, 2))); },
         "strideInPixelsX: expected 1 for a fully connected kernel, found 2"},
        {"a dilation", [](const auto& device) { Kernel(device, onesOf(geometry(2, 2, 1, 4, 1, 1, 1, 2))); },
         "dilationRateY: expected 1 for a fully connected kernel, found 2"},
        {"groups", [](const auto& device) { Kernel(device, onesOf(geometry(2, 2, 8, 8, 1, 1, 1, 1, 2))); },
         "groups: expected 1 for a fully connected kernel, found 2"},
        {"a depthwise descriptor",
         [](const auto& device) {
             Kernel(device,
                    onesOf(MPS::CNNDepthWiseConvolutionDescriptor::cnnConvolutionDescriptor(2, 2, 4, 4)));
         },
         "expected a plain convolution descriptor"},
        {"another size",
         [](const auto& device) {
             Kernel kernel(device, onesOf(geometry(2, 2, 1, 4)));
             kernel.encodeBatch(device->newCommandQueue()->commandBuffer(),
                                imagesOf({device}, {{1, 3, 2, 1}, std::vector<double>(6)}));
         },
         "sourceImage: expected 2 x 2 pixels, the kernel's size, found 2 x 3"},
        {"a convolution's state",
         [](const auto& device) {
             const auto source = onesOf(geometry(1, 1, 1, 1));
             const auto forward = std::make_shared<MPS::CNNConvolution>(device, source);
             MPS::CNNFullyConnectedGradient gradient(device, source);
             const auto x = imagesOf({device}, {{1, 1, 1, 1}, {1}});
             const auto commandBuffer = device->newCommandQueue()->commandBuffer();
             MPS::StateBatch states;
             forward->setDestinationImageAllocator(MPS::Image::defaultAllocator());
             const auto y = forward->encodeBatch(commandBuffer, x, &states, false);
             gradient.encodeBatch(commandBuffer, y, x, states);
         },
         "gradientState: expected one of a CNNFullyConnected"}};
    return row;
}

}  // namespace pewter::optable
