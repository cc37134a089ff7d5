#include <fmt/format.h>

#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <Pewter/check/Checks.hpp>
#include <memory>

#include "Commands.h"
#include "table/Table.h"

namespace {

struct Options {
    std::string family, device = "reference";
    bool all = false, quiet = false;
};

void run(const Options& options) {
    if (options.all == !options.family.empty())
        throw MTL::Error("pewter gradcheck", "what to check", "--op NAME or --all",
                         options.all ? "both" : "neither");
    const auto summary = pewter::check::checkGradients(
        pewter::optable::opTable(), MTL::copyDevice(options.device), {options.family, options.quiet},
        [](const std::string& line) { fmt::print("{}\n", line); });
    if (summary.failed > 0) throw CLI::RuntimeError(1);
}

}  // namespace

void addGradcheckCommand(CLI::App& app) {
    const auto options = std::make_shared<Options>();
    auto* command = app.add_subcommand(
        "gradcheck", "Compares every gradient with central differences in double; closes with \"N passed, N failed\".");
    command->add_option("--op", options->family, "One family of the op table")->type_name("NAME");
    command->add_flag("--all", options->all, "Every family");
    command->add_option("--device", options->device, "Whose gradients; differences are computed in double, on this device or on reference")->capture_default_str();
    command->add_flag("--quiet", options->quiet, "Only failures and the last line");
    command->callback([options] { run(*options); });
}
