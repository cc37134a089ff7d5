#include "mps/kernels/ArchiveConvolution.h"

#include <fmt/format.h>

#include <MPS/CNNConvolution.hpp>
#include <MPS/CNNConvolutionTranspose.hpp>
#include <MPS/CNNFullyConnected.hpp>
#include <MPS/CNNNeuron.hpp>
#include <MTL/Error.hpp>
#include <cstring>

#include "mps/core/SharedSources.h"

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

constexpr const char* kStoredConvolution = "StoredConvolution";

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
    if (array.size == 0) return {};
    return mtl::valuesOf<float>(*array.buffer, static_cast<std::size_t>(array.size), array.byteOffset);
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

/// Weights that an archive held in place of their data source. They do not change.
class StoredConvolution final : public CNNConvolutionDataSource, public StoredSource {
public:
    StoredConvolution(std::shared_ptr<CNNConvolutionDescriptor> descriptor, std::vector<float> weights,
                      std::vector<float> biases)
        : descriptor_(std::move(descriptor)), weights_(std::move(weights)), biases_(std::move(biases)) {}
    explicit StoredConvolution(Coder& coder)
        : descriptor_(coder.decodeObjectOfClass<CNNConvolutionDescriptor>("descriptor")),
          weights_(coder.decodeFloats("weights")),
          biases_(coder.decodeFloats("biases")) {
        if (!descriptor_) coder.refuse("descriptor", "a convolution descriptor", "null");
        checkStoredWeights(coder, *descriptor_, weights_);
        if (const auto count = descriptor_->outputFeatureChannels(); biases_.size() != count)
            coder.refuse("biases", fmt::format("{} values, one an output channel", count),
                         fmt::format("{}", biases_.size()));
        checkDescriptor(*descriptor_, coder.name());
    }
    bool load() override { return true; }
    void purge() override {}
    std::shared_ptr<CNNConvolutionDescriptor> descriptor() const override { return descriptor_; }
    DataType dataType() const override { return DataType::Float32; }
    const void* weights() const override { return weights_.data(); }
    const float* biasTerms() const override { return biases_.data(); }
    std::string label() const override { return {}; }
    std::optional<std::size_t> weightsLength() const override { return weights_.size(); }
    std::optional<std::size_t> biasTermsLength() const override { return biases_.size(); }
    const char* className() const override { return kStoredConvolution; }
    void encodeWithCoder(Coder& coder) const override {
        coder.encodeObject(descriptor_, "descriptor");
        coder.encodeFloats(weights_, "weights");
        coder.encodeFloats(biases_, "biases");
    }

private:
    std::shared_ptr<CNNConvolutionDescriptor> descriptor_;
    std::vector<float> weights_, biases_;
};

std::shared_ptr<StoredConvolution> storedAs(std::shared_ptr<CNNConvolutionDescriptor> descriptor,
                                            const ConvolutionParameters& p) {
    return std::make_shared<StoredConvolution>(std::move(descriptor), floatsOf(p.rawWeights()),
                                               floatsOf(p.rawBiases()));
}

bool sameBits(const ArrayRef& a, const ArrayRef& b) {
    const auto x = floatsOf(a), y = floatsOf(b);
    return x.size() == y.size() &&
           (x.empty() || std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0);
}

}  // namespace

void checkStoredWeights(Coder& coder, const CNNConvolutionDescriptor& d, const std::vector<float>& weights) {
    if (const auto count = weightCount(coder, d); weights.size() != count || count == 0)
        coder.refuse("weights", fmt::format("{} values, as the descriptor says", count),
                     fmt::format("{}", weights.size()));
}

void encodeConvolutionSource(Coder& coder, const Kernel& kernel,
                             const std::shared_ptr<CNNConvolutionDataSource>& source,
                             const CNNConvolutionDescriptor& descriptor,
                             const std::shared_ptr<ConvolutionParameters>& parameters) {
    const auto read = [&](const CNNConvolutionDescriptor& as, const LoadedSource& loaded) {
        return ConvolutionParameters(kernel.device(), loaded, as);
    };
    const auto load = [&] { return LoadedSource(source.get(), kernel.className(), kernel.label()); };
    auto* shared = SharedSources::current();
    if (auto coded = codedSource(source)) {
        coder.encodeObject(std::move(coded), "dataSource");
        if (!shared || !parameters) return;
        // What updates have made of the weights, unless the data source knows.
        const auto changed =
            shared->of<StoredConvolution>(parameters.get(), [&]() -> std::shared_ptr<StoredConvolution> {
                const auto now = read(descriptor, load());
                if (sameBits(now.rawWeights(), parameters->rawWeights()) &&
                    sameBits(now.rawBiases(), parameters->rawBiases()))
                    return nullptr;
                return storedAs(descriptor.copy(), *parameters);
            });
        if (changed) coder.encodeObject(changed, "parameters");
        return;
    }
    if (!shared) {
        (parameters ? storedAs(descriptor.copy(), *parameters)
                    : storedAs(descriptor.copy(), read(descriptor, load())))
            ->encodeWithCoder(coder);
        return;
    }
    const auto standIn = shared->of<StoredConvolution>(source.get(), [&] {
        // As the source describes itself: a graph may have made other filters part of this kernel.
        const auto loaded = load();
        const auto own = loaded.descriptor()->copy();
        if (geometryOf(*own) != geometryOf(descriptor))
            throw Error(kernel.name(), "dataSource", geometryOf(descriptor), geometryOf(*own));
        return parameters ? storedAs(own, *parameters) : storedAs(own, read(*own, loaded));
    });
    coder.encodeObject(standIn, "dataSource");
}

std::shared_ptr<CNNConvolutionDataSource> decodeConvolutionSource(Coder& coder) {
    if (!coder.containsValue("dataSource")) return std::make_shared<StoredConvolution>(coder);
    auto source = coder.decodeObjectOfClass<CNNConvolutionDataSource>("dataSource");
    if (!source) coder.refuse("dataSource", "a data source", "null");
    return source;
}

void restoreParameters(Coder& coder, const Kernel& kernel, const CNNConvolutionDescriptor& descriptor,
                       ConvolutionParameters& parameters, bool transposed) {
    if (!coder.containsValue("parameters")) return;
    const auto stored = coder.decodeObjectOfClass<StoredConvolution>("parameters");
    if (!stored) coder.refuse("parameters", "weights", "null");
    if (geometryOf(*stored->descriptor()) != geometryOf(descriptor))
        coder.refuse("parameters", geometryOf(descriptor), geometryOf(*stored->descriptor()));
    const LoadedSource loaded(stored.get(), kernel.className(), kernel.label());
    parameters.replace(ConvolutionParameters(kernel.device(), loaded, descriptor, transposed));
}

void archiveConvolution(ArchivedClasses& classes) {
    classes.add(kStoredConvolution, typeid(StoredConvolution),
                [](Coder& coder) { return std::make_shared<StoredConvolution>(coder); });
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
        coder.encodeBool(ConvolutionAccess::addsToDestination(kernel), "addsToDestination");
    };
    const auto restoreSerialize = [=](CNNConvolutionGradient& kernel, Coder& coder) {
        restoreGradient(kernel, coder);
        kernel.setSerializeWeightsAndBiases(coder.decodeBool("serializeWeightsAndBiases"));
        if (coder.decodeBool("addsToDestination")) ConvolutionAccess::addToDestination(kernel);
    };
    addConvolution<CNNConvolutionGradient>(classes, "CNNConvolutionGradient", writeSerialize,
                                           restoreSerialize);
    addConvolution<CNNFullyConnectedGradient>(classes, "CNNFullyConnectedGradient", writeSerialize,
                                              restoreSerialize);
    addConvolution<CNNConvolutionTransposeGradient>(classes, "CNNConvolutionTransposeGradient", writeGradient,
                                                    restoreGradient);
}

}  // namespace pewter::mps
