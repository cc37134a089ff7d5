#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <Pewter/check/OpCase.hpp>

namespace pewter::check {

/// A misuse and what is said about it.
struct ErrorCase {
    std::string name;
    /// Must throw MPS::Error and leave nothing encoded.
    std::function<void(const std::shared_ptr<MTL::Device>& device)> misuse;
    /// A part of the sentence.
    std::string says;
};

/// One family of operations: everything that checks, lists and measures it.
struct OpRow {
    std::string family;                ///< as in docs/ops/<family>.md
    std::vector<std::string> classes;  ///< Apple's names
    std::string pytorch;               ///< the twin's call; empty when there is none
    std::vector<OpCase> cases;
    /// Large ones, for measuring.
    std::vector<OpCase> large;
    std::vector<ErrorCase> errors;
};

/// Rows by family. Users add their own to have their kernels checked like the library's.
class PEWTER_API OpTable {
public:
    /// Throws MPS::Error for a second row of a family and for cases without run, operands, or a name of their own.
    void add(OpRow row);
    const std::vector<OpRow>& rows() const { return rows_; }
    /// Throws MPS::Error naming the families there are.
    const OpRow& row(const std::string& family) const;

private:
    std::vector<OpRow> rows_;
};

}  // namespace pewter::check
