/// The large cases of the op table, each operation of the seam on its own:
///
///     bench_OpTable [--op FAMILY] [--device cpu] [--repeats 7] [--json FILE]
///
/// The best of the repeats counts. GFLOP/s and GB/s are of the work an operation cannot avoid (Work.h), next to the
/// machine's ceilings: multiply-adds, measured first, and copies of 256 MB, one before every run, the best counts. On one
/// thread (OMP_NUM_THREADS=1) times are the thread's own, which other users of the machine do not lengthen.
#include <fmt/format.h>

#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <Pewter/check/Checks.hpp>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "Arguments.h"
#include "mtl/Device.h"
#include "profile/Ceilings.h"
#include "profile/ProfilingBackend.h"
#include "table/Table.h"

namespace {

using namespace pewter;

struct Measured {
    std::string family, name;
    profile::ProfileRow row;  // one run, the fastest
    double copies;            // bytes a second, the fastest copy between the runs
};

/// Ones for every output: what the incoming gradient is does not matter to the time.
const check::Incoming kOnes = [](std::size_t, const check::Shape& shape) { return std::vector<double>(shape.count(), 1.0); };

std::vector<Measured> measure(const check::OpRow& row, const std::shared_ptr<profile::ProfilingBackend>& profile,
                              const std::shared_ptr<MTL::Device>& device, profile::CopyBuffers& buffers,
                              profile::ProfilingBackend::Clock clock, std::size_t repeats) {
    std::vector<Measured> all;
    for (const auto& op : row.large) {
        const auto operands = check::draw(op, 1);
        std::map<std::pair<std::string, std::string>, profile::ProfileRow> best;
        double copies = 0;
        for (std::size_t i = 0; i < repeats; ++i) {
            const double start = clock(), copied = buffers.copy();
            copies = std::max(copies, copied / (clock() - start));
            profile->clear();
            op.run({device, MPS::ImageFeatureChannelFormat::Float32}, operands, op.isDifferentiable() ? &kOnes : nullptr);
            for (const auto& r : profile->rows()) {
                auto& kept = best[{r.operation, r.extents}];
                if (kept.calls == 0 || r.seconds < kept.seconds) kept = r;
            }
        }
        for (const auto& [key, r] : best) all.push_back({row.family, op.name, r, copies});
    }
    return all;
}

void run(std::vector<char*> arguments) {
    const auto family = bench::takeOption(arguments, "--op").value_or("");
    const auto deviceName = bench::takeOption(arguments, "--device").value_or("cpu");
    const auto repeats = bench::takeNumber(arguments, "--repeats", 7);
    const auto path = bench::takeOption(arguments, "--json");
    if (arguments.size() > 1) throw MTL::Error("bench_OpTable", "argument", "--op, --device, --repeats or --json", arguments[1]);
    const auto& table = optable::opTable();
    if (!family.empty()) table.row(family);

    const auto ceilings = profile::measureCeilings();
    const double multiplyAdd = ceilings.flopsPerSecond;
    fmt::print("{} threads; multiply-adds {:.0f} GFLOP/s\n", profile::threadCount(), multiplyAdd / 1e9);
    fmt::print("{:<28} {:<40} {:<36} {:>9} {:>9} {:>8} {:>8} {:>7}\n", "family", "case", "operation", "ms", "GFLOP/s",
               "GB/s", "copies", "share");

    const profile::ProfilingBackend::Clock clock =
        profile::threadCount() == 1 ? profile::threadSeconds : profile::secondsNow;
    profile::CopyBuffers buffers;
    // The registry keeps the backend alive.
    const auto inner = std::shared_ptr<ops::Backend>(&mtl::deviceOf(*MTL::copyDevice(deviceName)).backend(), [](auto*) {});
    const auto profile = std::make_shared<profile::ProfilingBackend>(
        inner, clock);
    const auto device = std::make_shared<mtl::Device>(profile, 1000);
    auto list = nlohmann::json::array();
    for (const auto& row : table.rows()) {
        if (!family.empty() && row.family != family) continue;
        for (const auto& m : measure(row, profile, device, buffers, clock, repeats)) {
            const double seconds = std::max(m.row.seconds, 1e-9);
            const double flops = m.row.work.flops / seconds, bytes = m.row.work.bytes / seconds;
            const double share = std::max(flops / multiplyAdd, bytes / m.copies);
            fmt::print("{:<28} {:<40} {:<36} {:>9.3f} {:>9.1f} {:>8.2f} {:>8.2f} {:>6.0f}%\n", m.family, m.name,
                       m.row.operation, seconds * 1e3, flops / 1e9, bytes / 1e9, m.copies / 1e9, share * 100);
            list.push_back({{"family", m.family}, {"case", m.name}, {"operation", m.row.operation},
                            {"extents", m.row.extents}, {"calls", m.row.calls}, {"ms", seconds * 1e3},
                            {"gflops", flops / 1e9}, {"gbytes", bytes / 1e9}, {"copies", m.copies / 1e9}, {"share", share}});
        }
    }
    if (path) std::ofstream(*path) << list.dump(2) << "\n";
}

}  // namespace

int main(int argc, char** argv) {
    try {
        run({argv, argv + argc});
    } catch (const std::exception& error) {
        fmt::print(stderr, "bench_OpTable: {}\n", error.what());
        return 1;
    }
    return 0;
}
