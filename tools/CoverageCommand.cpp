#include <fmt/format.h>

#include <MTL/Error.hpp>
#include <cstdio>
#include <fstream>
#include <memory>
#include <sstream>

#include "Commands.h"
#include "Coverage.h"

namespace {

namespace fs = std::filesystem;
using namespace pewter::coverage;

constexpr const char* kData = "tests/coverage";
constexpr const char* kPage = "docs/coverage.md";

struct CoverageOptions {
    std::string source = ".", tests, json;
    bool check = false;
};

/// The test programs of the build that this command belongs to.
std::string testsBesideCommand() {
    std::error_code error;
    const auto self = fs::read_symlink("/proc/self/exe", error);
    if (error)
        throw MTL::Error("coverage", "--tests", "a folder: this system does not tell where the command is",
                         "none");
    return (self.parent_path() / "tests").string();
}

/// Where two texts part, or empty when they are equal.
std::string differenceOf(const std::string& committed, const std::string& made) {
    std::istringstream a(committed), b(made);
    for (std::size_t line = 1;; ++line) {
        std::string x, y;
        const bool hasX = static_cast<bool>(std::getline(a, x)), hasY = static_cast<bool>(std::getline(b, y));
        if (!hasX && !hasY) return committed == made ? "" : fmt::format("line {}", line);
        if (hasX == hasY && x == y) continue;
        return fmt::format("line {}: expected \"{}\", found \"{}\"", line, hasY ? y : "the end",
                           hasX ? x : "the end");
    }
}

void print(const Report& report) {
    const auto line = [](const char* what, const Counts& counts) {
        fmt::print("  {:>4} {:<8} {:>4} done {:>4} partial {:>4} refused {:>4} absent\n", counts.total(),
                   what, counts[Status::Done], counts[Status::Partial], counts[Status::Refused],
                   counts[Status::Absent]);
    };
    Counts classes, members;
    for (const auto& family : report.families) {
        fmt::print("{}\n", family.name);
        line("classes", family.classes);
        line("members", family.members);
        classes.add(family.classes);
        members.add(family.members);
    }
    fmt::print("all\n");
    line("classes", classes);
    line("members", members);
}

void coverage(const CoverageOptions& options) {
    const fs::path source(options.source), path = source / kPage;
    checkWritable(options.json);
    const auto families = readLedger(source / kData, kData);
    const auto headers = HeaderIndex::read(source / "include");
    const auto tests = TestRegistry::ask(options.tests.empty() ? testsBesideCommand() : options.tests);
    const auto report = judge(families, tests, headers);

    const auto text = page(report);
    auto errors = report.errors;
    if (options.check) {
        std::ifstream file(path, std::ios::binary);
        const std::string committed{std::istreambuf_iterator<char>(file), {}};
        if (const auto difference = differenceOf(committed, text); !difference.empty())
            errors.push_back(fmt::format("{}: {}; run pewter coverage.", kPage, difference));
    } else {
        std::ofstream file(path, std::ios::binary);
        file << text;
        if (!file.flush())
            throw MTL::Error("coverage", "--source", fmt::format("a folder where {} can be written", kPage),
                             fmt::format("\"{}\"", options.source));
    }
    if (options.json != "-") print(report);
    if (!options.json.empty()) writeText(options.json, json(report));
    for (const auto& error : errors) std::fprintf(stderr, "pewter: %s\n", error.c_str());
    if (!errors.empty()) throw CLI::RuntimeError(1);
}

}  // namespace

void addCoverageCommand(CLI::App& app) {
    const auto options = std::make_shared<CoverageOptions>();
    auto* command =
        app.add_subcommand("coverage", "Writes docs/coverage.md: which of Apple's classes and members work.");
    command->add_option("--source", options->source, "Source tree (default: the current folder)")
        ->type_name("DIR");
    command
        ->add_option("--tests", options->tests,
                     "Folder of the test programs (default: tests beside this command)")
        ->type_name("DIR");
    command
        ->add_option("--json", options->json, "Writes counts by family as JSON; - for standard output alone")
        ->type_name("FILE");
    command->add_flag("--check", options->check,
                      "Writes no page; fails when docs/coverage.md is another one");
    command->callback([options] { coverage(*options); });
}
