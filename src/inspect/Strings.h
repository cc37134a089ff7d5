#pragma once

#include <MPS/NNGraph.hpp>
#include <cstddef>
#include <string>
#include <string_view>

namespace pewter::inspect {

/// "0 B", "512 B", "26.0 MiB": three digits, powers of 1024.
std::string humanBytes(std::size_t bytes);
/// "27,222,016".
std::string grouped(std::size_t number);
/// peak / bound with three decimals; "-" without a bound.
std::string ratioOf(std::size_t peak, std::size_t bound);
/// "28x28x32 float32", " x 40" for more than one image; "-" for an image that was not made.
std::string shapeOf(const MPS::NNGraphReport::Image& image);

/// Valid UTF-8 that XML allows: what is not becomes U+FFFD.
std::string clean(std::string_view text);
/// clean(), with & < > " ' as entities.
std::string escapeXml(std::string_view text);
/// Inside a string in quotation marks of Graphviz.
std::string escapeDot(std::string_view text);
/// At most `characters` code points of clean(text); the last one is an ellipsis when something is left out.
std::string shorten(std::string_view text, std::size_t characters);
/// Code points of clean(text).
std::size_t lengthOf(std::string_view text);
/// About how wide clean(text) is in letters of that size, rather too wide than too narrow.
double widthOf(std::string_view text, double size);
/// clean(text), or as much of it as fits with an ellipsis, at least one character.
std::string shortenTo(std::string_view text, double width, double size);

/// What stands in quotes in "CNNConvolution 'conv1'", or everything where nothing does.
std::string_view ownName(std::string_view label);
/// "3 CNNConvolution 'conv1'", "-" for npos.
std::string stepName(const MPS::NNGraphReport& report, std::size_t step);

}  // namespace pewter::inspect
