#include "mps/kernels/ArchiveConvolution.h"

#include <fmt/format.h>

#include <MPS/CNNConvolution.hpp>
#include <MPS/CNNConvolutionTranspose.hpp>
#include <MPS/CNNFullyConnected.hpp>
#include <MPS/CNNNeuron.hpp>
#include <cstring>

namespace MPS {

void CNNConvolutionDescriptor::encodeWithCoder(Coder& coder) const {
    coder.encodeUnsigned(kernelWidth_, "kernelWidth");
    coder.encodeUnsigned(kernelHeight_, "kernelHeight");
    coder.encodeUnsigned(inputFeatureChannels_, "inputFeatureChannels");
    coder.encodeUnsigned(outputFeatureChannels_, "outputFeatureChannels");
    coder.encodeUnsigned(strideX_, "strideInPixelsX");
    coder.encodeUnsigned(strideY_, "strideInPixelsY");
    coder.encodeUnsigned(groups_, "groups");
    coder.encodeUnsigned(dilationX_, "dilationRateX");
    coder.encodeUnsigned(dilationY_, "dilationRateY");
    coder.encodeUnsigned(subPixelScaleFactor(), "subPixelScaleFactor");
    pewter::mps::encodeNeuron(coder, neuron_, "fusedNeuronDescriptor");
    coder.encodeObject(filter_, "neuron");
    if (!fold_) return;
    coder.encodeFloats(fold_->mean, "mean");
    coder.encodeFloats(fold_->variance, "variance");
    coder.encodeFloats(fold_->gamma, "gamma");
    coder.encodeFloats(fold_->beta, "beta");
    coder.encodeDouble(fold_->epsilon, "epsilon");
}

}  // namespace MPS

namespace pewter::mps {

using namespace MPS;

namespace {

template <class D>
std::shared_ptr<D> makeDescriptor(Coder& coder) {
    auto d = D::cnnConvolutionDescriptor(coder.decodeSize("kernelWidth"), coder.decodeSize("kernelHeight"),
                                         coder.decodeSize("inputFeatureChannels"),
                                         coder.decodeSize("outputFeatureChannels"));
    d->setStrideInPixelsX(coder.decodeSize("strideInPixelsX"));
    d->setStrideInPixelsY(coder.decodeSize("strideInPixelsY"));
    d->setGroups(coder.decodeSize("groups"));
    d->setDilationRateX(coder.decodeSize("dilationRateX"));
    d->setDilationRateY(coder.decodeSize("dilationRateY"));
    if constexpr (std::is_same_v<D, CNNSubPixelConvolutionDescriptor>)
        d->setSubPixelScaleFactor(coder.decodeSize("subPixelScaleFactor"));
    if (const auto filter = coder.decodeObjectOfClass<const CNNNeuron>("neuron"))
        d->setNeuron(filter);
    else
        d->setFusedNeuronDescriptor(decodeNeuron(coder, "fusedNeuronDescriptor"));
    if (coder.containsValue("gamma"))
        d->setBatchNormalizationParametersForInference(
            coder.decodeFloats("mean"), coder.decodeFloats("variance"), coder.decodeFloats("gamma"),
            coder.decodeFloats("beta"), coder.decodeFloat("epsilon"));
    return d;
}

std::vector<float> floatsOf(const ArrayRef& array) {
    std::vector<float> values(static_cast<std::size_t>(array.size));
    if (!values.empty())
        std::memcpy(values.data(), mtl::addressOf(*array.buffer) + array.byteOffset,
                    values.size() * sizeof(float));
    return values;
}

/// The number of weights, of which the extents in an archive may claim any.
std::size_t weightCount(Coder& coder, const CNNConvolutionDescriptor& d) {
    if (d.groups() == 0) coder.refuse("groups", "at least 1", "0");
    std::size_t count = d.outputFeatureChannels();
    for (const std::size_t extent : {d.kernelWidth(), d.kernelHeight(), d.inputChannelsPerGroup()})
        if (__builtin_mul_overflow(count, extent, &count))
            coder.refuse("weights", "fewer of them", "too many to count");
    return count;
}

}  // namespace

void encodeConvolutionSource(Coder& coder, const Kernel& kernel,
                             const std::shared_ptr<CNNConvolutionDataSource>& source,
                             const CNNConvolutionDescriptor& descriptor,
                             const std::shared_ptr<ConvolutionParameters>& parameters) {
    if (auto coded = std::dynamic_pointer_cast<const SecureCoding>(source)) {
        coder.encodeObject(std::move(coded), "dataSource");
        return;
    }
    coder.encodeObject(descriptor.copy(), "descriptor");
    const auto write = [&](const ConvolutionParameters& p) {
        coder.encodeFloats(floatsOf(p.rawWeights()), "weights");
        coder.encodeFloats(floatsOf(p.rawBiases()), "biases");
    };
    if (parameters) {
        write(*parameters);
    } else {
        const LoadedSource loaded(source.get(), kernel.name());
        write(ConvolutionParameters(kernel.device(), loaded, descriptor));
    }
}

std::shared_ptr<CNNConvolutionDataSource> decodeConvolutionSource(Coder& coder, const char* who) {
    if (coder.containsValue("dataSource")) {
        auto source = coder.decodeObjectOfClass<CNNConvolutionDataSource>("dataSource");
        if (!source) coder.refuse("dataSource", "a data source", "null");
        return source;
    }
    const auto descriptor = coder.decodeObjectOfClass<CNNConvolutionDescriptor>("descriptor");
    if (!descriptor) coder.refuse("descriptor", "a convolution descriptor", "null");
    const auto weights = coder.decodeFloats("weights"), biases = coder.decodeFloats("biases");
    if (const auto count = weightCount(coder, *descriptor); weights.size() != count || count == 0)
        coder.refuse("weights", fmt::format("{} values, as the descriptor says", count),
                     fmt::format("{}", weights.size()));
    if (biases.size() != descriptor->outputFeatureChannels())
        coder.refuse("biases",
                     fmt::format("{} values, one an output channel", descriptor->outputFeatureChannels()),
                     fmt::format("{}", biases.size()));
    return arraySource(*descriptor, weights.data(), biases.data(), who);
}

void archiveConvolution(ArchivedClasses& classes) {
    classes.add("CNNConvolutionDescriptor", typeid(CNNConvolutionDescriptor),
                makeDescriptor<CNNConvolutionDescriptor>);
    classes.add("CNNDepthWiseConvolutionDescriptor", typeid(CNNDepthWiseConvolutionDescriptor),
                makeDescriptor<CNNDepthWiseConvolutionDescriptor>);
    classes.add("CNNSubPixelConvolutionDescriptor", typeid(CNNSubPixelConvolutionDescriptor),
                makeDescriptor<CNNSubPixelConvolutionDescriptor>);

    using Accumulator = NNConvolutionAccumulatorPrecisionOption;
    const auto writeForward = [](const auto& kernel, Coder& coder) {
        coder.encodeUnsigned(static_cast<std::uint64_t>(kernel.accumulatorPrecisionOption()),
                             "accumulatorPrecisionOption");
    };
    const auto restoreForward = [](auto& kernel, Coder& coder) {
        kernel.setAccumulatorPrecisionOption(
            coder.decodeEnum("accumulatorPrecisionOption", Accumulator::Float));
    };
    addConvolution<CNNConvolution>(classes, "CNNConvolution", writeForward, restoreForward);
    addConvolution<CNNFullyConnected>(classes, "CNNFullyConnected", writeForward, restoreForward);
    addConvolution<CNNConvolutionTranspose>(
        classes, "CNNConvolutionTranspose",
        [=](const CNNConvolutionTranspose& kernel, Coder& coder) {
            writeForward(kernel, coder);
            coder.encodeInteger(kernel.kernelOffsetX(), "kernelOffsetX");
            coder.encodeInteger(kernel.kernelOffsetY(), "kernelOffsetY");
        },
        [=](CNNConvolutionTranspose& kernel, Coder& coder) {
            restoreForward(kernel, coder);
            kernel.setKernelOffsetX(coder.decodeInteger("kernelOffsetX"));
            kernel.setKernelOffsetY(coder.decodeInteger("kernelOffsetY"));
        });

    const auto writeGradient = [](const auto& kernel, Coder& coder) {
        coder.encodeUnsigned(kernel.gradientOption(), "gradientOption");
    };
    const auto restoreGradient = [](auto& kernel, Coder& coder) {
        kernel.setGradientOption(coder.decodeUnsigned("gradientOption"));
    };
    const auto writeSerialize = [=](const CNNConvolutionGradient& kernel, Coder& coder) {
        writeGradient(kernel, coder);
        coder.encodeBool(kernel.serializeWeightsAndBiases(), "serializeWeightsAndBiases");
    };
    const auto restoreSerialize = [=](CNNConvolutionGradient& kernel, Coder& coder) {
        restoreGradient(kernel, coder);
        kernel.setSerializeWeightsAndBiases(coder.decodeBool("serializeWeightsAndBiases"));
    };
    addConvolution<CNNConvolutionGradient>(classes, "CNNConvolutionGradient", writeSerialize,
                                           restoreSerialize);
    addConvolution<CNNFullyConnectedGradient>(classes, "CNNFullyConnectedGradient", writeSerialize,
                                              restoreSerialize);
    addConvolution<CNNConvolutionTransposeGradient>(classes, "CNNConvolutionTransposeGradient", writeGradient,
                                                    restoreGradient);
}

}  // namespace pewter::mps
