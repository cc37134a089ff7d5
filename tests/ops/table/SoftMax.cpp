// Softmax and its logarithm over the channels of a pixel.

#include <MPS/CNNSoftMax.hpp>
#include <Pewter/check/KernelCases.hpp>
#include <cmath>

#include "table/Table.h"

namespace pewter::optable {

namespace {

using namespace check;

template <class Kernel>
Maker<Kernel> make() {
    return [](const auto& device) { return std::make_shared<Kernel>(device); };
}

/// Each output is a quotient of two sums over the channels; exponentials of numbers up to 1 stay under e.
template <class Forward, class Backward>
OpCase softMax(std::string name, const Shape& shape) {
    UnaryPair pair;
    pair.source = {"source", shape};
    pair.forward = make<Forward>();
    pair.backward = make<Backward>();
    pair.secondSource = SecondSource::Result;
    auto op = caseOf(std::move(name), pair);
    op.sumLength = op.gradientLength = static_cast<double>(shape.c) + 16;
    op.magnitude = op.gradientMagnitude = 4;
    return op;
}

}  // namespace

OpRow SoftMax() {
    OpRow row;
    row.family = "softmax";
    row.classes = {"MPSCNNSoftMax", "MPSCNNSoftMaxGradient", "MPSCNNLogSoftMax", "MPSCNNLogSoftMaxGradient"};
    row.pytorch = "torch.softmax(x, dim=1), torch.log_softmax(x, dim=1)";
    for (const Shape& shape : {Shape{1, 1, 1, 10}, Shape{2, 3, 5, 7}, Shape{1, 4, 4, 1}, Shape{3, 2, 2, 33}}) {
        const auto size = std::to_string(shape.n) + "x" + std::to_string(shape.h) + "x" + std::to_string(shape.w) + "x" +
                          std::to_string(shape.c);
        row.cases.push_back(softMax<MPS::CNNSoftMax, MPS::CNNSoftMaxGradient>("softmax " + size, shape));
        row.cases.push_back(softMax<MPS::CNNLogSoftMax, MPS::CNNLogSoftMaxGradient>("log-softmax " + size, shape));
    }
    row.large = {softMax<MPS::CNNSoftMax, MPS::CNNSoftMaxGradient>("softmax, 1000 classes", {16, 8, 8, 1000}),
                 softMax<MPS::CNNLogSoftMax, MPS::CNNLogSoftMaxGradient>("log-softmax, 1000 classes", {16, 8, 8, 1000})};
    row.errors = {{"null device", [](const auto&) { MPS::CNNSoftMax(nullptr); }, "device: expected"},
                  {"null source",
                   [](const auto& device) {
                       MPS::CNNSoftMax kernel(device);
                       kernel.encode(device->newCommandQueue()->commandBuffer(), nullptr);
                   },
                   "sourceImage"}};
    return row;
}

}  // namespace pewter::optable
