#include <fmt/format.h>

#include <MTL/Error.hpp>
#include <functional>
#include <map>

#include "mps/graph/StepParts.h"
#include "mps/graph/steps/ArithmeticStep.h"
#include "mps/graph/steps/BatchNormalizationStep.h"
#include "mps/graph/steps/BinaryConvolutionStep.h"
#include "mps/graph/steps/ConcatenationStep.h"
#include "mps/graph/steps/ConvolutionStep.h"
#include "mps/graph/steps/ConvolutionTransposeStep.h"
#include "mps/graph/steps/CrossChannelGradientStep.h"
#include "mps/graph/steps/DropoutStep.h"
#include "mps/graph/steps/ForwardLossStep.h"
#include "mps/graph/steps/KernelStep.h"
#include "mps/graph/steps/LossStep.h"
#include "mps/graph/steps/NormalizationSumGradientStep.h"
#include "mps/graph/steps/ReshapeStep.h"
#include "mps/graph/steps/SampleNormalizationStep.h"
#include "mps/graph/steps/ScaleStep.h"

namespace pewter::mps {

namespace {

using Made = std::unique_ptr<Step>;

std::string whoOf(const StepParts& parts) {
    return parts.kernels.empty() || !parts.kernels[0] ? "NNGraph" : parts.kernels[0]->name();
}
[[noreturn]] void refuse(const StepParts& parts, const char* argument, const std::string& expected,
                         const std::string& found) {
    throw MPS::Error(whoOf(parts), argument, expected, found);
}

/// Kernel `index`, which must be a K.
template <class K>
std::shared_ptr<K> kernelOf(const StepParts& parts, std::size_t index = 0) {
    auto kernel = std::dynamic_pointer_cast<K>(parts.kernels.at(index));
    if (!kernel) refuse(parts, "kernel", fmt::format("one for a step of type {}", parts.type), "one of another class");
    return kernel;
}

template <class F>
F& forwardOf(const StepParts& parts) {
    auto* forward = dynamic_cast<F*>(parts.forward);
    if (!forward) refuse(parts, "forward", fmt::format("the step that a {} belongs to", parts.type), "another one");
    return *forward;
}

std::vector<std::size_t> extentsOf(const StepParts& parts) {
    if (parts.numbers.size() != 3)
        refuse(parts, "numbers", "3 extents", fmt::format("{} numbers", parts.numbers.size()));
    std::vector<std::size_t> extents;
    for (const std::int64_t extent : parts.numbers) {
        if (extent < 0) refuse(parts, "numbers", "extents of at least 0", fmt::format("{}", extent));
        extents.push_back(static_cast<std::size_t>(extent));
    }
    return extents;
}

template <class AnyStep, class Kernel>
Made simple(const StepParts& parts, Sharing&) {
    return std::make_unique<AnyStep>(kernelOf<Kernel>(parts));
}

Made reshape(const StepParts& parts, Sharing&) {
    const auto extents = extentsOf(parts);
    return std::make_unique<ReshapeStep>(kernelOf<MPS::NNReshape>(parts), extents[0], extents[1], extents[2]);
}

Made scale(const StepParts& parts, Sharing&) {
    const auto e = extentsOf(parts);
    if (!parts.padding) refuse(parts, "padding", "a padding policy", "none");
    return std::make_unique<ScaleStep>(kernelOf<MPS::ImageScale>(parts), MTL::Size{e[0], e[1], e[2]}, parts.provider,
                                       parts.handle, parts.padding);
}

Made concatenation(const StepParts& parts, Sharing&) {
    if (!parts.padding) refuse(parts, "padding", "a padding policy", "none");
    std::vector<std::shared_ptr<Concatenation>> kernels;
    for (std::size_t i = 0; i < parts.kernels.size(); ++i) kernels.push_back(kernelOf<Concatenation>(parts, i));
    return std::make_unique<ConcatenationStep>(std::move(kernels), parts.padding);
}

Made forwardLoss(const StepParts& parts, Sharing&) {
    return std::make_unique<ForwardLossStep>(kernelOf<MPS::NNForwardLoss>(parts), parts.callback);
}
Made lossGradient(const StepParts& parts, Sharing&) {
    return std::make_unique<LossGradientStep>(kernelOf<MPS::NNLossGradient>(parts), parts.callback);
}

Made binaryConvolution(const StepParts& parts, Sharing&) {
    auto kernel = kernelOf<MPS::CNNBinaryConvolution>(parts);
    const auto fits = [&](std::size_t index, std::size_t count) {
        const std::size_t size = parts.lists[index].size();
        return size == 0 || size == count;
    };
    const std::size_t inputs = kernel->inputFeatureChannels(), outputs = kernel->outputFeatureChannels();
    if (parts.numbers.size() != 1 || parts.lists.size() != 5 || parts.lists[0].size() != 1 || !fits(1, outputs) ||
        !fits(2, outputs) || !fits(3, inputs) || !fits(4, inputs))
        refuse(parts, "terms", "none or one a channel", "another number of them");
    return std::make_unique<BinaryConvolutionStep>(
        std::move(kernel), BinaryTerms{parts.numbers[0] != 0, parts.lists[0][0], parts.lists[1], parts.lists[2],
                                       parts.lists[3], parts.lists[4]});
}

Made convolution(const StepParts& parts, Sharing& sharing) {
    const auto kernel = kernelOf<MPS::CNNConvolution>(parts);
    auto step = std::make_unique<ConvolutionStep>(kernel, sharing);
    // In a kernel that was read from its data source nothing of the graph's is left.
    if (parts.kernels.size() > 1) step->absorb(kernelOf<MPS::CNNBatchNormalization>(parts, 1));
    if (parts.neuron && kernel->fusedNeuronDescriptor().neuronType() == MPS::CNNNeuronType::None)
        ConvolutionAccess::fuseNeuron(*kernel, *parts.neuron);
    return step;
}

void checkNumbers(const StepParts& parts, std::size_t count) {
    if (parts.numbers.size() != count)
        refuse(parts, "numbers", fmt::format("{}", count), fmt::format("{}", parts.numbers.size()));
}

Made batchNormalization(const StepParts& parts, Sharing& sharing) {
    checkNumbers(parts, 2);
    auto kernel = kernelOf<MPS::CNNBatchNormalization>(parts);
    const auto neuron = kernel->fusedNeuronDescriptor();
    auto step = std::make_unique<BatchNormalizationStep>(std::move(kernel), parts.numbers[0] != 0, sharing);
    if (parts.numbers[1] != 0) step->absorbSum(neuron);
    return step;
}

Made batchNormalizationGradient(const StepParts& parts, Sharing&) {
    checkNumbers(parts, 1);
    auto step = std::make_unique<BatchNormalizationGradientStep>(kernelOf<MPS::CNNBatchNormalizationGradient>(parts),
                                                                 forwardOf<BatchNormalizationStep>(parts), parts.style);
    if (parts.numbers[0] == 0) step->leaveStatistics();
    return step;
}

template <class AnyStep, class Kernel>
Made weighted(const StepParts& parts, Sharing& sharing) {
    return std::make_unique<AnyStep>(kernelOf<Kernel>(parts), sharing);
}

/// The kernel has its gradient option already, hence the last argument.
template <class AnyStep, class Kernel, class Forward>
Made weightedGradient(const StepParts& parts, Sharing&) {
    auto step = std::make_unique<AnyStep>(kernelOf<Kernel>(parts), forwardOf<Forward>(parts), parts.style, true);
    if (parts.neuron) step->absorb(*parts.neuron);
    if (addsToResult(parts)) {
        if (!step->canAddToResult()) refuse(parts, "numbers", "0 for a kernel that cannot add", "1");
        step->addToResult();
    }
    return step;
}

template <class Kind>
Made sampleGradient(const StepParts& parts, Sharing&) {
    return std::make_unique<SampleNormalizationGradientStep<Kind>>(
        kernelOf<typename Kind::Gradient>(parts), forwardOf<SampleNormalizationStep<Kind>>(parts), parts.style);
}

struct Type {
    StepArity arity;
    std::size_t leastKernels, mostKernels;
    Made (*make)(const StepParts&, Sharing&);
};

const std::map<std::string, Type>& types() {
    constexpr StepArity kUnary{}, kGradient{2, 2, 1, 1}, kWeighted{2, 3, 1, 1}, kPair{2, 2, 0, 0};
    constexpr std::size_t kAny = static_cast<std::size_t>(-1);
    using Instance = InstanceNormalizationKind;
    using Group = GroupNormalizationKind;
    static const std::map<std::string, Type> kTypes = {
        {"Unary", {kUnary, 1, 1, simple<UnaryStep, MPS::CNNKernel>}},
        {"Kernel", {{1, 1, 1, 1}, 1, 1, simple<KernelStep, HostStateKernel>}},
        {"Dropout", {kUnary, 1, 1, simple<DropoutStep, MPS::CNNDropout>}},
        {"Arithmetic", {kPair, 1, 1, simple<ArithmeticStep, MPS::CNNArithmetic>}},
        {"Gradient", {kGradient, 1, 1, simple<GradientStep, MPS::CNNGradientKernel>}},
        {"CrossChannelGradient",
         {kGradient, 1, 1, simple<CrossChannelGradientStep, MPS::CNNCrossChannelNormalizationGradient>}},
        {"Loss", {{1, 1, 1, 1}, 1, 1, simple<LossStep, MPS::CNNLossKernel>}},
        {"Reshape", {kUnary, 1, 1, reshape}},
        {"Scale", {kUnary, 1, 1, scale}},
        {"Concatenation", {{1, kAny, 0, 0}, 1, kAny, concatenation}},
        {"ForwardLoss", {{2, 3, 0, 0}, 1, 1, forwardLoss}},
        {"LossGradient", {{3, 4, 0, 1}, 1, 1, lossGradient}},
        {"BinaryConvolution", {kUnary, 1, 1, binaryConvolution}},
        {"Convolution", {kUnary, 1, 2, convolution}},
        {"ConvolutionTranspose",
         {{1, 1, 0, 1}, 1, 1, weighted<ConvolutionTransposeStep, MPS::CNNConvolutionTranspose>}},
        {"ConvolutionGradient",
         {kWeighted, 1, 1, weightedGradient<ConvolutionGradientStep, MPS::CNNConvolutionGradient, ConvolutionStep>}},
        {"ConvolutionTransposeGradient",
         {kWeighted, 1, 1,
          weightedGradient<ConvolutionTransposeGradientStep, MPS::CNNConvolutionTransposeGradient,
                           ConvolutionTransposeStep>}},
        {"BatchNormalization", {{1, 2, 0, 0}, 1, 1, batchNormalization}},
        {"NormalizationSumGradient",
         {{3, 3, 1, 1}, 1, 1, simple<NormalizationSumGradientStep, MPS::CNNNeuronGradient>}},
        {"BatchNormalizationGradient", {kGradient, 1, 1, batchNormalizationGradient}},
        {"InstanceNormalization",
         {kUnary, 1, 1, weighted<SampleNormalizationStep<Instance>, MPS::CNNInstanceNormalization>}},
        {"InstanceNormalizationGradient", {kGradient, 1, 1, sampleGradient<Instance>}},
        {"GroupNormalization", {kUnary, 1, 1, weighted<SampleNormalizationStep<Group>, MPS::CNNGroupNormalization>}},
        {"GroupNormalizationGradient", {kGradient, 1, 1, sampleGradient<Group>}},
    };
    return kTypes;
}

const Type& typeOf(const StepParts& parts) {
    const auto found = types().find(parts.type);
    if (found == types().end())
        refuse(parts, "type", "a type of step that this library has", fmt::format("\"{}\"", parts.type));
    return found->second;
}

}  // namespace

bool isWeightedGradient(const StepParts& parts) {
    return parts.type == "ConvolutionGradient" || parts.type == "ConvolutionTransposeGradient";
}

bool addsToResult(const StepParts& parts) {
    return isWeightedGradient(parts) && !parts.numbers.empty() && parts.numbers[0] != 0;
}

StepArity arityOf(const StepParts& parts) {
    auto arity = typeOf(parts).arity;
    if (parts.type == "Concatenation") arity.leastImages = arity.mostImages = arity.mostMade = parts.kernels.size();
    // The image at which the derivative of an absorbed neuron is taken.
    if (isWeightedGradient(parts)) arity.leastImages = arity.mostImages = parts.neuron ? 3 : 2;
    if (parts.type == "BatchNormalization" && parts.numbers.size() == 2)
        arity.leastImages = arity.mostImages = parts.numbers[1] != 0 ? 2 : 1;
    return arity;
}

std::unique_ptr<Step> makeStep(const StepParts& parts, Sharing& sharing) {
    const auto& type = typeOf(parts);
    if (parts.kernels.size() < type.leastKernels || parts.kernels.size() > type.mostKernels)
        refuse(parts, "kernels", fmt::format("as many as a step of type {} has", parts.type),
               fmt::format("{}", parts.kernels.size()));
    for (const auto& kernel : parts.kernels)
        if (!kernel) refuse(parts, "kernels", "a kernel", "null");
    auto step = type.make(parts, sharing);
    if (!parts.replayable) step->refuseReplay();
    if (parts.resultDropped) step->dropResult();
    return step;
}

}  // namespace pewter::mps
