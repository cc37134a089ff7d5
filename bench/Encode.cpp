/// What encoding costs on the host: the first encode of a shape, which plans and records, and later ones, which run the
/// plan. Nothing is committed in between, so no kernel runs while the clock does.
///
///     bench_Encode [--net mnist] [--device cpu] [--encodes 200]
#include <fmt/format.h>

#include <MPS/NNGraph.hpp>
#include <MTL/CommandBuffer.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <Pewter/train/LabelledBatch.hpp>
#include <Pewter/train/Synthetic.hpp>
#include <Pewter/train/TrainingNetwork.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

#include "Arguments.h"

namespace {

using namespace pewter::train;

double microseconds(const auto& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
}

void measure(const std::string& name, const std::string& deviceName, std::size_t encodes) {
    const auto& description = network(name);
    const auto device = MTL::copyDevice(deviceName);
    TrainingSettings settings;
    settings.batchSize = description.batchSize;
    TrainingNetwork net(description, device, settings);
    const auto data = syntheticSplit(description, settings.batchSize, 1, 1).train;
    LabelledBatch batch(device, data, settings.batchSize,
                        description.target.isClasses() ? description.target.channels : 0);
    std::vector<std::uint32_t> indices(settings.batchSize);
    std::iota(indices.begin(), indices.end(), 0u);
    batch.fill(data, indices);
    const auto queue = device->newCommandQueue();
    const auto encode = [&] {
        const auto commandBuffer = queue->commandBuffer();
        return std::pair{microseconds([&] {
                             net.trainingGraph().encodeBatch(commandBuffer, {batch.pictures()}, {batch.labels()});
                         }),
                         commandBuffer};
    };
    const double first = encode().first;
    // The second one is committed: what it enqueues runs as well as the first would have.
    auto [second, commandBuffer] = encode();
    commandBuffer->commit();
    commandBuffer->waitUntilCompleted();
    std::vector<double> later;
    for (std::size_t i = 0; i < encodes; ++i) later.push_back(encode().first);
    std::sort(later.begin(), later.end());
    fmt::print("{:<10} first {:9.1f} us   second {:7.1f} us   later: median {:7.1f} us, best {:7.1f} us   second / first {:.4f}\n",
               name, first, second, later[later.size() / 2], later.front(), second / first);
}

}  // namespace

int main(int argc, char** argv) try {
    std::vector<char*> arguments(argv, argv + argc);
    using namespace pewter::bench;
    const auto net = takeOption(arguments, "--net").value_or("mnist");
    const auto device = takeOption(arguments, "--device").value_or("cpu");
    measure(net, device, takeNumber(arguments, "--encodes", 200));
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
