#pragma once

#include <MPS/CNNGroupNormalization.hpp>
#include <MPS/CNNInstanceNormalization.hpp>

#include "UnaryKernels.h"

/// Instance and group normalisation behind one face, for tests of what they share.
namespace pewter::test {

/// Values that a data source hands out; counts what is asked of it.
template <class Base>
class NormalizationValues : public Base {
public:
    using Protocol = Base;
    explicit NormalizationValues(std::size_t channels) : count(channels) {}
    std::size_t numberOfFeatureChannels() const override { return count; }
    const float* gamma() override { return g.empty() ? nullptr : g.data(); }
    const float* beta() override { return b.empty() ? nullptr : b.data(); }
    std::string label() const override { return name; }
    float epsilon() const override { return eps; }

    std::size_t count;
    std::vector<float> g, b;
    float eps = 1e-5f;
    std::string name = "norm";
};

struct InstanceKind {
    using Kernel = MPS::CNNInstanceNormalization;
    using Gradient = MPS::CNNInstanceNormalizationGradient;
    using State = MPS::CNNInstanceNormalizationGradientState;
    using StateBatch = MPS::CNNInstanceNormalizationGradientStateBatch;
    class Source final : public NormalizationValues<MPS::CNNInstanceNormalizationDataSource> {
    public:
        Source(std::size_t channels, std::size_t) : NormalizationValues(channels) {}
        bool load() override { return ++loads, loadable; }
        void purge() override { ++purges; }
        std::size_t groups() const { return count; }
        bool loadable = true;
        int loads = 0, purges = 0;
    };
    static constexpr const char* kName = "InstanceNormalization";
    static constexpr const char* kFixture = "instance_normalization";
    static std::shared_ptr<Kernel> makerOf(const State& state) { return state.instanceNormalization(); }
};

struct GroupKind {
    using Kernel = MPS::CNNGroupNormalization;
    using Gradient = MPS::CNNGroupNormalizationGradient;
    using State = MPS::CNNGroupNormalizationGradientState;
    using StateBatch = MPS::CNNGroupNormalizationGradientStateBatch;
    class Source final : public NormalizationValues<MPS::CNNGroupNormalizationDataSource> {
    public:
        Source(std::size_t channels, std::size_t groups) : NormalizationValues(channels), of(groups) {}
        std::size_t numberOfGroups() const override { return of; }
        void setNumberOfGroups(std::size_t groups) override { of = groups; }
        std::size_t groups() const { return of; }
        std::size_t of;
    };
    static constexpr const char* kName = "GroupNormalization";
    static constexpr const char* kFixture = "group_normalization";
    static std::shared_ptr<Kernel> makerOf(const State& state) { return state.groupNormalization(); }
};

/// The states of a batch as what they are.
template <class Kind>
typename Kind::StateBatch statesOf(const MPS::StateBatch& states) {
    typename Kind::StateBatch typed;
    for (const auto& state : states) {
        typed.push_back(std::dynamic_pointer_cast<typename Kind::State>(state));
        EXPECT_NE(typed.back(), nullptr) << state->className();
    }
    return typed;
}

inline Numbers contentsOf(MTL::Buffer& buffer, std::size_t count) {
    if (buffer.length() >= count * sizeof(double)) {
        const auto* p = static_cast<const double*>(buffer.contents());
        return {p, p + count};
    }
    const auto* p = static_cast<const float*>(buffer.contents());
    return {p, p + count};
}

}  // namespace pewter::test
