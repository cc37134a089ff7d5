#pragma once

#include <string>

namespace pewter::mtl {

/// The label of the command that this thread is handing to a stream: whose operation a backend is asked for. Empty between
/// commands.
const std::string& runningCommand();

}  // namespace pewter::mtl
