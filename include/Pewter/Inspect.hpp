#pragma once

#include <cstddef>
#include <string>

#include <MPS/NNGraph.hpp>

/// A graph's memory report in forms that people and programs read.
namespace pewter::inspect {

/// What a report is about; for headings only.
struct Subject {
    std::string network, device;
    std::size_t batch = 0;
};

/// Tables of steps, images and states, then totals.
PEWTER_API std::string text(const MPS::NNGraphReport& report, const Subject& subject);

/// One JSON object, ending in a line break. Bytes are numbers, npos is null, invalid UTF-8 becomes U+FFFD.
PEWTER_API std::string json(const MPS::NNGraphReport& report, const Subject& subject);

/// Graphviz: a box for each kernel, an ellipse for each input, image edges with sizes, dashed edges for states.
PEWTER_API std::string dot(const MPS::NNGraphReport& report, const Subject& subject);

/// One page of HTML that is well-formed XML too, needs nothing but itself, and reads without its script: the graph, the
/// memory over the steps, the tables.
PEWTER_API std::string html(const MPS::NNGraphReport& report, const Subject& subject);

}  // namespace pewter::inspect
