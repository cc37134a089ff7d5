#include <fmt/format.h>

#include <MPS/CNNBatchNormalization.hpp>
#include <MPS/CNNGroupNormalization.hpp>
#include <MPS/CNNInstanceNormalization.hpp>
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
}

}  // namespace pewter::mps
