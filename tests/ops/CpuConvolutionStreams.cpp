#include <gtest/gtest.h>

#include <thread>

#include "OpTensors.h"
#include "RunCpu.h"
#include "ops/Backend.h"

namespace pewter::test {
namespace {

TEST(CpuDevice, SaysWhatItComputesWith) {
    PEWTER_NEEDS_CPU();
    ops::Backend& cpu = *cpuBackend();
    EXPECT_EQ(cpu.name(), "cpu");
    EXPECT_NE(cpu.description().find("oneDNN"), std::string::npos);
    EXPECT_GE(cpu.threads(), 1);
    for (const ops::Type type :
         {ops::Type::Float32, ops::Type::Float16, ops::Type::BFloat16, ops::Type::Unorm8})
        EXPECT_TRUE(cpu.supports(type)) << ops::nameOf(type);
    EXPECT_FALSE(cpu.supports(ops::Type::Float64));
}

TEST(CpuDevice, MemoryIsAlignedToACacheLine) {
    PEWTER_NEEDS_CPU();
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{65}, std::size_t{1} << 20}) {
        void* memory = cpuBackend()->allocate(bytes);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory) % 64, 0u) << bytes;
        cpuBackend()->deallocate(memory, bytes);
    }
}

/// What one thread of the next test computes: convolutions of several shapes, so that primitives are made and
/// looked up by all threads at once. Unusual pads go through scratch memory.
std::vector<std::vector<double>> manyConvolutions(std::uint64_t seed) {
    const auto stream = cpuBackend()->newStream();
    std::vector<std::vector<double>> results;
    for (std::int64_t size = 5; size < 12; ++size) {
        Random random(seed);
        OpTensor src(ops::Type::Float16, 2, size, size, 6), weights(ops::Type::Float32, 5, 3, 3, 6);
        OpTensor dst(ops::Type::Float32, 2, size, size, 5), diffSrc(ops::Type::Float32, 2, size, size, 6);
        OpTensor diffWeights(ops::Type::Float32, 5, 3, 3, 6);
        src.fillUniform(random, -1, 1), weights.fillUniform(random, -1, 1);
        const ops::Window window{3, 3, 1, 1, 1, 1, 4, 1, ops::Edge::Clamp};
        cpuBackend()->run(ops::ConvolutionForward{src, weights, dst, {}, window, 1, {}}, *stream);
        cpuBackend()->run(ops::ConvolutionDataGradient{dst, weights, diffSrc, window, 1}, *stream);
        cpuBackend()->run(ops::ConvolutionWeightsGradient{src, dst, diffWeights, {}, window, 1, false},
                          *stream);
        results.push_back(dst.values());
        results.push_back(diffSrc.values());
        results.push_back(diffWeights.values());
    }
    return results;
}

TEST(CpuDevice, StreamsRunBesideOneAnother) {
    PEWTER_NEEDS_CPU();
    constexpr int kThreads = 4;
    std::vector<std::vector<std::vector<double>>> results(kThreads);
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i)
        threads.emplace_back([&results, i] { results[static_cast<std::size_t>(i)] = manyConvolutions(7); });
    for (std::thread& thread : threads) thread.join();
    const auto expected = manyConvolutions(7);
    for (const auto& result : results) EXPECT_EQ(result, expected);
}

}  // namespace
}  // namespace pewter::test
