#include <fmt/format.h>

#include <MPS/CNNBatchNormalization.hpp>
#include <MPS/CNNGroupNormalization.hpp>
#include <MPS/CNNInstanceNormalization.hpp>
#include <MPS/CNNNormalization.hpp>
#include <cstring>

#include "mps/kernels/ArchiveValues.h"
#include "mps/kernels/BatchNormalizationAccess.h"
#include "mps/kernels/GroupNormalizationAccess.h"

namespace pewter::mps {

using namespace MPS;

namespace {

void encodeParameter(Coder& coder, const std::shared_ptr<MTL::Buffer>& buffer, std::size_t channels,
                     const char* key) {
    std::vector<float> values(channels);
    std::memcpy(values.data(), mtl::addressOf(*buffer), channels * sizeof(float));
    coder.encodeFloats(values, key);
}

/// A list of as many values as there are channels, at least one.
std::vector<float> decodeParameter(Coder& coder, const char* key, std::size_t channels) {
    auto values = coder.decodeFloats(key);
    if (values.empty() || values.size() != channels)
        coder.refuse(key, fmt::format("{} values, one a channel", std::max<std::size_t>(channels, 1)),
                     fmt::format("{}", values.size()));
    return values;
}

/// Parameters that an archive held in place of their data source. They do not change.
struct Stored {
    Stored(Coder& coder, bool statistics)
        : gamma(coder.decodeFloats("gamma")), epsilon(coder.decodeFloat("epsilon")) {
        if (gamma.empty()) coder.refuse("gamma", "at least 1 value", "0");
        beta = decodeParameter(coder, "beta", gamma.size());
        if (!statistics) return;
        mean = decodeParameter(coder, "mean", gamma.size());
        variance = decodeParameter(coder, "variance", gamma.size());
    }
    std::vector<float> gamma, beta, mean, variance;
    float epsilon;
};

class StoredBatch final : public CNNBatchNormalizationDataSource {
public:
    explicit StoredBatch(Coder& coder) : stored_(coder, true) {}
    std::size_t numberOfFeatureChannels() const override { return stored_.gamma.size(); }
    const float* gamma() override { return stored_.gamma.data(); }
    const float* beta() override { return stored_.beta.data(); }
    const float* mean() override { return stored_.mean.data(); }
    const float* variance() override { return stored_.variance.data(); }
    bool load() override { return true; }
    void purge() override {}
    std::string label() const override { return {}; }
    float epsilon() const override { return stored_.epsilon; }

private:
    Stored stored_;
};

class StoredInstance final : public CNNInstanceNormalizationDataSource {
public:
    explicit StoredInstance(Coder& coder) : stored_(coder, false) {}
    std::size_t numberOfFeatureChannels() const override { return stored_.gamma.size(); }
    const float* gamma() override { return stored_.gamma.data(); }
    const float* beta() override { return stored_.beta.data(); }
    std::string label() const override { return {}; }
    float epsilon() const override { return stored_.epsilon; }

private:
    Stored stored_;
};

class StoredGroup final : public CNNGroupNormalizationDataSource {
public:
    explicit StoredGroup(Coder& coder) : stored_(coder, false), groups_(coder.decodeSize("numberOfGroups")) {}
    std::size_t numberOfFeatureChannels() const override { return stored_.gamma.size(); }
    std::size_t numberOfGroups() const override { return groups_; }
    void setNumberOfGroups(std::size_t groups) override { groups_ = groups; }
    const float* gamma() override { return stored_.gamma.data(); }
    const float* beta() override { return stored_.beta.data(); }
    std::string label() const override { return {}; }
    float epsilon() const override { return stored_.epsilon; }

private:
    Stored stored_;
    std::size_t groups_;
};

/// The data source if it has secure coding, else what `parameters` are now; the kernel's epsilon in either
/// case.
template <class K, class Parameters>
void encodeSource(Coder& coder, const K& kernel, const Parameters& parameters) {
    coder.encodeDouble(kernel.epsilon(), "epsilon");
    if (auto coded = std::dynamic_pointer_cast<const SecureCoding>(kernel.dataSource())) {
        coder.encodeObject(std::move(coded), "dataSource");
        return;
    }
    encodeParameter(coder, parameters.gamma, parameters.channels, "gamma");
    encodeParameter(coder, parameters.beta, parameters.channels, "beta");
    if constexpr (std::is_same_v<Parameters, BatchNormalizationParameters>) {
        encodeParameter(coder, parameters.mean, parameters.channels, "mean");
        encodeParameter(coder, parameters.variance, parameters.channels, "variance");
    } else {
        coder.encodeUnsigned(parameters.groups, "numberOfGroups");
    }
}

template <class Source, class StoredSource>
std::shared_ptr<Source> decodeSource(Coder& coder) {
    if (!coder.containsValue("dataSource")) return std::make_shared<StoredSource>(coder);
    auto source = coder.decodeObjectOfClass<Source>("dataSource");
    if (!source) coder.refuse("dataSource", "a data source", "null");
    return source;
}

template <class K>
void encodeFused(const K& kernel, Coder& coder) {
    encodeNeuron(coder, kernel.fusedNeuronDescriptor(), "fusedNeuronDescriptor");
}
template <class K>
std::shared_ptr<K> makeFused(Coder& coder, const Device& device) {
    return std::make_shared<K>(device, decodeNeuron(coder, "fusedNeuronDescriptor"));
}

// --- spatial, local contrast and cross-channel normalisation ---

template <class K>
void encodeFactors(const K& kernel, Coder& coder) {
    coder.encodeDouble(kernel.alpha(), "alpha");
    coder.encodeDouble(kernel.beta(), "beta");
    coder.encodeDouble(kernel.delta(), "delta");
}
template <class K>
std::shared_ptr<K> withFactors(std::shared_ptr<K> kernel, Coder& coder) {
    kernel->setAlpha(coder.decodeFloat("alpha"));
    kernel->setBeta(coder.decodeFloat("beta"));
    kernel->setDelta(coder.decodeFloat("delta"));
    return kernel;
}

/// Window extents of a forward kernel, or of a gradient kernel.
template <class K>
void encodeWindow(const K& kernel, Coder& coder) {
    if constexpr (std::is_base_of_v<CNNKernel, K>) {
        coder.encodeUnsigned(kernel.kernelWidth(), "kernelWidth");
        coder.encodeUnsigned(kernel.kernelHeight(), "kernelHeight");
    } else {
        coder.encodeUnsigned(kernel.secondaryKernelWidth(), "kernelWidth");
        coder.encodeUnsigned(kernel.secondaryKernelHeight(), "kernelHeight");
    }
}
template <class K>
std::shared_ptr<K> makeWindow(Coder& coder, const Device& device) {
    return withFactors(
        std::make_shared<K>(device, coder.decodeSize("kernelWidth"), coder.decodeSize("kernelHeight")),
        coder);
}

template <class K>
void addSpatial(ArchivedClasses& classes, const char* name) {
    classes.addKernel<K>(
        name,
        [](const K& kernel, Coder& coder) {
            encodeWindow(kernel, coder);
            encodeFactors(kernel, coder);
        },
        makeWindow<K>);
}

template <class K>
void addContrast(ArchivedClasses& classes, const char* name) {
    classes.addKernel<K>(
        name,
        [](const K& kernel, Coder& coder) {
            encodeWindow(kernel, coder);
            encodeFactors(kernel, coder);
            coder.encodeDouble(kernel.p0(), "p0");
            coder.encodeDouble(kernel.pm(), "pm");
            coder.encodeDouble(kernel.ps(), "ps");
        },
        [](Coder& coder, const Device& device) {
            auto kernel = makeWindow<K>(coder, device);
            kernel->setP0(coder.decodeFloat("p0"));
            kernel->setPm(coder.decodeFloat("pm"));
            kernel->setPs(coder.decodeFloat("ps"));
            return kernel;
        });
}

template <class K>
void addCrossChannel(ArchivedClasses& classes, const char* name) {
    classes.addKernel<K>(
        name,
        [](const K& kernel, Coder& coder) {
            coder.encodeUnsigned(kernel.kernelSize(), "kernelSize");
            encodeFactors(kernel, coder);
        },
        [](Coder& coder, const Device& device) {
            return withFactors(std::make_shared<K>(device, coder.decodeSize("kernelSize")), coder);
        });
}

}  // namespace

void archiveNormalization(ArchivedClasses& classes) {
    classes.addKernel<CNNBatchNormalization>(
        "CNNBatchNormalization",
        [](const CNNBatchNormalization& kernel, Coder& coder) {
            encodeSource(coder, kernel, BatchNormalizationAccess::parameters(kernel));
            encodeFused(kernel, coder);
        },
        [](Coder& coder, const Device& device) {
            auto kernel = std::make_shared<CNNBatchNormalization>(
                device, decodeSource<CNNBatchNormalizationDataSource, StoredBatch>(coder),
                decodeNeuron(coder, "fusedNeuronDescriptor"));
            kernel->setEpsilon(coder.decodeFloat("epsilon"));
            return kernel;
        });
    classes.addKernel<CNNBatchNormalizationStatistics>("CNNBatchNormalizationStatistics");
    classes.addKernel<CNNBatchNormalizationStatisticsGradient>(
        "CNNBatchNormalizationStatisticsGradient", encodeFused<CNNBatchNormalizationStatisticsGradient>,
        makeFused<CNNBatchNormalizationStatisticsGradient>);
    classes.addKernel<CNNBatchNormalizationGradient>("CNNBatchNormalizationGradient",
                                                     encodeFused<CNNBatchNormalizationGradient>,
                                                     makeFused<CNNBatchNormalizationGradient>);
    classes.addKernel<CNNInstanceNormalization>(
        "CNNInstanceNormalization",
        [](const CNNInstanceNormalization& kernel, Coder& coder) {
            encodeSource(coder, kernel, GroupNormalizationAccess::parametersOf(kernel));
        },
        [](Coder& coder, const Device& device) {
            auto kernel = std::make_shared<CNNInstanceNormalization>(
                device, decodeSource<CNNInstanceNormalizationDataSource, StoredInstance>(coder));
            kernel->setEpsilon(coder.decodeFloat("epsilon"));
            return kernel;
        });
    classes.addKernel<CNNInstanceNormalizationGradient>("CNNInstanceNormalizationGradient");
    classes.addKernel<CNNGroupNormalization>(
        "CNNGroupNormalization",
        [](const CNNGroupNormalization& kernel, Coder& coder) {
            encodeSource(coder, kernel, GroupNormalizationAccess::parametersOf(kernel));
        },
        [](Coder& coder, const Device& device) {
            auto kernel = std::make_shared<CNNGroupNormalization>(
                device, decodeSource<CNNGroupNormalizationDataSource, StoredGroup>(coder));
            kernel->setEpsilon(coder.decodeFloat("epsilon"));
            return kernel;
        });
    classes.addKernel<CNNGroupNormalizationGradient>("CNNGroupNormalizationGradient");

    addSpatial<CNNSpatialNormalization>(classes, "CNNSpatialNormalization");
    addSpatial<CNNSpatialNormalizationGradient>(classes, "CNNSpatialNormalizationGradient");
    addContrast<CNNLocalContrastNormalization>(classes, "CNNLocalContrastNormalization");
    addContrast<CNNLocalContrastNormalizationGradient>(classes, "CNNLocalContrastNormalizationGradient");
    addCrossChannel<CNNCrossChannelNormalization>(classes, "CNNCrossChannelNormalization");
    addCrossChannel<CNNCrossChannelNormalizationGradient>(classes, "CNNCrossChannelNormalizationGradient");
}

}  // namespace pewter::mps
