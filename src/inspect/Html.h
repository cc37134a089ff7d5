#pragma once

#include <MPS/NNGraph.hpp>
#include <string>

#include "inspect/Roles.h"

namespace pewter::inspect {

/// Width of the drawings in pixels: they fill a window of 1280.
inline constexpr double kPageWidth = 1232;

// Parts of the page. Elements that show a step, an image or a state name it in data-m ("k3", "i5", "s2"), and all that
// have to do with it in data-k, which the script uses to show what belongs together.

std::string graphSvg(const MPS::NNGraphReport& report, const Roles& roles);
std::string memorySvg(const MPS::NNGraphReport& report, const Roles& roles);
std::string slotTables(const MPS::NNGraphReport& report, const Roles& roles);
/// The class of an element that shows a kind of memory.
const char* classOf(Kind kind);

extern const char* const kPageStyle;
extern const char* const kPageScript;

/// A label of a step or slot for small places: what stands in quotes, shortened and escaped.
std::string shortName(const std::string& label, double width, double size);

}  // namespace pewter::inspect
