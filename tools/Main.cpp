#include <fmt/format.h>

#include <MTL/Error.hpp>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>

#include "Commands.h"

void writeText(const std::string& path, const std::string& text) {
    if (path == "-") {
        std::cout << text << std::flush;
        return;
    }
    std::ofstream file(path, std::ios::binary);
    file << text;
    if (!file.flush()) throw MTL::Error("--json", "FILE", "a file that can be written", fmt::format("\"{}\"", path));
}

int main(int argc, char** argv) {
    CLI::App app("Pewter: the neural-network half of Metal Performance Shaders, on any machine.", "pewter");
    app.require_subcommand(1);
    addDevicesCommand(app);
    addTrainCommand(app);
    addInspectCommand(app);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "pewter: %s\n", error.what());
        return 1;
    }
    return 0;
}
