#include <MTL/Error.hpp>

namespace MTL {

Error::Error(const std::string& sentence) : std::runtime_error(sentence) {}

Error::Error(const std::string& subject, const std::string& argument, const std::string& expected,
             const std::string& found)
    : std::runtime_error(subject + ": " + argument + ": expected " + expected + ", found " + found + "."),
      subject_(subject),
      argument_(argument),
      expected_(expected),
      found_(found) {}

Error::~Error() = default;

}  // namespace MTL
