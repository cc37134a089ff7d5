// Group normalisation: groups of neighbouring channels of each image by their own mean and variance.

#include <cmath>

#include "table/Normalization.h"
#include "table/Table.h"

namespace pewter::optable {

namespace {

using namespace check;
using Device = std::shared_ptr<MTL::Device>;
using Kernel = MPS::CNNGroupNormalization;
using Gradient = MPS::CNNGroupNormalizationGradient;

class Source final : public NormalizationSource<MPS::CNNGroupNormalizationDataSource> {
public:
    Source(std::size_t channels, std::size_t groups, std::vector<float> gamma, std::vector<float> beta,
           float epsilon)
        : NormalizationSource(channels, std::move(gamma), std::move(beta), epsilon), groups_(groups) {}
    std::size_t numberOfGroups() const override { return groups_; }
    void setNumberOfGroups(std::size_t groups) override { groups_ = groups; }

private:
    std::size_t groups_;
};

auto kernelOf(std::size_t channels, std::size_t groups, float epsilon) {
    return [=](const Device& device, std::vector<float> gamma, std::vector<float> beta) {
        return std::make_shared<Kernel>(
            device, std::make_shared<Source>(channels, groups, std::move(gamma), std::move(beta), epsilon));
    };
}

OpCase group(std::string name, const Shape& shape, std::size_t groups,
             float epsilon = kNormalizationEpsilon) {
    return normalizationCase<Kernel, Gradient>(std::move(name), normalizationOperands(shape, shape.c), shape,
                                               kernelOf(shape.c, groups, epsilon));
}

std::shared_ptr<Kernel> kernel(const Device& device, std::size_t channels, std::size_t groups) {
    return kernelOf(channels, groups, 1)(device, {}, {});
}

MPS::ImageBatch images(const Device& device, const Shape& shape) {
    return imagesOf({device}, {shape, std::vector<double>(shape.count(), 1.0)});
}

std::vector<ErrorCase> errors() {
    return {
        {"null data source", [](const auto& device) { Kernel(device, nullptr); },
         "CNNGroupNormalization: dataSource: expected a data source, found null"},
        {"no channels", [](const auto& device) { kernel(device, 0, 1); },
         "dataSource.numberOfFeatureChannels: expected at least 1, found 0"},
        {"groups that do not divide", [](const auto& device) { kernel(device, 6, 4); },
         "dataSource.numberOfGroups: expected a divisor of 6 feature channels, found 4"},
        {"no groups", [](const auto& device) { kernel(device, 6, 0); },
         "dataSource.numberOfGroups: expected a divisor of 6 feature channels, found 0"},
        {"another number of channels",
         [](const auto& device) {
             kernel(device, 4, 2)
                 ->encodeBatch(device->newCommandQueue()->commandBuffer(), images(device, {1, 2, 2, 8}));
         },
         "CNNGroupNormalization 'norm': sourceImage: expected 4 feature channels, found 8"},
        {"a destination of another size",
         [](const auto& device) {
             const auto x = images(device, {1, 2, 2, 4}), y = images(device, {1, 2, 3, 4});
             kernel(device, 4, 2)->encodeBatch(device->newCommandQueue()->commandBuffer(), x, y);
         },
         "destinationImage: expected 2 x 2 pixels, as in the source, found 3 x 2"},
        {"the state of another kernel",
         [](const auto& device) {
             const auto x = images(device, {1, 2, 2, 4}), y = images(device, {1, 2, 2, 4});
             const auto states = kernel(device, 4, 2)->resultStateBatch(x, {}, y);
             kernel(device, 4, 2)->encodeBatch(device->newCommandQueue()->commandBuffer(), x, states, y);
         },
         "destinationState: expected a state that this kernel made"},
        {"a parameter state of too few channels",
         [](const auto& device) {
             const auto state = std::make_shared<MPS::CNNNormalizationGammaAndBetaState>(
                 device->newBuffer(12), device->newBuffer(12));
             kernel(device, 4, 2)->reloadGammaAndBeta(device->newCommandQueue()->commandBuffer(), state);
         },
         "gammaAndBetaState: expected 4 values of float32, found 12 bytes"},
        {"sums of no states",
         [](const auto& device) {
             MPS::CNNNormalizationGradientState::batchGradient(
                 device->newCommandQueue()->commandBuffer(), MPS::CNNGroupNormalizationGradientStateBatch());
         },
         "batchGradient: states: expected at least one state, found none"},
    };
}

}  // namespace

OpRow GroupNormalization() {
    OpRow row;
    row.family = "group_normalization";
    row.classes = {"MPSCNNGroupNormalization", "MPSCNNGroupNormalizationGradient",
                   "MPSCNNGroupNormalizationGradientState", "MPSCNNGroupNormalizationDataSource",
                   "MPSCNNNormalizationGammaAndBetaState"};
    row.pytorch = "F.group_norm(x, groups, gamma, beta, epsilon)";
    const auto named = [](const Shape& shape, std::size_t groups) {
        return group(std::to_string(shape.n) + "x" + std::to_string(shape.h) + "x" + std::to_string(shape.w) +
                         "x" + std::to_string(shape.c) + ", " + std::to_string(groups) + " groups",
                     shape, groups);
    };
    for (const std::size_t groups : {1, 2, 3, 6}) {
        row.cases.push_back(named({2, 2, 3, 6}, groups));
        row.cases.push_back(named({1, 1, 1, 12}, groups));
    }
    row.cases.push_back(named({3, 2, 2, 9}, 3));
    row.cases.push_back(named({1, 3, 5, 7}, 7));
    row.cases.push_back(named({1, 3, 5, 7}, 1));
    row.cases.push_back(group("epsilon 1", {2, 3, 3, 4}, 2, 1));
    auto plain = group("no gamma, no beta", {2, 3, 3, 4}, 2);
    plain.operands.resize(1);
    row.cases.push_back(plain);
    // One of the two channels of each pixel is 1: mean 1/2, deviation 1/2, every sum exact.
    const Shape pairs{2, 2, 4, 2};
    auto exact = normalizationCase<Kernel, Gradient>(
        "balanced ones", normalizationOperands(pairs, 2, Domain::OneHot), pairs, kernelOf(2, 1, 0));
    exact.exactOnIntegers = true;
    exact.closedForm = [](const std::vector<Array>& operands) {
        Array y = operands[0];
        for (std::size_t i = 0; i < y.values.size(); ++i)
            y.values[i] = (2 * y.values[i] - 1) * operands[1].values[i % 2] + operands[2].values[i % 2];
        return std::vector<Array>{y};
    };
    row.cases.push_back(exact);
    row.large = {group("32 groups of a residual network, 26 MB", {32, 56, 56, 64}, 32),
                 group("one large picture, 64 MB", {1, 512, 512, 64}, 8),
                 group("layer normalisation, 26 MB", {64, 14, 14, 512}, 1)};
    row.errors = errors();
    return row;
}

}  // namespace pewter::optable
