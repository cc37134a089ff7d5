#pragma once

#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#ifdef PEWTER_COMMAND

/// The command `pewter`, run as a user runs it.
namespace pewter::test {

inline std::string contentOf(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

struct CommandOutcome {
    int status = -1;
    std::string out, err;
};

/// Runs pewter with its output in files of `folder`: no terminal.
inline CommandOutcome runCommand(const std::string& arguments, const std::filesystem::path& folder) {
    const auto out = folder / "out", err = folder / "err";
    const std::string line = std::string("\"") + PEWTER_COMMAND + "\" " + arguments + " >\"" + out.string() + "\" 2>\"" +
                             err.string() + "\" </dev/null";
    const int status = std::system(line.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, contentOf(out), contentOf(err)};
}

}  // namespace pewter::test

#endif
