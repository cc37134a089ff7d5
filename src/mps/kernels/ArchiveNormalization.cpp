#include <fmt/format.h>

#include <MPS/CNNBatchNormalization.hpp>
#include <MPS/CNNGroupNormalization.hpp>
#include <MPS/CNNInstanceNormalization.hpp>
#include <cstring>

#include "mps/core/SharedSources.h"
#include "mps/kernels/ArchiveValues.h"
#include "mps/kernels/BatchNormalizationAccess.h"
#include "mps/kernels/GroupNormalizationAccess.h"

namespace pewter::mps {

using namespace MPS;

namespace {

/// A list of as many values as there are channels, at least one.
std::vector<float> decodeParameter(Coder& coder, const char* key, std::size_t channels) {
    auto values = coder.decodeFloats(key);
    if (values.empty() || values.size() != channels)
        coder.refuse(key, fmt::format("{} values, one a channel", std::max<std::size_t>(channels, 1)),
                     fmt::format("{}", values.size()));
    return values;
}

/// Parameters that an archive held in place of their data source, or besides it. They do not change.
struct Stored {
    explicit Stored(Coder& coder, bool statistics = false)
        : gamma(coder.decodeFloats("gamma")), epsilon(coder.decodeFloat("epsilon")) {
        if (gamma.empty()) coder.refuse("gamma", "at least 1 value", "0");
        beta = decodeParameter(coder, "beta", gamma.size());
        if (!statistics) {
            groups = coder.decodeSize("numberOfGroups");
            return;
        }
        mean = decodeParameter(coder, "mean", gamma.size());
        variance = decodeParameter(coder, "variance", gamma.size());
    }
    explicit Stored(const BatchNormalizationParameters& p)
        : gamma(valuesOf(p.gamma, p.channels)),
          beta(valuesOf(p.beta, p.channels)),
          mean(valuesOf(p.mean, p.channels)),
          variance(valuesOf(p.variance, p.channels)),
          epsilon(p.epsilon) {}
    explicit Stored(const GroupNormalizationParameters& p)
        : gamma(valuesOf(p.gamma, p.channels)),
          beta(valuesOf(p.beta, p.channels)),
          epsilon(p.epsilon),
          groups(p.groups) {}

    void encode(Coder& coder) const {
        coder.encodeFloats(gamma, "gamma");
        coder.encodeFloats(beta, "beta");
        if (mean.empty()) {
            coder.encodeUnsigned(groups, "numberOfGroups");
            return;
        }
        coder.encodeFloats(mean, "mean");
        coder.encodeFloats(variance, "variance");
    }
    bool sameBits(const Stored& other) const {
        for (const auto list : {&Stored::gamma, &Stored::beta, &Stored::mean, &Stored::variance}) {
            const auto &x = this->*list, &y = other.*list;
            if (x.size() != y.size() ||
                (!x.empty() && std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) != 0))
                return false;
        }
        return true;
    }
    /// Into the buffers of a kernel that nothing has used yet.
    void put(const BatchNormalizationParameters& p) const {
        copyTo(p.gamma, gamma);
        copyTo(p.beta, beta);
        copyTo(p.mean, mean);
        copyTo(p.variance, variance);
    }
    void put(const GroupNormalizationParameters& p) const {
        copyTo(p.gamma, gamma);
        copyTo(p.beta, beta);
    }

    std::vector<float> gamma, beta, mean, variance;
    float epsilon;
    std::size_t groups = 0;

private:
    static std::vector<float> valuesOf(const std::shared_ptr<MTL::Buffer>& buffer, std::size_t channels) {
        return mtl::valuesOf<float>(*buffer, channels);
    }
    static void copyTo(const std::shared_ptr<MTL::Buffer>& buffer, const std::vector<float>& values) {
        mtl::writeBytes(*buffer, 0, values.data(), values.size() * sizeof(float));
    }
};

/// What the stand-ins of all three kinds of data source have in common.
template <class Source>
class StandIn : public Source, public StoredSource {
public:
    explicit StandIn(Stored stored) : stored_(std::move(stored)) {}
    std::size_t numberOfFeatureChannels() const override { return stored_.gamma.size(); }
    const float* gamma() override { return stored_.gamma.data(); }
    const float* beta() override { return stored_.beta.data(); }
    std::string label() const override { return {}; }
    float epsilon() const override { return stored_.epsilon; }
    void encodeWithCoder(Coder& coder) const override {
        coder.encodeDouble(stored_.epsilon, "epsilon");
        stored_.encode(coder);
    }
    const Stored& stored() const { return stored_; }

protected:
    Stored stored_;
};

class StoredBatch final : public StandIn<CNNBatchNormalizationDataSource> {
public:
    static constexpr const char* kName = "StoredBatchNormalization";
    using StandIn::StandIn;
    explicit StoredBatch(Coder& coder) : StandIn(Stored(coder, true)) {}
    const float* mean() override { return stored_.mean.data(); }
    const float* variance() override { return stored_.variance.data(); }
    bool load() override { return true; }
    void purge() override {}
    const char* className() const override { return kName; }
};

class StoredInstance final : public StandIn<CNNInstanceNormalizationDataSource> {
public:
    static constexpr const char* kName = "StoredInstanceNormalization";
    using StandIn::StandIn;
    explicit StoredInstance(Coder& coder) : StandIn(Stored(coder)) {}
    const char* className() const override { return kName; }
};

class StoredGroup final : public StandIn<CNNGroupNormalizationDataSource> {
public:
    static constexpr const char* kName = "StoredGroupNormalization";
    using StandIn::StandIn;
    explicit StoredGroup(Coder& coder) : StandIn(Stored(coder)) {}
    std::size_t numberOfGroups() const override { return stored_.groups; }
    void setNumberOfGroups(std::size_t groups) override { stored_.groups = groups; }
    const char* className() const override { return kName; }
};

template <class K>
const auto& parametersOf(const K& kernel) {
    if constexpr (std::is_same_v<K, CNNBatchNormalization>)
        return BatchNormalizationAccess::parameters(kernel);
    else
        return GroupNormalizationAccess::parametersOf(kernel);
}

/// The data source if it has secure coding, else what the parameters are now; the kernel's epsilon in either
/// case. Within a graph a stand-in for the data source of all its kernels, and parameters that a source with
/// secure coding does not have, as for convolutions.
template <class K, class Standing>
void encodeSource(Coder& coder, const K& kernel) {
    coder.encodeDouble(kernel.epsilon(), "epsilon");
    const Stored now(parametersOf(kernel));
    auto* shared = SharedSources::current();
    const auto& source = kernel.dataSource();
    if (auto coded = codedSource(source)) {
        coder.encodeObject(std::move(coded), "dataSource");
        if (shared && !Stored(parametersOf(K(kernel.device(), source))).sameBits(now))
            coder.encodeObject(std::make_shared<Standing>(now), "parameters");
    } else if (shared) {
        coder.encodeObject(
            shared->of<Standing>(source.get(), [&] { return std::make_shared<Standing>(now); }),
            "dataSource");
    } else {
        now.encode(coder);
    }
}

template <class Source, class Standing>
std::shared_ptr<Source> decodeSource(Coder& coder) {
    if (!coder.containsValue("dataSource")) return std::make_shared<Standing>(coder);
    auto source = coder.decodeObjectOfClass<Source>("dataSource");
    if (!source) coder.refuse("dataSource", "a data source", "null");
    return source;
}

template <class Standing, class K>
std::shared_ptr<K> restored(std::shared_ptr<K> kernel, Coder& coder) {
    kernel->setEpsilon(coder.decodeFloat("epsilon"));
    if (!coder.containsValue("parameters")) return kernel;
    const auto standing = coder.decodeObjectOfClass<Standing>("parameters");
    const auto& parameters = parametersOf(*kernel);
    if (!standing || standing->stored().gamma.size() != parameters.channels)
        coder.refuse("parameters", fmt::format("those of {} channels", parameters.channels), "others");
    standing->stored().put(parameters);
    return kernel;
}

template <class Standing>
void addStandIn(ArchivedClasses& classes) {
    classes.add(Standing::kName, typeid(Standing),
                [](Coder& coder) { return std::make_shared<Standing>(coder); });
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
    addStandIn<StoredBatch>(classes);
    addStandIn<StoredInstance>(classes);
    addStandIn<StoredGroup>(classes);
    classes.addKernel<CNNBatchNormalization>(
        "CNNBatchNormalization",
        [](const CNNBatchNormalization& kernel, Coder& coder) {
            encodeSource<CNNBatchNormalization, StoredBatch>(coder, kernel);
            encodeFused(kernel, coder);
        },
        [](Coder& coder, const Device& device) {
            return restored<StoredBatch>(
                std::make_shared<CNNBatchNormalization>(
                    device, decodeSource<CNNBatchNormalizationDataSource, StoredBatch>(coder),
                    decodeNeuron(coder, "fusedNeuronDescriptor")),
                coder);
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
            encodeSource<CNNInstanceNormalization, StoredInstance>(coder, kernel);
        },
        [](Coder& coder, const Device& device) {
            return restored<StoredInstance>(
                std::make_shared<CNNInstanceNormalization>(
                    device, decodeSource<CNNInstanceNormalizationDataSource, StoredInstance>(coder)),
                coder);
        });
    classes.addKernel<CNNInstanceNormalizationGradient>("CNNInstanceNormalizationGradient");
    classes.addKernel<CNNGroupNormalization>(
        "CNNGroupNormalization",
        [](const CNNGroupNormalization& kernel, Coder& coder) {
            encodeSource<CNNGroupNormalization, StoredGroup>(coder, kernel);
        },
        [](Coder& coder, const Device& device) {
            return restored<StoredGroup>(
                std::make_shared<CNNGroupNormalization>(
                    device, decodeSource<CNNGroupNormalizationDataSource, StoredGroup>(coder)),
                coder);
        });
    classes.addKernel<CNNGroupNormalizationGradient>("CNNGroupNormalizationGradient");
}

}  // namespace pewter::mps
