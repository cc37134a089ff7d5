#include <fmt/format.h>
#include <fmt/ranges.h>

#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <Pewter/check/Checks.hpp>
#include <memory>
#include <utility>

#include "Commands.h"
#include "table/Table.h"

namespace {

using namespace pewter;
using Format = MPS::ImageFeatureChannelFormat;

constexpr std::pair<Format, const char*> kFormats[] = {{Format::Float32, "float32"},
                                                       {Format::Float16, "float16"},
                                                       {Format::BFloat16, "bfloat16"},
                                                       {Format::Float64, "float64"}};

/// Runs every case of the row: what a device supports is what it does, not what it says.
void listSupport(const check::OpRow& row, const std::shared_ptr<MTL::Device>& device) {
    std::vector<std::string> formats;
    std::string refusal;
    for (const auto& [format, name] : kFormats) {
        std::size_t good = 0;
        for (const auto& op : row.cases) try {
                op.run({device, format}, check::draw(op, 1), nullptr);
                ++good;
            } catch (const MTL::Error& error) {
                if (refusal.empty()) refusal = fmt::format("{} in {}: {}", op.name, name, error.what());
            }
        if (good == row.cases.size())
            formats.push_back(name);
        else if (good > 0)
            formats.push_back(fmt::format("{} ({} of {})", name, good, row.cases.size()));
    }
    fmt::print("  {:<10} {}\n", device->name(), formats.empty() ? "nothing" : fmt::format("{}", fmt::join(formats, ", ")));
    if (!refusal.empty()) fmt::print("  {:<10} refused, for one: {}\n", "", refusal);
}

void list(const std::string& family, const std::string& deviceName) {
    const auto& table = optable::opTable();
    if (!family.empty()) table.row(family);
    const auto devices = deviceName.empty()
                             ? MTL::copyAllDevices()
                             : std::vector<std::shared_ptr<MTL::Device>>{MTL::copyDevice(deviceName)};
    for (const auto& row : table.rows()) {
        if (!family.empty() && row.family != family) continue;
        std::size_t differentiable = 0;
        for (const auto& op : row.cases) differentiable += op.isDifferentiable();
        fmt::print("{}: {} cases, {} with a gradient\n  {:<10} {}\n", row.family, row.cases.size(), differentiable,
                   "classes", fmt::join(row.classes, ", "));
        if (!row.pytorch.empty()) fmt::print("  {:<10} {}\n", "PyTorch", row.pytorch);
        for (const auto& device : devices) listSupport(row, device);
    }
}

}  // namespace

void addOpsCommand(CLI::App& app) {
    const auto family = std::make_shared<std::string>(), device = std::make_shared<std::string>();
    auto* command = app.add_subcommand(
        "ops", "Lists the families of operations with their classes and the formats that each device computes them in.");
    command->add_option("--op", *family, "One family")->type_name("NAME");
    command->add_option("--device", *device, "One device; all without it")->type_name("NAME");
    command->callback([family, device] { list(*family, *device); });
}
