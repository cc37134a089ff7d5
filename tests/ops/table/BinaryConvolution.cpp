// Convolutions with weights of one bit; inference only.

#include <MPS/CNNBinaryConvolution.hpp>

#include "table/Table.h"
#include "table/WeightedCases.h"

namespace pewter::optable {

namespace {

using namespace check;
using Type = MPS::CNNBinaryConvolutionType;
using Flags = MPS::CNNBinaryConvolutionFlags;

/// Bits packed into words of 32 input channels.
class BitSource final : public ListSource {
public:
    BitSource(DescriptorPtr d, const std::vector<double>& bits) : ListSource(d, {}) {
        const std::size_t inputs = d->inputFeatureChannels(), words = (inputs + 31) / 32;
        packed_.resize(bits.size() / inputs * words);
        for (std::size_t i = 0; i < bits.size(); ++i)
            if (bits[i] >= 0) packed_[i / inputs * words + i % inputs / 32] |= 1u << (i % inputs % 32);
    }
    MPS::DataType dataType() const override { return MPS::DataType::UInt32; }
    const void* weights() const override { return packed_.data(); }

private:
    std::vector<std::uint32_t> packed_;
};

template <class Kernel>
OpCase binary(std::string name, Shape source, DescriptorPtr descriptor, Type type, Flags flags = Flags::None,
              bool shifted = true) {
    const std::size_t inputs = descriptor->inputFeatureChannels(),
                      outputs = descriptor->outputFeatureChannels();
    source.c = inputs;
    OpCase op;
    op.name = std::move(name);
    // Away from 0, where a sign would hang on a rounding. Shifts would bring it back, so that they are whole
    // numbers.
    op.operands = {{"source", source, Domain::Distinct},
                   {"bits", {1, 1, 1, descriptor->weightCount()}, Domain::Signed, Kind::Parameter},
                   {"outputBias", {1, 1, 1, outputs}, Domain::Signed, Kind::Parameter},
                   {"outputScale", {1, 1, 1, outputs}, Domain::Signed, Kind::Parameter},
                   {"inputScale", {1, 1, 1, inputs}, Domain::Distinct, Kind::Parameter}};
    for (auto& operand : op.operands) operand.differentiable = false;
    op.run = [=](const Setting& setting, const std::vector<Array>& operands, const Incoming*) {
        const auto outputBias = floatsOf(operands[2]), outputScale = floatsOf(operands[3]),
                   inputScale = floatsOf(operands[4]);
        Kernel kernel(setting.device, std::make_shared<BitSource>(descriptor, operands[1].values),
                      outputBias.data(), outputScale.data(), nullptr, shifted ? inputScale.data() : nullptr,
                      type, flags);
        kernel.setDestinationImageAllocator(MPS::Image::defaultAllocator());
        const auto commandBuffer = setting.device->newCommandQueue()->commandBuffer();
        const auto results = kernel.encodeBatch(commandBuffer, imagesOf(setting, operands[0]));
        finish(commandBuffer);
        Outcome outcome;
        outcome.outputs = {arrayOf(results)};
        outcome.gradients.resize(operands.size());
        return outcome;
    };
    op.exactOnIntegers = flags == Flags::None;
    // A sum of products, each at most 1 or, with full-precision sources and their scales of at most 2, at
    // most 4; beta is at most 4 and its sum as long; the output's scale and bias are at most 1.
    op.sumLength = static_cast<double>(descriptor->kernelWidth() * descriptor->kernelHeight() * inputs) + 4;
    op.magnitude =
        op.sumLength * (type == Type::BinaryWeights ? 4 : 1) * (flags == Flags::UseBetaScaling ? 4 : 1);
    return op;
}

template <class Body>
ErrorCase refused(std::string name, Body body, std::string says) {
    return {std::move(name), body, std::move(says)};
}

void make(const std::shared_ptr<MTL::Device>& device,
          const std::shared_ptr<MPS::CNNConvolutionDataSource>& source, Type type = Type::XNOR,
          Flags flags = Flags::None) {
    MPS::CNNBinaryConvolution(device, source, 1, type, flags);
}

}  // namespace

OpRow BinaryConvolution() {
    using Plain = MPS::CNNBinaryConvolution;
    using Full = MPS::CNNBinaryFullyConnected;
    OpRow row;
    row.family = "binary_convolution";
    row.classes = {"MPSCNNBinaryConvolution", "MPSCNNBinaryFullyConnected"};
    row.pytorch = "torch.nn.functional.conv2d(torch.where(t < 0, -1.0, 1.0), 2 * bits - 1)";
    const std::pair<const char*, Type> types[] = {
        {"binary weights", Type::BinaryWeights}, {"xnor", Type::XNOR}, {"and", Type::AND}};
    for (const auto& [name, type] : types) {
        const std::string kind = name;
        row.cases.push_back(binary<Plain>(kind + ", 3 channels", {2, 4, 5, 0}, geometry(3, 3, 3, 4), type));
        row.cases.push_back(
            binary<Plain>(kind + ", words cut off", {1, 3, 4, 0}, geometry(2, 2, 37, 3), type));
        row.cases.push_back(binary<Plain>(kind + ", whole words, stride 2, dilation 2", {1, 5, 4, 0},
                                          geometry(3, 2, 64, 5, 2, 1, 2, 2), type));
        row.cases.push_back(
            binary<Plain>(kind + ", beta", {2, 4, 3, 0}, geometry(3, 3, 40, 2), type, Flags::UseBetaScaling));
        row.cases.push_back(
            binary<Full>(kind + ", fully connected", {3, 2, 3, 0}, geometry(3, 2, 33, 4), type));
    }
    row.large = {binary<Plain>("xnor, 3x3, 256 to 256 channels", {8, 28, 28, 0}, geometry(3, 3, 256, 256),
                               Type::XNOR, Flags::None, false),
                 binary<Plain>("and, 3x3, 256 to 256 channels", {8, 28, 28, 0}, geometry(3, 3, 256, 256),
                               Type::AND, Flags::None, false),
                 binary<Plain>("xnor, 3x3, 64 to 64 channels, beta", {8, 56, 56, 0}, geometry(3, 3, 64, 64),
                               Type::XNOR, Flags::UseBetaScaling, false),
                 binary<Plain>("binary weights, 3x3, 64 to 64 channels", {8, 56, 56, 0},
                               geometry(3, 3, 64, 64), Type::BinaryWeights, Flags::None, false)};
    row.errors = {
        refused(
            "null data source", [](const auto& device) { make(device, nullptr); },
            "weights: expected a data source, found null"),
        refused(
            "float weights", [](const auto& device) { make(device, onesOf(geometry(1, 1, 1, 1))); },
            "dataType: expected UInt32 for a binary convolution"),
        refused(
            "groups",
            [](const auto& device) {
                make(device, std::make_shared<BitSource>(geometry(1, 1, 8, 8, 1, 1, 1, 1, 2),
                                                         std::vector<double>(32)));
            },
            "groups: expected 1 for a binary convolution, found 2"),
        refused(
            "an unknown type",
            [](const auto& device) {
                make(device, std::make_shared<BitSource>(geometry(1, 1, 1, 1), std::vector<double>(1)),
                     static_cast<Type>(3));
            },
            "type: expected BinaryWeights, XNOR or AND, found 3"),
        refused(
            "an unknown flag",
            [](const auto& device) {
                make(device, std::make_shared<BitSource>(geometry(1, 1, 1, 1), std::vector<double>(1)),
                     Type::AND, static_cast<Flags>(2));
            },
            "flags: expected None or UseBetaScaling, found 2"),
        refused(
            "a stride of a fully connected kernel",
            [](const auto& device) {
                Full(device, std::make_shared<BitSource>(geometry(1, 1, 1, 1, 2), std::vector<double>(1)), 1,
                     Type::AND, Flags::None);
            },
            "strideInPixelsX: expected 1 for a fully connected kernel, found 2"),
    };
    return row;
}

}  // namespace pewter::optable
