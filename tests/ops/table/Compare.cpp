// Comparisons of two images: 1 or 0, without a gradient.

#include <MPS/NNCompare.hpp>
#include <Pewter/check/KernelCases.hpp>
#include <cmath>
#include <string>

#include "table/Table.h"

namespace pewter::optable {

namespace {

using namespace check;
using MPS::NNComparisonType;

constexpr const char* kNames[] = {"equal",         "not equal", "less",
                                  "less or equal", "greater",   "greater or equal"};

bool holds(NNComparisonType type, double threshold, double x, double y) {
    switch (type) {
        case NNComparisonType::Equal:
            return std::fabs(x - y) <= threshold;
        case NNComparisonType::NotEqual:
            return std::fabs(x - y) > threshold;
        case NNComparisonType::Less:
            return x < y;
        case NNComparisonType::LessOrEqual:
            return x <= y;
        case NNComparisonType::Greater:
            return x > y;
        case NNComparisonType::GreaterOrEqual:
            return x >= y;
    }
    return false;
}

/// perChannel: the secondary image has one pixel.
OpCase compare(NNComparisonType type, const Shape& shape, float threshold = 0, bool perChannel = false) {
    BinaryPair pair;
    pair.primary = {"primary", shape};
    pair.secondary = {"secondary", perChannel ? Shape{shape.n, 1, 1, shape.c} : shape};
    pair.forward = [=](const auto& device) {
        const auto kernel = std::make_shared<MPS::NNCompare>(device);
        kernel->setComparisonType(type);
        kernel->setThreshold(threshold);
        if (perChannel) {
            kernel->setSecondaryStrideInPixelsX(0);
            kernel->setSecondaryStrideInPixelsY(0);
        }
        return kernel;
    };
    auto op = caseOf(std::string(kNames[static_cast<int>(type)]) + (threshold > 0 ? " within 2" : "") +
                         (perChannel ? ", a value a channel" : ""),
                     pair);
    op.exactOnIntegers = true;
    op.closedForm = [=](const std::vector<Array>& operands) {
        Array result = operands[0];
        const std::size_t c = shape.c, image = shape.count() / shape.n;
        for (std::size_t i = 0; i < result.values.size(); ++i)
            result.values[i] = holds(type, threshold, operands[0].values[i],
                                     operands[1].values[perChannel ? i / image * c + i % c : i]);
        return std::vector<Array>{result};
    };
    return op;
}

}  // namespace

OpRow Compare() {
    OpRow row;
    row.family = "compare";
    row.classes = {"MPSNNCompare"};
    row.pytorch = "torch.isclose(x, y, rtol=0, atol=threshold), x < y, x <= y, x > y, x >= y, as numbers";
    for (int type = 0; type < 6; ++type) {
        const auto comparison = static_cast<NNComparisonType>(type);
        row.cases.push_back(compare(comparison, {2, 3, 5, 7}));
        row.cases.push_back(compare(comparison, {2, 3, 2, 3}, 0, true));
    }
    row.cases.push_back(compare(NNComparisonType::Equal, {1, 4, 4, 5}, 2));
    row.cases.push_back(compare(NNComparisonType::NotEqual, {1, 4, 4, 5}, 2));
    const Shape wide{32, 56, 56, 64};
    row.large = {compare(NNComparisonType::Less, wide), compare(NNComparisonType::Equal, wide, 2)};
    row.errors = {{"null device", [](const auto&) { MPS::NNCompare(nullptr); }, "device: expected"},
                  {"unknown comparison",
                   [](const auto& device) {
                       MPS::NNCompare(device).setComparisonType(static_cast<NNComparisonType>(6));
                   },
                   "comparisonType: expected 0 (Equal) to 5 (GreaterOrEqual), found 6"},
                  {"a state to fill",
                   [](const std::shared_ptr<MTL::Device>& device) {
                       const auto x = imagesOf({device}, {{1, 1, 1, 1}, {1}})[0],
                                  y = imagesOf({device}, {{1, 1, 1, 1}, {1}})[0];
                       const auto state = std::dynamic_pointer_cast<MPS::CNNArithmeticGradientState>(
                           MPS::CNNAdd(device).resultState(x, x, {}, y));
                       MPS::NNCompare(device).encode(device->newCommandQueue()->commandBuffer(), x, x, state,
                                                     y);
                   },
                   "destinationState: expected none: a comparison has no gradient"}};
    return row;
}

}  // namespace pewter::optable
