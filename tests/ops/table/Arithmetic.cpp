// Sums, differences, products and quotients of two images, with broadcasting, scales and limits.

#include <MPS/CNNArithmetic.hpp>
#include <Pewter/check/KernelCases.hpp>
#include <array>
#include <cmath>
#include <string>

#include "table/Table.h"

namespace pewter::optable {

namespace {

using namespace check;

enum class Operation { Add, Subtract, Multiply, Divide };
constexpr const char* kNames[] = {"add", "subtract", "multiply", "divide"};

/// Scales, limits, and which axes (x, y, channels) of each operand are broadcast.
struct Settings {
    float p = 1, s = 1, bias = 0;
    bool limits = false;
    std::array<bool, 3> primary = {}, secondary = {};
};

Shape cut(const Shape& shape, const std::array<bool, 3>& axes) {
    return {shape.n, axes[1] ? 1 : shape.h, axes[0] ? 1 : shape.w, axes[2] ? 1 : shape.c};
}

std::shared_ptr<MPS::CNNArithmetic> kernelOf(Operation operation, const Settings& settings,
                                             const std::shared_ptr<MTL::Device>& device) {
    std::shared_ptr<MPS::CNNArithmetic> kernel;
    if (operation == Operation::Add) kernel = std::make_shared<MPS::CNNAdd>(device);
    if (operation == Operation::Subtract) kernel = std::make_shared<MPS::CNNSubtract>(device);
    if (operation == Operation::Multiply) kernel = std::make_shared<MPS::CNNMultiply>(device);
    if (operation == Operation::Divide) kernel = std::make_shared<MPS::CNNDivide>(device);
    const auto stride = [](bool broadcast) { return static_cast<std::size_t>(broadcast ? 0 : 1); };
    kernel->setPrimaryScale(settings.p);
    kernel->setSecondaryScale(settings.s);
    kernel->setBias(settings.bias);
    if (settings.limits) {
        kernel->setMinimumValue(-0.75f);
        kernel->setMaximumValue(1.25f);
    }
    kernel->setPrimaryStrideInPixelsX(stride(settings.primary[0]));
    kernel->setPrimaryStrideInPixelsY(stride(settings.primary[1]));
    kernel->setPrimaryStrideInFeatureChannels(stride(settings.primary[2]));
    kernel->setSecondaryStrideInPixelsX(stride(settings.secondary[0]));
    kernel->setSecondaryStrideInPixelsY(stride(settings.secondary[1]));
    kernel->setSecondaryStrideInFeatureChannels(stride(settings.secondary[2]));
    return kernel;
}

/// With the scales that make its result the derivative.
std::shared_ptr<MPS::CNNGradientKernel> gradientOf(Operation operation, const Settings& settings,
                                                   bool secondary,
                                                   const std::shared_ptr<MTL::Device>& device) {
    std::shared_ptr<MPS::CNNArithmeticGradient> kernel;
    if (operation == Operation::Add) kernel = std::make_shared<MPS::CNNAddGradient>(device, secondary);
    if (operation == Operation::Subtract)
        kernel = std::make_shared<MPS::CNNSubtractGradient>(device, secondary);
    if (operation == Operation::Multiply)
        kernel = std::make_shared<MPS::CNNMultiplyGradient>(device, secondary);
    const float own = secondary ? settings.s : settings.p;
    kernel->setPrimaryScale(operation == Operation::Multiply                ? settings.p
                            : operation == Operation::Subtract && secondary ? -own
                                                                            : own);
    kernel->setSecondaryScale(operation == Operation::Multiply ? settings.s : 1);
    return kernel;
}

OpCase arithmetic(const std::string& name, Operation operation, const Shape& shape,
                  const Settings& settings = {}) {
    BinaryPair pair;
    // Distinct numbers reach 2; a divisor is at least 0.25.
    const bool divides = operation == Operation::Divide;
    pair.primary = {"primary", cut(shape, settings.primary), Domain::Distinct};
    pair.secondary = {"secondary", cut(shape, settings.secondary),
                      divides ? Domain::Positive : Domain::Distinct};
    pair.forward = [=](const auto& device) { return kernelOf(operation, settings, device); };
    if (!divides) {
        pair.backwardPrimary = [=](const auto& device) {
            return gradientOf(operation, settings, false, device);
        };
        pair.backwardSecondary = [=](const auto& device) {
            return gradientOf(operation, settings, true, device);
        };
    }
    pair.takesOther = operation == Operation::Multiply;
    auto op = caseOf(std::string(kNames[static_cast<int>(operation)]) + ", " + name, pair);
    const double p = std::fabs(settings.p), s = std::fabs(settings.s), bias = std::fabs(settings.bias);
    op.sumLength = 3;
    op.magnitude = bias + (divides                            ? 2 * p / (0.25 * s)
                           : operation == Operation::Multiply ? 4 * p * s
                                                              : 2 * (p + s));
    // Up to as many terms as the image has pixels and channels, of a gradient up to 1 times the other
    // operand.
    const double terms = static_cast<double>(shape.count() / shape.n);
    op.gradientLength = terms + 2;
    op.gradientMagnitude = terms * (operation == Operation::Multiply ? 2 * p * s : std::max(p, s));
    return op;
}

std::vector<ErrorCase> errors() {
    const auto encodes = [](auto change, Shape secondary) {
        return [=](const std::shared_ptr<MTL::Device>& device) {
            const Setting setting{device};
            MPS::CNNAdd kernel(device);
            change(kernel);
            const auto image = [&](const Shape& shape) {
                return imagesOf(setting, {shape, std::vector<double>(shape.count(), 1)})[0];
            };
            kernel.encode(device->newCommandQueue()->commandBuffer(), image({1, 2, 2, 3}), image(secondary),
                          image({1, 2, 2, 3}));
        };
    };
    const Shape same{1, 2, 2, 3};
    return {
        {"null device", [](const auto&) { MPS::CNNAdd(nullptr); }, "device: expected"},
        {"unequal channels", encodes([](auto&) {}, {1, 2, 2, 4}),
         "secondaryImage: expected 3 feature channels, as the primary image has, found 4"},
        {"a stride of 2", encodes([](auto& k) { k.setSecondaryStrideInPixelsX(2); }, same),
         "secondaryStrideInPixelsX: expected 0 or 1, found 2"},
        {"a channel stride of 3", encodes([](auto& k) { k.setPrimaryStrideInFeatureChannels(3); }, same),
         "primaryStrideInFeatureChannels: expected 0 or 1, found 3"},
        {"a mirror", encodes([](auto& k) { k.setPrimaryEdgeMode(MPS::ImageEdgeMode::Mirror); }, same),
         "primaryEdgeMode: expected Zero or Clamp"},
        {"a gradient without a state",
         [](const std::shared_ptr<MTL::Device>& device) {
             const Setting setting{device};
             const auto image = imagesOf(setting, {{1, 1, 1, 1}, {1}})[0];
             MPS::CNNAddGradient(device, false)
                 .encode(device->newCommandQueue()->commandBuffer(), image, image, nullptr);
         },
         "gradientState: expected a CNNArithmeticGradientState, found null"},
        {"a gradient of another operation",
         [](const std::shared_ptr<MTL::Device>& device) {
             const Setting setting{device};
             const auto commands = device->newCommandQueue()->commandBuffer();
             const auto image = imagesOf(setting, {{1, 1, 1, 1}, {1}})[0];
             std::shared_ptr<MPS::State> state;
             const auto y = MPS::CNNAdd(device).encode(commands, image, image, &state, false);
             MPS::CNNMultiplyGradient(device, false).encode(commands, y, image, state);
         },
         "gradientState: expected a state made by CNNMultiply"},
    };
}

}  // namespace

OpRow Arithmetic() {
    OpRow row;
    row.family = "arithmetic";
    row.classes = {"MPSCNNArithmetic",       "MPSCNNAdd",
                   "MPSCNNSubtract",         "MPSCNNMultiply",
                   "MPSCNNDivide",           "MPSCNNArithmeticGradient",
                   "MPSCNNAddGradient",      "MPSCNNSubtractGradient",
                   "MPSCNNMultiplyGradient", "MPSCNNArithmeticGradientState"};
    row.pytorch = "(p * x + s * y + bias).clamp(minimum, maximum); -, *, / likewise";
    const Settings scaled{1.5f, -0.75f, 0.25f};
    Settings limited = scaled, channels = scaled, pixels = scaled, scalar = scaled, primary = scaled,
             cross = scaled;
    limited.limits = true;
    channels.secondary = {true, true, false};  // a bias
    pixels.secondary = {false, false, true};   // a mask
    scalar.secondary = {true, true, true};
    primary.primary = {true, false, true};
    cross.primary = {true, false, false}, cross.secondary = {false, true, true};
    cross.limits = true;
    Settings limitedPixels = pixels;
    limitedPixels.limits = true;
    for (const auto operation :
         {Operation::Add, Operation::Subtract, Operation::Multiply, Operation::Divide}) {
        row.cases.push_back(arithmetic("plain", operation, {2, 3, 2, 5}));
        row.cases.push_back(arithmetic("scales, bias and limits", operation, {1, 3, 5, 4}, limited));
        row.cases.push_back(arithmetic("a value a channel", operation, {2, 3, 2, 5}, channels));
        row.cases.push_back(arithmetic("a value a pixel", operation, {2, 2, 3, 7}, pixels));
        row.cases.push_back(arithmetic("a scalar", operation, {1, 4, 3, 3}, scalar));
        row.cases.push_back(arithmetic("a broadcast primary", operation, {2, 3, 4, 3}, primary));
        row.cases.push_back(arithmetic("both broadcast, with limits", operation, {2, 3, 4, 3}, cross));
        if (operation == Operation::Divide) continue;
        Settings whole{2, -1, 3};
        auto exact = arithmetic("integers", operation, {2, 3, 3, 5}, whole);
        exact.exactOnIntegers = true;
        exact.closedForm = [operation](const std::vector<Array>& operands) {
            Array y = operands[0];
            for (std::size_t i = 0; i < y.values.size(); ++i) {
                const double a = 2 * operands[0].values[i], b = -operands[1].values[i];
                y.values[i] = 3 + (operation == Operation::Add        ? a + b
                                   : operation == Operation::Subtract ? a - b
                                                                      : a * b);
            }
            return std::vector<Array>{y};
        };
        row.cases.push_back(exact);
    }
    const Shape wide{32, 56, 56, 64};
    row.large = {arithmetic("26 MB a tensor", Operation::Add, wide),
                 arithmetic("a value a channel", Operation::Multiply, wide, channels),
                 arithmetic("a value a pixel, limits", Operation::Subtract, wide, limitedPixels)};
    row.errors = errors();
    return row;
}

}  // namespace pewter::optable
