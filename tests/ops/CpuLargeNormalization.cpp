// Normalisations by a neighbourhood of images so large that their results are written past the caches.

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "RunCpu.h"

namespace pewter::test {
namespace {

/// Results so large that they are written past the caches, against the same images one by one, whose rows are
/// cut at other places.
class CpuLargeNormalization : public ::testing::Test {
protected:
    static constexpr std::int64_t kHeight = 130, kWidth = 257, kChannels = 64,
                                  kCount = kHeight * kWidth * kChannels;

    CpuLargeNormalization() : src_(make(2)), diffDst_(make(2)) {
        // Whole lines of the cache, which only go past it.
        for (std::size_t i = 0; i < src_.size(); ++i) {
            src_[i] = static_cast<float>(static_cast<int>(i * 7919 % 1021) - 510) / 256;
            diffDst_[i] = static_cast<float>(static_cast<int>(i * 6007 % 509) - 254) / 256;
        }
    }

    static std::vector<float> make(std::int64_t images) {
        return std::vector<float>(static_cast<std::size_t>(images * kCount) + 16);
    }
    static ops::Tensor viewOf(std::vector<float>& memory, std::int64_t image, std::int64_t images) {
        auto address = reinterpret_cast<std::uintptr_t>(memory.data());
        address = (address + 63) / 64 * 64;
        return {reinterpret_cast<float*>(address) + image * kCount,
                ops::Type::Float32,
                images,
                kHeight,
                kWidth,
                kChannels,
                kCount,
                kWidth * kChannels,
                kChannels,
                1};
    }

    /// op(source, incoming gradient, result) runs an operation.
    template <class Op>
    void expectSameByImage(Op op) {
        auto whole = make(2), single = make(2);
        op(viewOf(src_, 0, 2), viewOf(diffDst_, 0, 2), viewOf(whole, 0, 2));
        for (std::int64_t i = 0; i < 2; ++i)
            op(viewOf(src_, i, 1), viewOf(diffDst_, i, 1), viewOf(single, i, 1));
        const auto *x = static_cast<const float*>(viewOf(whole, 0, 2).data),
                   *y = static_cast<const float*>(viewOf(single, 0, 2).data);
        std::int64_t different = 0, zeros = 0;
        for (std::int64_t i = 0; i < 2 * kCount; ++i) different += x[i] != y[i], zeros += x[i] == 0;
        EXPECT_EQ(different, 0);
        EXPECT_LT(zeros, kCount / 64);
    }

    std::vector<float> src_, diffDst_;
};

TEST_F(CpuLargeNormalization, SpatialResultsAreThoseOfTheirImages) {
    PEWTER_NEEDS_CPU();
    const ops::Window window{5, 5, 1, 1, 1, 1, 2, 2, ops::Edge::Zero};
    expectSameByImage([&](const auto& x, const auto&, const auto& y) {
        runCpu(ops::SpatialNormalizationForward{x, y, window, 1, 0.75, 1});
    });
    expectSameByImage([&](const auto& x, const auto& g, const auto& d) {
        runCpu(ops::SpatialNormalizationGradient{x, g, d, window, 1, 0.75, 1});
    });
}

TEST_F(CpuLargeNormalization, ContrastGradientsAreThoseOfTheirImages) {
    PEWTER_NEEDS_CPU();
    const ops::Window window{5, 5, 1, 1, 1, 1, 2, 2, ops::Edge::Zero};
    expectSameByImage([&](const auto& x, const auto& g, const auto& d) {
        runCpu(ops::LocalContrastNormalizationGradient{x, g, d, window, 1, 0.5, 1, 1, 0, 1});
    });
}

TEST_F(CpuLargeNormalization, CrossChannelResultsAreThoseOfTheirImages) {
    PEWTER_NEEDS_CPU();
    expectSameByImage([&](const auto& x, const auto&, const auto& y) {
        runCpu(ops::CrossChannelNormalizationForward{x, y, 5, 1, 0.75, 1});
    });
    expectSameByImage([&](const auto& x, const auto& g, const auto& d) {
        runCpu(ops::CrossChannelNormalizationGradient{x, g, d, 5, 1, 0.75, 1});
    });
}

/// The result of a group normalisation that stays in the caches, for its pixels do not lie back to back, has the same bits.
TEST_F(CpuLargeNormalization, GroupResultsPastTheCachesAreThoseThatStayThere) {
    PEWTER_NEEDS_CPU();
    constexpr std::int64_t kStep = kChannels + 16, kGroups = 8;
    std::vector<double> means(kGroups), deviations(kGroups);
    std::vector<float> past = make(1), apart(static_cast<std::size_t>(kHeight * kWidth * kStep));
    const ops::Tensor x = viewOf(src_, 0, 1), g = viewOf(diffDst_, 0, 1), y = viewOf(past, 0, 1),
                      other{apart.data(), ops::Type::Float32, 1,     kHeight, kWidth,
                            kChannels,    kHeight * kWidth * kStep, kWidth * kStep, kStep,   1};
    const ops::Array mean{means.data(), ops::Type::Float64, kGroups},
        deviation{deviations.data(), ops::Type::Float64, kGroups};
    const auto expectSame = [&](const char* what) {
        const auto* const values = static_cast<const float*>(y.data);
        std::int64_t different = 0;
        for (std::int64_t i = 0; i < kCount; ++i)
            different += values[i] != apart[static_cast<std::size_t>(i / kChannels * kStep + i % kChannels)];
        EXPECT_EQ(different, 0) << what;
    };
    for (const ops::Tensor& to : {y, other})
        runCpu(ops::GroupNormalizationForward{x, to, {}, {}, mean, deviation, kGroups, 1e-3f});
    expectSame("forward");
    for (const ops::Tensor& to : {y, other}) {
        ops::GroupNormalizationGradient op;
        op.src = x, op.diffDst = g, op.diffSrc = to, op.mean = mean, op.inverseDeviation = deviation, op.groups = kGroups;
        runCpu(op);
    }
    expectSame("gradient");
}

}  // namespace
}  // namespace pewter::test
