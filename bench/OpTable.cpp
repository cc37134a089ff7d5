/// The large cases of the op table, each operation of the seam on its own:
///
///     bench_OpTable [--op FAMILY] [--device cpu] [--repeats 7] [--json FILE]
///
/// The best of the repeats counts. GFLOP/s and GB/s are of the work an operation cannot avoid (Work.h), next to the
/// machine's ceilings: multiply-adds, measured first, and copies of 256 MB, one before every run: their median is what
/// the machine copies, and `share` is of that. `beside` compares with the fastest of the copies made before the
/// operation's own runs instead. Operations that move little are printed, but not counted at the end. On one thread
/// (OMP_NUM_THREADS=1) times are the thread's own, which other users of the machine do not lengthen.
#include <fmt/format.h>

#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <Pewter/check/Checks.hpp>
#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

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

/// Bytes from which on an operation's share of the copy rate says something: fewer end before what is asked for ahead
/// comes in, or stay in the caches.
constexpr double kLargeBytes = 4 << 20;

/// Rates against the ceilings: multiply-adds and copies a second.
struct Shares {
    double flops, bytes, ofMachine, beside;
    bool isLarge;

    Shares(const Measured& m, double multiplyAdd, double copies) {
        const double seconds = std::max(m.row.seconds, 1e-9), calls = static_cast<double>(m.row.calls);
        flops = m.row.work.flops / seconds, bytes = m.row.work.bytes / seconds;
        ofMachine = std::max(flops / multiplyAdd, bytes / copies);
        beside = std::max(flops / multiplyAdd, bytes / m.copies);
        isLarge = m.row.work.bytes >= kLargeBytes * calls || flops / multiplyAdd >= bytes / copies;
    }
};

/// Ones for every output: what the incoming gradient is does not matter to the time.
const check::Incoming kOnes = [](std::size_t, const check::Shape& shape) { return std::vector<double>(shape.count(), 1.0); };

std::vector<Measured> measure(const check::OpRow& row, const std::shared_ptr<profile::ProfilingBackend>& profile,
                              const std::shared_ptr<MTL::Device>& device, profile::CopyBuffers& buffers,
                              profile::ProfilingBackend::Clock clock, std::size_t repeats,
                              std::vector<double>& copyRates) {
    std::vector<Measured> all;
    for (const auto& op : row.large) {
        const auto operands = check::draw(op, 1);
        std::map<std::pair<std::string, std::string>, profile::ProfileRow> best;
        double copies = 0;
        for (std::size_t i = 0; i < repeats; ++i) {
            const double start = clock(), copied = buffers.copy();
            copyRates.push_back(copied / (clock() - start));
            copies = std::max(copies, copyRates.back());
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

/// Rates: of all copies, sorted.
void report(const std::vector<Measured>& all, double multiplyAdd, const std::vector<double>& rates,
            const std::optional<std::string>& path) {
    const double copies = rates[rates.size() / 2];
    fmt::print("{} threads; multiply-adds {:.0f} GFLOP/s; {} copies of {:.1f} to {:.1f} GB/s, median {:.1f}\n",
               profile::threadCount(), multiplyAdd / 1e9, rates.size(), rates.front() / 1e9, rates.back() / 1e9,
               copies / 1e9);
    fmt::print("{:<28} {:<40} {:<36} {:>9} {:>8} {:>9} {:>8} {:>7} {:>7}\n", "family", "case", "operation", "ms", "MB",
               "GFLOP/s", "GB/s", "share", "beside");
    std::size_t large = 0, half = 0;
    auto list = nlohmann::json::array();
    for (const auto& m : all) {
        const Shares shares(m, multiplyAdd, copies);
        large += shares.isLarge ? 1 : 0;
        half += shares.isLarge && shares.ofMachine >= 0.5 ? 1 : 0;
        fmt::print("{:<28} {:<40} {:<36} {:>9.3f} {:>8.2f} {:>9.1f} {:>8.2f} {:>6.0f}% {:>6.0f}%{}\n", m.family, m.name,
                   m.row.operation, m.row.seconds * 1e3, m.row.work.bytes / 1e6, shares.flops / 1e9,
                   shares.bytes / 1e9, shares.ofMachine * 100, shares.beside * 100, shares.isLarge ? "" : " small");
        list.push_back({{"family", m.family}, {"case", m.name}, {"operation", m.row.operation},
                        {"extents", m.row.extents}, {"calls", m.row.calls}, {"ms", m.row.seconds * 1e3},
                        {"gflops", shares.flops / 1e9}, {"gbytes", shares.bytes / 1e9}, {"copies", m.copies / 1e9},
                        {"share", shares.ofMachine}, {"beside", shares.beside}, {"large", shares.isLarge}});
    }
    fmt::print("{} of {} large operations reach half of a ceiling\n", half, large);
    if (path) std::ofstream(*path) << list.dump(2) << "\n";
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
    const profile::ProfilingBackend::Clock clock =
        profile::threadCount() == 1 ? profile::threadSeconds : profile::secondsNow;
    profile::CopyBuffers buffers;
    // The registry keeps the backend alive.
    const auto inner = std::shared_ptr<ops::Backend>(&mtl::deviceOf(*MTL::copyDevice(deviceName)).backend(), [](auto*) {});
    const auto profile = std::make_shared<profile::ProfilingBackend>(
        inner, clock);
    const auto device = std::make_shared<mtl::Device>(profile, 1000);
    std::vector<Measured> all;
    std::vector<double> rates;
    for (const auto& row : table.rows()) {
        if (!family.empty() && row.family != family) continue;
        const auto some = measure(row, profile, device, buffers, clock, repeats, rates);
        all.insert(all.end(), some.begin(), some.end());
    }
    if (all.empty()) return;
    std::sort(rates.begin(), rates.end());
    report(all, multiplyAdd, rates, path);
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
