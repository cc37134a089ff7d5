#pragma once

#include <stdexcept>
#include <string>

#include <MTL/Export.hpp>

namespace MTL {

/// The one exception type of the library: a mistake found while an object is made or a command is encoded.
///
/// what() is one sentence that names the object (usually a kernel's label), the argument, what was expected and what
/// came. Nothing has been encoded when it is thrown, and every object involved stays usable.
class PEWTER_API Error : public std::runtime_error {
public:
    /// An error whose sentence is already complete.
    explicit Error(const std::string& sentence);

    /// "<subject>: <argument>: expected <expected>, found <found>."
    Error(const std::string& subject, const std::string& argument, const std::string& expected,
          const std::string& found);

    ~Error() override;

    /// Label of the kernel or object that refused; empty when the sentence was given whole.
    const std::string& subject() const noexcept { return subject_; }
    /// Name of the argument or property at fault.
    const std::string& argument() const noexcept { return argument_; }
    /// What would have been accepted.
    const std::string& expected() const noexcept { return expected_; }
    /// What came instead.
    const std::string& found() const noexcept { return found_; }

private:
    std::string subject_, argument_, expected_, found_;
};

}  // namespace MTL

namespace MPS {
/// MPS throws the same type as MTL, so that one catch clause serves a whole program.
using Error = MTL::Error;
}  // namespace MPS
