#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

/// The ledger behind docs/coverage.md: what tests/coverage/*.tsv claim, and what tests and headers say to it.
namespace pewter::coverage {

enum class Status { Done, Partial, Refused, Absent };
inline constexpr std::size_t kStatusCount = 4;
const char* nameOf(Status status);

/// One class, or one member of it.
struct Line {
    /// Apple's class name, or "-" for types and functions that belong to none.
    std::string owner;
    /// Selector, property, type or function; empty for the class itself.
    std::string member;
    Status status = Status::Absent;
    /// "unit.PoolingKernel.AgreesWithPyTorch": folder, suite and name.
    std::vector<std::string> tests;
    /// Why a line is partial or refused; a remark on an absent one.
    std::string reason;
    /// "tests/coverage/core.tsv:12".
    std::string place;

    bool isClass() const { return member.empty(); }
    /// How messages call the line.
    std::string name() const;
};

struct Family {
    std::string name;
    std::vector<Line> lines;
};

/// Reads every .tsv of a folder, in the order of their names. `shown` is how places call the folder. Throws
/// MTL::Error that names file and line for what is no ledger: columns, statuses, tests or reasons that are
/// missing or too many, members without their class, lines that are there twice.
std::vector<Family> readLedger(const std::filesystem::path& folder, const std::string& shown);

/// The names that test programs answer to --gtest_list_tests.
class TestRegistry {
public:
    /// Asks every program tests_<folder> of a build folder. Throws MTL::Error when there is none or one
    /// fails.
    static TestRegistry ask(const std::filesystem::path& folder);
    /// Adds what one program printed.
    void add(const std::string& program, const std::string& listing);
    /// A test of a parameterised or typed suite exists under its own name and, with /parameter behind it, as
    /// each instance.
    bool has(const std::string& test) const { return names_.contains(test); }
    std::size_t size() const { return names_.size(); }

private:
    std::set<std::string> names_;
};

/// What the public headers declare and say.
class HeaderIndex {
public:
    /// Reads every .hpp below a folder. Throws MTL::Error when there is none.
    static HeaderIndex read(const std::filesystem::path& folder);
    void add(const std::string& text);

    /// Why the line cannot be done: the class is not declared or not named, no doc comment of it, of its
    /// bases or of what derives from it carries the selector, or none of them has the property. Empty when
    /// all is there.
    std::string missing(const Line& line) const;

private:
    struct Class {
        std::vector<std::string> bases;
        /// Words of the declaration.
        std::set<std::string> words;
        /// Selectors of the doc comments; * stands for what an ellipsis left out.
        std::set<std::string> selectors;
    };

    std::vector<const Class*> relatives(const std::string& name) const;

    std::map<std::string, Class> classes_;
    std::set<std::string> words_, apples_;
};

/// A line with what counts.
struct Verdict {
    const Line* line = nullptr;
    Status status = Status::Absent;
    /// The reason shown with it.
    std::string reason;
};

struct Counts {
    std::size_t of[kStatusCount] = {};
    std::size_t total() const { return of[0] + of[1] + of[2] + of[3]; }
    std::size_t& operator[](Status status) { return of[static_cast<std::size_t>(status)]; }
    std::size_t operator[](Status status) const { return of[static_cast<std::size_t>(status)]; }
    void add(const Counts& other);
};

struct FamilyReport {
    std::string name;
    std::vector<Verdict> verdicts;
    Counts classes, members;
};

struct Report {
    std::vector<FamilyReport> families;
    /// One sentence each, with its place.
    std::vector<std::string> errors;
};

/// Holds every line against tests and headers. What does not stand is an error and counts as absent; a class
/// that is done with absent members is an error and counts as partial. The report points into `families`.
Report judge(const std::vector<Family>& families, const TestRegistry& tests, const HeaderIndex& headers);

/// docs/coverage.md.
std::string page(const Report& report);
/// Counts by family.
std::string json(const Report& report);

}  // namespace pewter::coverage
