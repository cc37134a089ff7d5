#pragma once

#include <string>

namespace pewter::mtl {

/// Hands a message to the user's handler, or writes it to stderr as one line.
void diagnose(const std::string& message);

}  // namespace pewter::mtl
