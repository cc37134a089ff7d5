#pragma once

#include <CLI/CLI.hpp>
#include <string>

/// Each adds its subcommand; the callback does the work and throws what fails.
void addDevicesCommand(CLI::App& app);
void addTrainCommand(CLI::App& app);
void addInspectCommand(CLI::App& app);
void addCoverageCommand(CLI::App& app);
void addGradcheckCommand(CLI::App& app);
void addOpsCommand(CLI::App& app);
void addBenchCommand(CLI::App& app);

/// Starts the command anew with a variable of the environment that libraries read when they are loaded, unless it has that
/// value. Throws MPS::Error when it cannot.
void restartWith(const char* variable, const std::string& value);
/// Throws MPS::Error when writeText could not write there; the file exists then. Nothing for "" and "-".
void checkWritable(const std::string& path, const char* option = "--json");
/// Writes a text to the file that an option names, "-" for standard output; throws MPS::Error when it cannot.
void writeText(const std::string& path, const std::string& text, const char* option = "--json");
