#include "inspect/Strings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace pewter::inspect {

using MPS::NNGraphReport;

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD", kEllipsis = "\xE2\x80\xA6";

/// Length of the valid UTF-8 character at the front that XML allows; 0 when there is none.
std::size_t characterAt(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned first = byte(0);
    if (first < 0x80) return first >= 0x20 || first == '\t' || first == '\n' || first == '\r' ? 1 : 0;
    const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC2 ? 2 : 0;
    if (length == 0 || first > 0xF4 || text.size() < length) return 0;
    unsigned code = first & (0xFFu >> (length + 1));
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xC0) != 0x80) return 0;
        code = code << 6 | (byte(i) & 0x3Fu);
    }
    constexpr std::array<unsigned, 5> kSmallest{0, 0, 0x80, 0x800, 0x10000};
    const bool surrogate = code >= 0xD800 && code <= 0xDFFF, noCharacter = code == 0xFFFE || code == 0xFFFF;
    return code < kSmallest[length] || code > 0x10FFFF || surrogate || noCharacter ? 0 : length;
}

/// Calls fn with each character, the replacement for what is none.
void forCharacters(std::string_view text, auto fn) {
    while (!text.empty()) {
        const std::size_t length = characterAt(text);
        fn(length ? text.substr(0, length) : kReplacement);
        text.remove_prefix(length ? length : 1);
    }
}

/// Of a character in a wide sans serif, in letter sizes.
double widthOfCharacter(std::string_view character) {
    if (character.size() > 1) return 1;
    const char c = character[0];
    if (std::string_view("ijl.,:;|!'()[] ").find(c) != std::string_view::npos) return 0.42;
    if (std::string_view("mwMW@%").find(c) != std::string_view::npos) return 1;
    return c >= 'A' && c <= 'Z' ? 0.76 : 0.64;
}

}  // namespace

std::string humanBytes(std::size_t bytes) {
    if (bytes < 1024) return fmt::format("{} B", bytes);
    double value = static_cast<double>(bytes);
    constexpr std::array<const char*, 6> kUnits{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    std::size_t unit = 0;
    // 1023.9 KiB would be printed as 1024.
    for (value /= 1024; value >= 999.5 && unit + 1 < kUnits.size(); value /= 1024) ++unit;
    return fmt::format("{:.{}f} {}", value, value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2, kUnits[unit]);
}

std::string grouped(std::size_t number) {
    std::string text = std::to_string(number);
    for (std::size_t i = text.size(); i > 3; i -= 3) text.insert(i - 3, 1, ',');
    return text;
}

std::string ratioOf(std::size_t peak, std::size_t bound) {
    return bound == 0 ? "-" : fmt::format("{:.3f}", static_cast<double>(peak) / static_cast<double>(bound));
}

std::string shapeOf(const NNGraphReport::Image& image) {
    if (image.count == 0) return "-";
    auto text = fmt::format("{}x{}x{} {}", image.width, image.height, image.featureChannels, image.format);
    if (image.count > 1) text += fmt::format(" x {}", image.count);
    return text;
}

std::string clean(std::string_view text) {
    std::string out;
    forCharacters(text, [&](std::string_view character) { out += character; });
    return out;
}

std::string escapeXml(std::string_view text) {
    std::string out;
    forCharacters(text, [&](std::string_view character) {
        switch (character[0]) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '"': out += "&quot;"; break;
            case '\'': out += "&#39;"; break;
            default: out += character;
        }
    });
    return out;
}

std::string escapeDot(std::string_view text) {
    std::string out;
    forCharacters(text, [&](std::string_view character) {
        if (character[0] == '"' || character[0] == '\\') out += '\\';
        if (character[0] == '\n')
            out += "\\n";
        else if (character[0] != '\r')
            out += character;
    });
    return out;
}

std::string shorten(std::string_view text, std::size_t characters) {
    if (lengthOf(text) <= characters) return clean(text);
    std::string out;
    std::size_t count = 1;
    forCharacters(text, [&](std::string_view character) {
        if (count++ < characters) out += character;
    });
    return out += kEllipsis;
}

std::size_t lengthOf(std::string_view text) {
    std::size_t count = 0;
    forCharacters(text, [&](std::string_view) { ++count; });
    return count;
}

double widthOf(std::string_view text, double size) {
    double width = 0;
    forCharacters(text, [&](std::string_view character) { width += widthOfCharacter(character) * size; });
    return width;
}

std::string shortenTo(std::string_view text, double width, double size) {
    if (widthOf(text, size) <= width) return clean(text);
    std::size_t characters = 1;
    double used = size;  // the ellipsis
    bool fits = true;
    forCharacters(text, [&](std::string_view character) {
        used += widthOfCharacter(character) * size;
        fits = fits && used <= width;
        characters += fits;
    });
    return shorten(text, std::max<std::size_t>(characters, 2));
}

std::string_view ownName(std::string_view label) {
    const auto open = label.find('\'');
    if (open == std::string_view::npos || label.back() != '\'' || open + 2 >= label.size()) return label;
    return label.substr(open + 1, label.size() - open - 2);
}

std::string stepName(const NNGraphReport& report, std::size_t step) {
    return step >= report.steps.size() ? "-" : fmt::format("{} {}", step, report.steps[step].label);
}

}  // namespace pewter::inspect
