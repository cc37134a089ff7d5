/// A whole training step (forward, backward, weight updates) of the networks that the library knows, through
/// NNGraph:
///
///     bench_TrainStep [--net digits,mnist] [--device cpu] [--batch N] [--steps 100] [--breakdown]
///
/// step     two batches in flight as the trainer has them, from completion to completion
/// encode   the host's part alone
/// run      the device's part alone: commit to completion with nothing else in flight
/// --breakdown adds the time of every kind of operation, and the time that its arithmetic and its bytes would
/// take at the ceilings of this machine, whichever is longer (every byte counted once an operation, as if no
/// cache kept it). On one thread (OMP_NUM_THREADS=1) the breakdown is in the thread's own time, which other
/// users of the machine do not lengthen.
#include <fmt/format.h>

#include <MPS/CommandBuffer.hpp>
#include <MPS/NNGraph.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <Pewter/train/BatchSampler.hpp>
#include <Pewter/train/LabelledBatch.hpp>
#include <Pewter/train/TrainingNetwork.hpp>
#include <Pewter/train/Random.hpp>
#include <algorithm>
#include <array>

#include "Arguments.h"
#include "Problems.h"
#include "Profile.h"
#include "mtl/Device.h"

namespace {

using namespace pewter;
using namespace pewter::train;

struct Times {
    std::vector<double> values;
    void add(double seconds) { values.push_back(seconds * 1e3); }
    double median() const {
        auto sorted = values;
        std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2),
                         sorted.end());
        return sorted[sorted.size() / 2];
    }
    double least() const { return *std::min_element(values.begin(), values.end()); }
};

/// Pictures of noise: a step takes the same time on them.
Dataset noise(const NetworkDescription& network, std::size_t count) {
    Random random(1);
    std::vector<std::uint8_t> bytes(count * network.width * network.height * network.channels), labels(count);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random.below(256));
    for (auto& label : labels) label = static_cast<std::uint8_t>(random.below(network.target.channels));
    return {"noise",         network.width,    network.height,   network.channels,
            network.target.channels, std::move(bytes), std::move(labels)};
}

class Steps {
public:
    Steps(const NetworkDescription& network, const std::shared_ptr<MTL::Device>& device, std::size_t batch)
        : classifier_(network, device, settings(network, batch)),
          data_(noise(network, 8 * batch)),
          sampler_(data_.count(), batch, SamplingMode::ShuffledEpochs, 1),
          queue_(device->newCommandQueue()),
          batches_{LabelledBatch(device, data_, batch, network.target.channels),
                   LabelledBatch(device, data_, batch, network.target.channels)} {}

    Times encode, run, step;
    std::size_t peakBytes = 0;

    /// One after the other: encode and run apart.
    void apart(std::size_t count, bool keep = true) {
        for (std::size_t i = 0; i < count; ++i) {
            const auto commandBuffer = begin(0, keep);
            const double start = bench::secondsNow();
            commandBuffer->commit();
            finish(commandBuffer);
            if (keep) run.add(bench::secondsNow() - start);
        }
    }

    /// Two in flight.
    void together(std::size_t count) {
        std::array<std::shared_ptr<MPS::CommandBuffer>, 2> flying;
        double last = 0;
        for (std::size_t i = 0; i < count + 3; ++i) {
            auto& slot = flying[i % 2];
            if (slot) {
                finish(slot);
                const double now = bench::secondsNow();
                if (i > 2) step.add(now - last);
                last = now;
            }
            slot = begin(i % 2, false);
            slot->commit();
        }
        for (const auto& slot : flying) finish(slot);
    }

private:
    static TrainingSettings settings(const NetworkDescription& network, std::size_t batch) {
        TrainingSettings out;
        out.batchSize = batch;
        out.optimizer.descriptor.learningRate = network.learningRate;
        return out;
    }

    std::shared_ptr<MPS::CommandBuffer> begin(std::size_t slot, bool keep) {
        batches_[slot].fill(data_, sampler_.next());
        const double start = bench::secondsNow();
        auto commandBuffer = MPS::CommandBuffer::commandBufferFromCommandQueue(queue_);
        classifier_.trainingGraph().encodeBatch(commandBuffer, {batches_[slot].pictures()},
                                                {batches_[slot].labels()});
        if (keep) encode.add(bench::secondsNow() - start);
        peakBytes = std::max(peakBytes, commandBuffer->peakTemporaryMemory());
        return commandBuffer;
    }

    static void finish(const std::shared_ptr<MPS::CommandBuffer>& commandBuffer) {
        commandBuffer->waitUntilCompleted();
        if (const auto error = commandBuffer->error()) throw MTL::Error(error->localizedDescription);
    }

    TrainingNetwork classifier_;
    Dataset data_;
    BatchSampler sampler_;
    std::shared_ptr<MTL::CommandQueue> queue_;
    std::array<LabelledBatch, 2> batches_;
};

constexpr std::size_t kWarmUp = 5;

void printTimes(const NetworkDescription& network, const std::shared_ptr<MTL::Device>& device,
                std::size_t batch, std::size_t steps) {
    Steps measured(network, device, batch);
    measured.apart(kWarmUp, false);
    measured.apart(steps);
    measured.together(steps);
    fmt::print("{}, batch {}, {} steps on {}: {}\n", network.name, batch, steps, device->name(),
               device->description());
    for (const auto& [name, times] : {std::pair<const char*, const Times&>{"step", measured.step},
                                      {"encode", measured.encode},
                                      {"run", measured.run}})
        fmt::print("  {:<8} median {:9.3f} ms, min {:9.3f} ms\n", name, times.median(), times.least());
    fmt::print("  {:.0f} images/s; peak of temporary memory {} bytes\n",
               static_cast<double>(batch) / measured.step.median() * 1e3, measured.peakBytes);
}

void printBreakdown(const NetworkDescription& network, const std::shared_ptr<MTL::Device>& device,
                    std::size_t batch, std::size_t steps, const bench::Ceilings& ceilings) {
    const auto& known = ops::backends();
    const auto entry =
        std::find_if(known.begin(), known.end(), [&](const auto& e) { return e.name == device->name(); });
    const auto profile = std::make_shared<bench::ProfilingBackend>(
        entry->backend, entry->backend->threads() == 1 ? bench::threadSeconds : bench::secondsNow);
    Steps measured(network, std::make_shared<mtl::Device>(profile, device->registryID()), batch);
    measured.apart(kWarmUp, false);
    profile->clear();
    measured.apart(steps);

    auto rows = profile->rows();
    std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.seconds > b.seconds; });
    const double count = static_cast<double>(steps);
    double seconds = 0, limit = 0, flops = 0, bytes = 0;
    const auto limitOf = [&](const bench::Work& work) {
        return std::max(work.flops / ceilings.flopsPerSecond, work.bytes / ceilings.bytesPerSecond);
    };
    for (const auto& row : rows) {
        seconds += row.seconds;
        limit += limitOf(row.work);
        flops += row.work.flops;
        bytes += row.work.bytes;
    }
    fmt::print("\n  ceilings: {:.0f} GFLOP/s, copy {:.1f} GB/s\n", ceilings.flopsPerSecond * 1e-9,
               ceilings.bytesPerSecond * 1e-9);
    fmt::print("  a step: {:.3f} GFLOP, {:.1f} MB\n\n", flops / count * 1e-9, bytes / count * 1e-6);
    fmt::print(
        "  | operation | extents | calls | ms | share | GFLOP/s | GB/s | limit ms |\n  "
        "|---|---|---|---|---|---|---|---|\n");
    for (const auto& row : rows)
        fmt::print("  | {} | {} | {} | {:.3f} | {:.1f} % | {} | {:.1f} | {:.3f} |\n", row.operation,
                   row.extents, row.calls / steps, row.seconds / count * 1e3, 100 * row.seconds / seconds,
                   row.work.flops > 0 ? fmt::format("{:.0f}", row.work.flops / row.seconds * 1e-9) : "",
                   row.work.bytes / row.seconds * 1e-9, limitOf(row.work) / count * 1e3);
    fmt::print("  | all | | | {:.3f} | 100 % | {:.0f} | {:.1f} | {:.3f} |\n\n", seconds / count * 1e3,
               flops / seconds * 1e-9, bytes / seconds * 1e-9, limit / count * 1e3);
}

void runAll(int argc, char** argv) {
    std::vector<char*> arguments(argv, argv + argc);
    const auto nets = bench::takeOption(arguments, "--net").value_or("digits,mnist");
    const auto device = bench::takeOption(arguments, "--device");
    const std::size_t batch = bench::takeNumber(arguments, "--batch", 0),
                      steps = bench::takeNumber(arguments, "--steps", 100);
    const bool breakdown = bench::takeFlag(arguments, "--breakdown");
    if (arguments.size() > 1)
        throw MTL::Error(arguments.front(), "argument", "--net, --device, --batch, --steps or --breakdown",
                         arguments[1]);
    const auto chosen = device ? MTL::copyDevice(*device) : MTL::createSystemDefaultDevice();
    bench::Ceilings ceilings;
    if (breakdown) ceilings = bench::measureCeilings();
    for (const auto& name : bench::detail::splitAt(nets, ',')) {
        const auto& description = network(name);
        printTimes(description, chosen, batch ? batch : description.batchSize, steps);
        if (breakdown)
            printBreakdown(description, chosen, batch ? batch : description.batchSize, steps, ceilings);
    }
}

}  // namespace

int main(int argc, char** argv) {
    try {
        runAll(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return 0;
}
