#include <fmt/format.h>

#include <MTL/Error.hpp>
#include <algorithm>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "Commands.h"
#include "Options.h"
#include "mtl/Device.h"
#include "profile/Ceilings.h"
#include "profile/ProfilingBackend.h"
#include "train/StepTimer.h"

namespace {

using namespace pewter::train;
namespace mtl = pewter::mtl;
namespace ops = pewter::ops;
namespace profile = pewter::profile;
using nlohmann::json;

struct BenchOptions {
    std::vector<std::string> networks;
    std::string device, precision = "fp32", json;
    std::optional<std::size_t> batch, threads, memoryBudget;
    std::size_t steps = 20;
    bool breakdown = false;
    float lossScale = 0;
};

constexpr std::size_t kWarmUp = 3;

/// Peak of the memory that the system has given this process, since the last call of `forgetResidentPeak`: bytes, or 0
/// where the system does not tell.
std::size_t residentPeak() {
    std::ifstream file("/proc/self/status");
    for (std::string key; file >> key;)
        if (key == "VmHWM:") {
            std::size_t kibibytes = 0;
            file >> kibibytes;
            return kibibytes * 1024;
        }
    return 0;
}
void forgetResidentPeak() { std::ofstream("/proc/self/clear_refs") << 5; }

/// The device's backend, which hands every operation on and keeps time and work.
struct Profile {
    std::shared_ptr<profile::ProfilingBackend> backend;
    std::shared_ptr<MTL::Device> device;

    Profile(const std::shared_ptr<MTL::Device>& device, profile::ProfilingBackend::Clock clock)
        : backend(std::make_shared<profile::ProfilingBackend>(
              // The registry keeps the backend alive.
              std::shared_ptr<ops::Backend>(&mtl::deviceOf(*device).backend(), [](auto*) {}), clock)),
          device(std::make_shared<mtl::Device>(backend, device->registryID())) {}
};

/// What a step has to compute and to move: counted while encoded commands run without being computed.
profile::Work workOfStep(const NetworkDescription& network, const std::shared_ptr<MTL::Device>& device,
                         const TrainingSettings& settings) {
    Profile counting(device, nullptr);
    StepTimer step(network, counting.device, settings);
    counting.backend->clear();
    step.apart(1);
    profile::Work sum;
    for (const auto& row : counting.backend->rows()) {
        sum.flops += row.work.flops;
        sum.bytes += row.work.bytes;
    }
    return sum;
}

/// A table by operation. On one thread times are the thread's own, which other users of the machine do not lengthen.
void printBreakdown(const NetworkDescription& network, const std::shared_ptr<MTL::Device>& device,
                    const TrainingSettings& settings, std::size_t steps, const profile::Ceilings& ceilings) {
    const bool alone = mtl::deviceOf(*device).backend().threads() == 1;
    Profile timing(device, alone ? profile::threadSeconds : profile::secondsNow);
    StepTimer step(network, timing.device, settings);
    step.apart(kWarmUp);
    timing.backend->clear();
    step.apart(steps);

    auto rows = timing.backend->rows();
    std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.seconds > b.seconds; });
    const double count = static_cast<double>(steps);
    double all = 0, limits = 0;
    const auto limitOf = [&](const profile::Work& work) {
        return std::max(work.flops / ceilings.flopsPerSecond, work.bytes / ceilings.bytesPerSecond);
    };
    for (const auto& row : rows) {
        all += row.seconds;
        limits += limitOf(row.work);
    }
    fmt::print("\n  | operation | extents | calls | ms | share | GFLOP/s | GB/s | limit ms |\n"
               "  |---|---|---|---|---|---|---|---|\n");
    for (const auto& row : rows)
        fmt::print("  | {} | {} | {} | {:.3f} | {:.1f} % | {} | {:.1f} | {:.3f} |\n", row.operation, row.extents,
                   row.calls / steps, row.seconds / count * 1e3, 100 * row.seconds / all,
                   row.work.flops > 0 ? fmt::format("{:.0f}", row.work.flops / row.seconds * 1e-9) : "",
                   row.work.bytes / row.seconds * 1e-9, limitOf(row.work) / count * 1e3);
    fmt::print("  | all | | | {:.3f} | 100 % | | | {:.3f} |\n\n", all / count * 1e3, limits / count * 1e3);
}

struct Measured {
    std::string network;
    std::size_t batch = 0, peakBytes = 0, residentBytes = 0;
    int threads = 0;
    Times step, encode;
    profile::Work work;

    double seconds() const { return step.median() * 1e-3; }
    double imagesPerSecond() const { return static_cast<double>(batch) / seconds(); }
    double flopsPerSecond() const { return work.flops / seconds(); }
    double bytesPerSecond() const { return work.bytes / seconds(); }
};

Measured measure(const NetworkDescription& network, const std::shared_ptr<MTL::Device>& device,
                 const TrainingSettings& settings, std::size_t steps) {
    Measured m;
    m.network = network.name;
    m.batch = settings.batchSize;
    m.threads = mtl::deviceOf(*device).backend().threads();
    m.work = workOfStep(network, device, settings);
    forgetResidentPeak();
    StepTimer timer(network, device, settings);
    timer.together(steps, kWarmUp);
    m.step = timer.step();
    m.encode = timer.encode();
    m.peakBytes = timer.peakTemporaryBytes();
    m.residentBytes = residentPeak();
    return m;
}

void print(const Measured& m, const BenchOptions& options, const MTL::Device& device,
           const profile::Ceilings& ceilings) {
    fmt::print("{}, batch {}, {}, {} thread{}, {} steps on {} (synthetic pictures, in memory)\n", m.network, m.batch,
               options.precision, m.threads, m.threads == 1 ? "" : "s", options.steps, device.name());
    fmt::print("  step      median {:.3f} ms, min {:.3f}, 10 to 90 %: {:.3f} to {:.3f}, max {:.3f}\n", m.step.median(),
               m.step.least(), m.step.quantile(0.1), m.step.quantile(0.9), m.step.most());
    fmt::print("  encode    median {:.3f} ms, on the host, beside the step before\n", m.encode.median());
    fmt::print("  images    {:.1f} a second\n", m.imagesPerSecond());
    fmt::print("  computed  {:.3f} GFLOP a step, {:.1f} GFLOP/s: {:.0f} % of the machine's float32 multiply-adds, {:.0f}\n",
               m.work.flops * 1e-9, m.flopsPerSecond() * 1e-9, 100 * m.flopsPerSecond() / ceilings.flopsPerSecond,
               ceilings.flopsPerSecond * 1e-9);
    fmt::print("  moved     {:.1f} MB a step at least, {:.1f} GB/s: {:.0f} % of the machine's copies, {:.1f}\n",
               m.work.bytes * 1e-6, m.bytesPerSecond() * 1e-9, 100 * m.bytesPerSecond() / ceilings.bytesPerSecond,
               ceilings.bytesPerSecond * 1e-9);
    fmt::print("  memory    temporary {:.1f} MiB at the peak; the process {:.1f} MiB\n",
               static_cast<double>(m.peakBytes) / 1048576, static_cast<double>(m.residentBytes) / 1048576);
    std::fflush(stdout);
}

json toJson(const Measured& m, const BenchOptions& options, const MTL::Device& device,
            const profile::Ceilings& ceilings) {
    return {{"network", m.network},
            {"device", device.name()},
            {"precision", options.precision},
            {"batch", m.batch},
            {"threads", m.threads},
            {"steps", options.steps},
            {"median_ms", m.step.median()},
            {"min_ms", m.step.least()},
            {"p10_ms", m.step.quantile(0.1)},
            {"p90_ms", m.step.quantile(0.9)},
            {"max_ms", m.step.most()},
            {"encode_ms", m.encode.median()},
            {"images_per_second", m.imagesPerSecond()},
            {"gflop_per_step", m.work.flops * 1e-9},
            {"gflops", m.flopsPerSecond() * 1e-9},
            {"gflops_share", m.flopsPerSecond() / ceilings.flopsPerSecond},
            {"megabytes_per_step", m.work.bytes * 1e-6},
            {"gigabytes_per_second", m.bytesPerSecond() * 1e-9},
            {"bandwidth_share", m.bytesPerSecond() / ceilings.bytesPerSecond},
            {"peak_bytes", m.peakBytes},
            {"peak_resident_bytes", m.residentBytes}};
}

void benchAll(const BenchOptions& options) {
    // The run time of OpenMP reads it when it is loaded.
    if (options.threads) restartWith("OMP_NUM_THREADS", std::to_string(*options.threads));
    std::vector<const NetworkDescription*> networks;
    for (const auto& name : options.networks) networks.push_back(&network(name));
    checkWritable(options.json);
    const auto device = deviceNamed(options.device);
    const auto ceilings = profile::measureCeilings();
    json list = json::array();
    for (const auto* description : networks) {
        TrainingSettings settings;
        settings.batchSize = options.batch.value_or(description->batchSize);
        settings.format = formatOf(options.precision);
        settings.options = optionsOf(options.precision);
        settings.lossScale = options.lossScale;
        settings.memoryBudget = options.memoryBudget;
        settings.optimizer.descriptor.learningRate = description->learningRate;
        const auto measured = measure(*description, device, settings, options.steps);
        list.push_back(toJson(measured, options, *device, ceilings));
        if (options.json == "-") continue;
        print(measured, options, *device, ceilings);
        if (options.breakdown) printBreakdown(*description, device, settings, options.steps, ceilings);
    }
    if (!options.json.empty()) writeText(options.json, list.dump(1) + "\n");
}

}  // namespace

void addBenchCommand(CLI::App& app) {
    const auto options = std::make_shared<BenchOptions>();
    auto* command = app.add_subcommand("bench", "Times whole training steps of networks: forward, backward, update.");
    command->add_option("--net", options->networks, networkNames() + "; several with commas")
        ->required()
        ->delimiter(',')
        ->type_name("NAME");
    command->add_option("--device", options->device, "Device by name (default: the best)")->type_name("NAME");
    command->add_option("--batch", options->batch, "Pictures a batch (default: the network's)")
        ->check(CLI::PositiveNumber);
    command->add_option("--threads", options->threads, "Of the device (default: OMP_NUM_THREADS, or one a core)")
        ->check(CLI::PositiveNumber);
    addPrecision(*command, options->precision);
    addLossScale(*command, options->lossScale);
    addMemoryBudget(*command, options->memoryBudget);
    command->add_option("--steps", options->steps, "Steps to time, after three others")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    command->add_flag("--breakdown", options->breakdown, "Times as many steps again, operation by operation");
    command->add_option("--json", options->json, "Writes a list with an object a network as JSON; - for standard output alone")
        ->type_name("FILE");
    command->callback([options] { benchAll(*options); });
}
