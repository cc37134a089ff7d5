// Gradients of losses so large that they are written past the caches.

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "RunCpu.h"

namespace pewter::test {
namespace {

constexpr std::int64_t kPixels = 301, kClasses = 4096, kCount = kPixels * kClasses;

ops::Tensor viewOf(std::vector<float>& memory, std::int64_t image, std::int64_t images) {
    return ops::Tensor::dense(memory.data() + image * kCount, ops::Type::Float32, images, 1, kPixels, kClasses);
}

TEST(CpuLargeLoss, GradientsThatGoPastTheCachesAreThoseOfTheImagesOneByOne) {
    PEWTER_NEEDS_CPU();
    std::vector<float> src(2 * kCount), labels(2 * kCount), whole(2 * kCount, 7), single(2 * kCount, 7), losses(2);
    for (std::size_t i = 0; i < src.size(); ++i) {
        src[i] = static_cast<float>(static_cast<int>(i * 7919 % 1021) - 510) / 64;
        labels[i] = static_cast<float>(i * 6007 % 509) / 509;
    }
    const auto run = [&](std::vector<float>& gradient, std::int64_t image, std::int64_t images) {
        ops::Loss op;
        op.function.type = ops::LossType::SoftMaxCrossEntropy;
        op.reduction.type = ops::ReductionType::Sum;
        op.src = viewOf(src, image, images), op.labels = viewOf(labels, image, images);
        op.gradient = viewOf(gradient, image, images);
        op.loss = ops::Tensor::dense(losses.data() + image, ops::Type::Float32, images, 1, 1, 1);
        runCpu(op);
    };
    run(whole, 0, 2);
    const auto together = losses;
    run(single, 0, 1), run(single, 1, 1);
    EXPECT_EQ(losses, together);
    EXPECT_EQ(whole, single);
    double sum = 0;
    for (std::int64_t c = 0; c < kClasses; ++c) sum += whole[static_cast<std::size_t>(c)] + labels[static_cast<std::size_t>(c)];
    EXPECT_NEAR(sum, 1, 1e-4) << "probabilities of a pixel";
}

}  // namespace
}  // namespace pewter::test
