#include <fmt/format.h>
#include <unistd.h>

#include <MTL/Error.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>

#include "Commands.h"

namespace {

char** commandLine = nullptr;

[[noreturn]] void failToWrite(const std::string& path, const char* option) {
    throw MTL::Error(option, "FILE", "a file that can be written", fmt::format("\"{}\"", path));
}

/// CLI11 says of an unknown word only that a subcommand is missing.
void checkSubcommand(const CLI::App& app, const std::string& first) {
    if (first.empty() || first.starts_with('-')) return;
    std::string names;
    for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; })) {
        if (command->get_name() == first) return;
        names += (names.empty() ? "" : ", ") + command->get_name();
    }
    throw MTL::Error("pewter", "command", "one of " + names, fmt::format("\"{}\"", first));
}

/// OpenMP's workers spin between two parallel loops unless told otherwise, and take the time of whatever else runs on the
/// machine: with one other busy process a training run becomes twenty times slower. Sleeping workers cost a few
/// microseconds a loop. The run time reads its setting when it is loaded, so the command starts itself once more with it.
void letWorkersSleep() {
    if (std::getenv("OMP_WAIT_POLICY") || std::getenv("GOMP_SPINCOUNT")) return;
    if (setenv("OMP_WAIT_POLICY", "passive", 1) == 0) execv("/proc/self/exe", commandLine);
    // Where that cannot be done the command goes on as it is.
}

}  // namespace

void restartWith(const char* variable, const std::string& value) {
    const char* found = std::getenv(variable);
    if (found && found == value) return;
    const std::string before = found ? found : "nothing";
    if (setenv(variable, value.c_str(), 1) == 0) execv("/proc/self/exe", commandLine);
    throw MTL::Error("pewter", variable, value + ", set before the start: here a command cannot start itself anew", before);
}

void checkWritable(const std::string& path, const char* option) {
    if (!path.empty() && path != "-" && !std::ofstream(path, std::ios::binary | std::ios::app))
        failToWrite(path, option);
}

void writeText(const std::string& path, const std::string& text, const char* option) {
    if (path == "-") {
        std::cout << text << std::flush;
        return;
    }
    std::ofstream file(path, std::ios::binary);
    file << text;
    if (!file.flush()) failToWrite(path, option);
}

int main(int argc, char** argv) {
    commandLine = argv;
    letWorkersSleep();
    CLI::App app("Pewter: the neural-network half of Metal Performance Shaders, on any machine.", "pewter");
    app.set_version_flag("--version", "pewter " PEWTER_VERSION);
    app.require_subcommand(1);
    addDevicesCommand(app);
    addTrainCommand(app);
    addInspectCommand(app);
    addCoverageCommand(app);
    addGradcheckCommand(app);
    addOpsCommand(app);
    addBenchCommand(app);
    try {
        checkSubcommand(app, argc > 1 ? argv[1] : "");
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 1;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "pewter: %s\n", error.what());
        return 1;
    }
    return 0;
}
