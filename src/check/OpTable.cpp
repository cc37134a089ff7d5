#include <fmt/format.h>

#include <MTL/Error.hpp>
#include <Pewter/check/OpTable.hpp>
#include <set>

namespace pewter::check {

namespace {

void checkCases(const OpRow& row, const std::vector<OpCase>& cases) {
    std::set<std::string> names;
    for (const auto& op : cases) {
        if (op.name.empty() || !names.insert(op.name).second)
            throw MTL::Error("op table: " + row.family, "cases", "a name of its own for each",
                             fmt::format("\"{}\"", op.name));
        if (!op.run || op.operands.empty())
            throw MTL::Error(fmt::format("op table: {}: {}", row.family, op.name), "case",
                             "operands and a function that runs it", op.run ? "no operands" : "no function");
    }
}

}  // namespace

void OpTable::add(OpRow row) {
    if (row.family.empty()) throw MTL::Error("op table", "family", "a name", "none");
    for (const auto& other : rows_)
        if (other.family == row.family)
            throw MTL::Error("op table", "family", "one that the table does not have", row.family);
    checkCases(row, row.cases);
    checkCases(row, row.large);
    rows_.push_back(std::move(row));
}

const OpRow& OpTable::row(const std::string& family) const {
    std::string names;
    for (const auto& row : rows_) {
        if (row.family == family) return row;
        names += (names.empty() ? "" : ", ") + row.family;
    }
    throw MTL::Error("op table", "family", "one of " + names, fmt::format("\"{}\"", family));
}

}  // namespace pewter::check
