#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <MTL/Error.hpp>
#include <algorithm>
#include <cstdio>
#include <sstream>

#include "Coverage.h"

namespace pewter::coverage {

namespace fs = std::filesystem;

namespace {

constexpr const char* kPrefix = "tests_";

/// What a program prints; throws when it fails.
std::string outputOf(const fs::path& program, const std::string& arguments) {
    std::string quoted = "'";
    for (const char c : program.string()) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
    auto* pipe = popen((quoted + "' " + arguments + " 2>/dev/null </dev/null").c_str(), "r");
    std::string output;
    char block[4096];
    for (std::size_t n = 0; pipe && (n = std::fread(block, 1, sizeof block, pipe)) > 0;)
        output.append(block, n);
    const int status = pipe ? pclose(pipe) : -1;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        throw MTL::Error("coverage", "--tests", "test programs that list their tests",
                         fmt::format("\"{}\", which fails", program.string()));
    return output;
}

/// A suite as it is listed: "CoreEncodes", "Devices/CoreEncodes" or, of typed tests, "Kernels/Float".
struct Suite {
    std::string name;
    /// Of typed tests the name of the type.
    std::string type;

    Suite(const std::string& listed, bool typed) {
        const auto slash = listed.rfind('/');
        if (slash == std::string::npos) {
            name = listed;
        } else if (typed) {
            type = listed.substr(slash + 1);
            name = Suite(listed.substr(0, slash), false).name;
        } else {
            name = listed.substr(slash + 1);
        }
    }
};

}  // namespace

void TestRegistry::add(const std::string& program, const std::string& listing) {
    const auto folder = program.substr(std::string(kPrefix).size());
    std::istringstream lines(listing);
    Suite suite("", false);
    for (std::string line; std::getline(lines, line);) {
        const auto remark = line.find("  # ");
        const bool typed = remark != std::string::npos && line.compare(remark + 4, 9, "TypeParam") == 0;
        line.resize(std::min(line.size(), remark));
        if (line.starts_with("  ")) {
            const auto name = line.substr(2);
            if (name.starts_with("DISABLED_") || suite.name.starts_with("DISABLED_")) continue;
            const auto plain = fmt::format("{}.{}.{}", folder, suite.name, name.substr(0, name.find('/')));
            names_.insert(plain);
            names_.insert(fmt::format("{}.{}.{}", folder, suite.name, name));
            if (!suite.type.empty()) names_.insert(plain + "/" + suite.type);
        } else if (line.ends_with(".") && line.find(' ') == std::string::npos) {
            suite = Suite(line.substr(0, line.size() - 1), typed);
        }
    }
}

TestRegistry TestRegistry::ask(const fs::path& folder) {
    TestRegistry registry;
    if (fs::is_directory(folder))
        for (const auto& entry : fs::directory_iterator(folder)) {
            const auto name = entry.path().filename().string();
            const bool isProgram = name.starts_with(kPrefix) &&
                                   name.find_first_of(".[") == std::string::npos && entry.is_regular_file() &&
                                   access(entry.path().c_str(), X_OK) == 0;
            if (isProgram) registry.add(name, outputOf(entry.path(), "--gtest_list_tests"));
        }
    if (registry.size() == 0)
        throw MTL::Error("coverage", "--tests", "a folder with test programs tests_*",
                         fmt::format("\"{}\"", folder.string()));
    return registry;
}

}  // namespace pewter::coverage
