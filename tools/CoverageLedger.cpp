#include <fmt/format.h>

#include <MTL/Error.hpp>
#include <algorithm>
#include <array>
#include <fstream>
#include <optional>
#include <string_view>

#include "Coverage.h"

namespace pewter::coverage {

namespace fs = std::filesystem;

namespace {

constexpr std::array<const char*, kStatusCount> kNames = {"done", "partial", "refused", "absent"};
constexpr std::size_t kColumns = 5;

std::optional<Status> statusOf(const std::string& word) {
    for (std::size_t i = 0; i < kNames.size(); ++i)
        if (word == kNames[i]) return static_cast<Status>(i);
    return std::nullopt;
}

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    for (std::size_t from = 0;;) {
        const auto to = text.find(separator, from);
        parts.emplace_back(text.substr(from, to == std::string_view::npos ? to : to - from));
        if (to == std::string_view::npos) return parts;
        from = to + 1;
    }
}

[[noreturn]] void fail(const std::string& place, const std::string& column, const std::string& expected,
                       const std::string& found) {
    throw MTL::Error(place, column, expected, found);
}

std::string quoted(const std::string& text) { return "\"" + text + "\""; }

/// folder.Suite.Name, with /parameter behind it or not.
bool isTestName(const std::string& name) {
    const auto parts = split(std::string_view(name).substr(0, name.find('/')), '.');
    return parts.size() == 3 && std::ranges::none_of(parts, &std::string::empty);
}

Line parse(const std::string& text, const std::string& place) {
    const auto columns = split(text, '\t');
    if (columns.size() != kColumns)
        fail(place, "columns", "class, member, status, tests, reason with a tab between them",
             fmt::format("{} column{}", columns.size(), columns.size() == 1 ? "" : "s"));
    Line line;
    line.place = place;
    line.owner = columns[0];
    if (line.owner.empty()) fail(place, "class", "a name, or - for what belongs to no class", "nothing");
    if (columns[1].empty()) fail(place, "member", "a name, or - for the class itself", "nothing");
    if (columns[1] != "-") line.member = columns[1];
    if (line.owner == "-" && line.isClass()) fail(place, "member", "a type or function", "-");
    const auto status = statusOf(columns[2]);
    if (!status) fail(place, "status", "one of done, partial, refused, absent", quoted(columns[2]));
    line.status = *status;
    if (columns[3] != "-") line.tests = split(columns[3], ' ');
    for (const auto& test : line.tests)
        if (!isTestName(test))
            fail(place, "tests", "- or names folder.Suite.Name with spaces between", quoted(test));
    if (columns[4] != "-") line.reason = columns[4];
    if (columns[4].empty()) fail(place, "reason", "words, or - for none", "nothing");

    const bool works = line.status == Status::Done || line.status == Status::Partial;
    const bool limited = line.status == Status::Partial || line.status == Status::Refused;
    if (works && line.tests.empty())
        fail(place, "tests", fmt::format("the tests that run what is {}", columns[2]), "none");
    if (line.status == Status::Absent && !line.tests.empty())
        fail(place, "tests", "none for what is absent", quoted(columns[3]));
    if (limited && line.reason.empty())
        fail(place, "reason", fmt::format("why it is {}", columns[2]), "none");
    if (line.status == Status::Done && !line.reason.empty())
        fail(place, "reason", "none for what is done", quoted(columns[4]));
    return line;
}

}  // namespace

const char* nameOf(Status status) { return kNames[static_cast<std::size_t>(status)]; }

std::string Line::name() const {
    if (isClass()) return owner;
    return owner == "-" ? member : owner + " " + member;
}

void Counts::add(const Counts& other) {
    for (std::size_t i = 0; i < kStatusCount; ++i) of[i] += other.of[i];
}

std::vector<Family> readLedger(const fs::path& folder, const std::string& shown) {
    std::vector<fs::path> files;
    if (fs::is_directory(folder))
        for (const auto& entry : fs::directory_iterator(folder))
            if (entry.path().extension() == ".tsv") files.push_back(entry.path());
    if (files.empty())
        throw MTL::Error("coverage", "--source", "a source tree with files in tests/coverage",
                         quoted(folder.string()));
    std::ranges::sort(files);

    std::vector<Family> families;
    std::map<std::pair<std::string, std::string>, std::string> seen;
    for (const auto& path : files) {
        auto& family = families.emplace_back();
        family.name = path.stem().string();
        std::ifstream file(path, std::ios::binary);
        std::string text;
        for (std::size_t number = 1; std::getline(file, text); ++number) {
            if (text.empty() || text.front() == '#') continue;
            auto line = parse(text, fmt::format("{}/{}:{}", shown, path.filename().string(), number));
            const auto [first, isNew] = seen.try_emplace({line.owner, line.member}, line.place);
            if (!isNew)
                fail(line.place, "member", "each line once", line.name() + ", as in " + first->second);
            if (!line.isClass() && line.owner != "-" &&
                (family.lines.empty() || family.lines.back().owner != line.owner))
                fail(line.place, "class", "members right after the line of their class", line.name());
            family.lines.push_back(std::move(line));
        }
        if (file.bad())
            throw MTL::Error(shown + "/" + path.filename().string(), "file", "a readable file", "an error");
        if (family.lines.empty())
            throw MTL::Error(shown + "/" + path.filename().string(), "file", "at least one line", "none");
    }
    return families;
}

}  // namespace pewter::coverage
