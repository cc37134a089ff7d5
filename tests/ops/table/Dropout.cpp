// Dropout: the same masks on every device, kept for the gradient.

#include <MPS/CNNDropout.hpp>
#include <MPS/CNNNeuron.hpp>
#include <Pewter/check/KernelCases.hpp>
#include <string>

#include "table/Table.h"

namespace pewter::optable {

namespace {

using namespace check;
using Device = std::shared_ptr<MTL::Device>;

/// A product and a quotient.
OpCase dropout(std::string name, const Shape& shape, float keep, const MTL::Size& stride = {1, 1, 1},
               std::uint64_t seed = 7) {
    UnaryPair pair;
    pair.source = {"source", shape};
    pair.forward = [=](const Device& device) {
        return std::make_shared<MPS::CNNDropout>(device, keep, seed, stride);
    };
    pair.backward = [=](const Device& device) {
        return std::make_shared<MPS::CNNDropoutGradient>(device, keep, seed, stride);
    };
    auto op = caseOf(std::move(name), pair);
    op.sumLength = op.gradientLength = 2;
    op.magnitude = op.gradientMagnitude = 1 / static_cast<double>(keep);
    // Quotients by a power of two are exact.
    op.exactOnIntegers = keep == 0.5f || keep == 0.25f;
    return op;
}

MPS::ImageBatch images(const Device& device, const Shape& shape) {
    return imagesOf({device}, {shape, std::vector<double>(shape.count(), 1.0)});
}

std::vector<ErrorCase> errors() {
    return {
        {"probability 0", [](const auto& device) { MPS::CNNDropout(device, 0); },
         "CNNDropout: keepProbability: expected a number between 0 and 1, both excluded, found 0"},
        {"probability 1", [](const auto& device) { MPS::CNNDropoutGradient(device, 1); },
         "CNNDropoutGradient: keepProbability: expected a number between 0 and 1, both excluded, found 1"},
        {"a stride of 2",
         [](const auto& device) {
             MPS::CNNDropout(device, 0.5f, 0, {2, 1, 1});
         },
         "maskStrideInPixels: expected 0 or 1 in each dimension, found 2 x 1 x 1"},
        {"a state of another size",
         [](const auto& device) {
             MPS::CNNDropout kernel(device, 0.5f);
             const auto x = images(device, {1, 2, 2, 4}), y = images(device, {1, 2, 2, 4}),
                        z = images(device, {1, 2, 1, 4});
             kernel.encodeBatch(device->newCommandQueue()->commandBuffer(), x,
                                kernel.resultStateBatch(x, {}, z), y);
         },
         "destinationState: expected one made for a mask of 2 x 2 x 4, found 1 x 2 x 4"},
        {"a state of another class",
         [](const auto& device) {
             MPS::CNNDropout kernel(device, 0.5f);
             MPS::CNNNeuron neuron(device, MPS::NNNeuronDescriptor());
             const auto x = images(device, {1, 2, 2, 4}), y = images(device, {1, 2, 2, 4});
             kernel.encodeBatch(device->newCommandQueue()->commandBuffer(), x,
                                neuron.resultStateBatch(x, {}, y), y);
         },
         "destinationState: expected a CNNDropoutGradientState"},
        {"a gradient of another probability",
         [](const auto& device) {
             MPS::CNNDropout kernel(device, 0.5f);
             MPS::CNNDropoutGradient gradient(device, 0.25f);
             const auto x = images(device, {1, 2, 2, 4});
             gradient.encodeBatch(device->newCommandQueue()->commandBuffer(), x, x,
                                  kernel.resultStateBatch(x, {}, x));
         },
         "gradientState: expected keep probability 0.25 and mask stride 1 x 1 x 1, found 0.5"},
        {"the mask of a temporary state",
         [](const auto& device) {
             MPS::CNNDropout kernel(device, 0.5f);
             const auto x = images(device, {1, 2, 2, 4});
             const auto commands = device->newCommandQueue()->commandBuffer();
             const auto states = kernel.temporaryResultStateBatch(commands, x, {}, x);
             states[0]->setReadCount(1);
             static_cast<MPS::CNNDropoutGradientState&>(*states[0]).maskData();
         },
         "maskData: expected a state that is not temporary"},
    };
}

}  // namespace

OpRow Dropout() {
    OpRow row;
    row.family = "dropout";
    row.classes = {"MPSCNNDropout", "MPSCNNDropoutGradient", "MPSCNNDropoutGradientState"};
    row.pytorch = "F.dropout(x, 1 - keepProbability), F.dropout2d for mask stride (0, 0, 1)";
    for (const std::size_t bits : {0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u}) {
        const MTL::Size stride{bits & 1, bits >> 1 & 1, bits >> 2};
        const auto text =
            std::to_string(stride.width) + std::to_string(stride.height) + std::to_string(stride.depth);
        row.cases.push_back(dropout("mask stride " + text, {2, 3, 4, 5}, 0.5f, stride));
    }
    row.cases.push_back(dropout("keep 0.25", {3, 2, 3, 4}, 0.25f));
    row.cases.push_back(dropout("keep 0.9", {1, 3, 5, 7}, 0.9f));
    row.cases.push_back(dropout("keep 0.75, another seed", {2, 1, 1, 33}, 0.75f, {1, 1, 1}, 123456789012345));
    row.cases.push_back(dropout("one element", {1, 1, 1, 1}, 0.5f));
    row.large = {dropout("elements, 26 MB", {32, 56, 56, 64}, 0.5f),
                 dropout("channels, 26 MB", {32, 56, 56, 64}, 0.75f, {0, 0, 1}),
                 dropout("activations of a fully connected layer, 17 MB", {1024, 1, 1, 4096}, 0.5f)};
    row.errors = errors();
    return row;
}

}  // namespace pewter::optable
