#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "Coverage.h"

namespace pewter::coverage {

namespace {

constexpr Status kAll[] = {Status::Done, Status::Partial, Status::Refused, Status::Absent};

/// Why the line does not stand; empty when it does.
std::string problemOf(const Line& line, const TestRegistry& tests, const HeaderIndex& headers) {
    for (const auto& test : line.tests)
        if (!tests.has(test)) return fmt::format("no test program has the test {}", test);
    const bool works = line.status == Status::Done || line.status == Status::Partial;
    return works ? headers.missing(line) : "";
}

/// Classes that claim to be done although members are absent.
void judgeClasses(FamilyReport& family, std::vector<std::string>& errors) {
    for (std::size_t i = 0; i < family.verdicts.size(); ++i) {
        auto& verdict = family.verdicts[i];
        if (!verdict.line->isClass() || verdict.status != Status::Done) continue;
        std::size_t members = 0, absent = 0;
        for (std::size_t j = i + 1; j < family.verdicts.size(); ++j) {
            const auto& member = family.verdicts[j];
            if (member.line->owner != verdict.line->owner) break;
            ++members;
            absent += member.status == Status::Absent;
        }
        if (absent == 0) continue;
        verdict.status = Status::Partial;
        verdict.reason = fmt::format("{} of {} members absent", absent, members);
        errors.push_back(fmt::format(
            "{}: {} is called done, but {} of its {} members {} absent; counted as partial.",
            verdict.line->place, verdict.line->name(), absent, members, absent == 1 ? "is" : "are"));
    }
}

nlohmann::ordered_json toJson(const Counts& counts) {
    nlohmann::ordered_json document{{"total", counts.total()}};
    for (const auto status : kAll) document[nameOf(status)] = counts[status];
    return document;
}

std::string row(const std::string& name, const Counts& classes, const Counts& members) {
    std::string text = "| " + name;
    for (const auto* counts : {&classes, &members}) {
        text += fmt::format(" | {}", counts->total());
        for (const auto status : kAll) text += fmt::format(" | {}", (*counts)[status]);
    }
    return text + " |\n";
}

std::string entry(const Verdict& verdict) {
    const auto& line = *verdict.line;
    auto text = line.isClass() ? fmt::format("- **{}** ", line.owner) : fmt::format("  - `{}` ", line.member);
    text += nameOf(verdict.status);
    if (!verdict.reason.empty()) text += fmt::format(" ({})", verdict.reason);
    if (verdict.status == Status::Absent) return text + "\n";
    for (std::size_t i = 0; i < line.tests.size(); ++i)
        text += fmt::format("{} `{}`", i ? "," : ":", line.tests[i]);
    return text + "\n";
}

}  // namespace

Report judge(const std::vector<Family>& families, const TestRegistry& tests, const HeaderIndex& headers) {
    Report report;
    for (const auto& family : families) {
        auto& judged = report.families.emplace_back();
        judged.name = family.name;
        for (const auto& line : family.lines) {
            Verdict verdict{&line, line.status, line.reason};
            if (const auto problem = problemOf(line, tests, headers); !problem.empty()) {
                verdict.status = Status::Absent;
                verdict.reason = fmt::format("called {}: {}", nameOf(line.status), problem);
                report.errors.push_back(fmt::format("{}: {} is called {}, but {}; counted as absent.",
                                                    line.place, line.name(), nameOf(line.status), problem));
            }
            judged.verdicts.push_back(std::move(verdict));
        }
        judgeClasses(judged, report.errors);
        for (const auto& verdict : judged.verdicts)
            ++(verdict.line->isClass() ? judged.classes : judged.members)[verdict.status];
    }
    return report;
}

std::string page(const Report& report) {
    std::string text =
        "# Coverage: Apple's classes and members, one line each\n\n"
        "Written by `pewter coverage` from `tests/coverage/` and the list of tests; do not edit. "
        "`docs/architecture.md` says how.\n"
        "`done`: the named tests (folder.Suite.Name) run it on numbers. `partial`, `refused`: the reason is "
        "in parentheses.\n"
        "`absent`: not there. A property stands for its getter and setter. What a class inherits has its "
        "line at the class that\n"
        "declares it, and a class that two families list has its line in the first.\n\n"
        "| family | classes | done | partial | refused | absent | members | done | partial | refused | "
        "absent |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|\n";
    Counts classes, members;
    for (const auto& family : report.families) {
        text += row(family.name, family.classes, family.members);
        classes.add(family.classes);
        members.add(family.members);
    }
    text += row("all", classes, members);
    for (const auto& family : report.families) {
        text += fmt::format("\n## {}\n\n", family.name);
        std::string owner;
        for (const auto& verdict : family.verdicts) {
            if (verdict.line->owner == "-" && owner != "-") text += "- Types and functions\n";
            owner = verdict.line->owner;
            text += entry(verdict);
        }
    }
    return text;
}

std::string json(const Report& report) {
    using nlohmann::ordered_json;
    ordered_json families = ordered_json::array();
    Counts classes, members;
    for (const auto& family : report.families) {
        families.push_back({{"name", family.name},
                            {"classes", toJson(family.classes)},
                            {"members", toJson(family.members)}});
        classes.add(family.classes);
        members.add(family.members);
    }
    const ordered_json total{{"classes", toJson(classes)}, {"members", toJson(members)}};
    return ordered_json{{"families", families}, {"total", total}}.dump(1) + "\n";
}

}  // namespace pewter::coverage
