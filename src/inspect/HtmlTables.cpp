#include <fmt/format.h>

#include <iterator>

#include "inspect/Html.h"
#include "inspect/Strings.h"

namespace pewter::inspect {

using MPS::NNGraphReport;

namespace {

constexpr std::size_t npos = NNGraphReport::npos;

std::string stepCell(const NNGraphReport& report, std::size_t step, const char* without) {
    if (step >= report.steps.size()) return fmt::format("<td class=\"soft\">{}</td>", without);
    return fmt::format("<td>{} {}</td>", step, escapeXml(ownName(report.steps[step].label)));
}

/// Where a slot's memory is; owner: the image whose memory it took over.
template <class Slot>
std::string offsetCell(const Slot& slot, std::size_t owner) {
    if (owner != npos) return fmt::format("<td class=\"number soft\">in place of {}</td>", owner);
    if (slot.offset != npos) return fmt::format("<td class=\"number\">{}</td>", grouped(slot.offset));
    const char* why = slot.source             ? "the caller's"
                      : slot.bytes == 0       ? "-"
                      : !slot.temporary       ? "its own"
                                              : "-";
    return fmt::format("<td class=\"number soft\">{}</td>", why);
}

template <class Slot>
std::string leaves(const Slot& slot) {
    if constexpr (requires { slot.result; })
        if (slot.result) return "the caller";
    return slot.exported ? "the caller" : "nobody";
}

}  // namespace

std::string slotTables(const NNGraphReport& report, const Roles& roles) {
    std::string out;
    const auto print = [&](fmt::string_view format, const auto&... args) {
        fmt::vformat_to(std::back_inserter(out), format, fmt::make_format_args(args...));
    };
    const auto owners = memoryOwners(report);
    const auto open = [&](const char* heading, std::size_t count, const char* what, const char* shape) {
        print("<h2>{} <span class=\"soft\">{}</span></h2>\n<div class=\"wide\"><table>\n<thead><tr><th class=\"number\">#</th>"
              "<th>Label</th><th>{}</th><th>{}</th><th class=\"number\">Bytes</th><th>First writer</th>"
              "<th>Last reader</th><th class=\"number\">Reads</th><th class=\"number\">Offset</th></tr></thead>\n<tbody>\n",
              heading, count, what, shape);
    };
    const auto row = [&](char token, std::size_t index, Kind kind, const std::string& label, const std::string& what,
                         const std::string& shape, const auto& slot, std::size_t owner) {
        print("<tr data-m=\"{0}{1}\" data-k=\"{0}{1}\"><td class=\"number\">{1}</td><td><i class=\"dot {2}\"></i>{3}</td>"
              "<td>{4}</td><td>{5}</td><td class=\"number\" title=\"{6}\">{7}</td>{8}{9}<td class=\"number\">{10}</td>"
              "{11}</tr>\n",
              token, index, classOf(kind), escapeXml(label), escapeXml(what), escapeXml(shape), humanBytes(slot.bytes),
              grouped(slot.bytes), stepCell(report, slot.firstWriter, "the caller"),
              stepCell(report, slot.lastReader, leaves(slot).c_str()), slot.readCount, offsetCell(slot, owner));
    };
    open("Images", report.images.size(), "Kind", "Shape");
    for (std::size_t i = 0; i < report.images.size(); ++i) {
        const auto& image = report.images[i];
        const auto kind = roles.gradientImage[i] ? Kind::Gradient : Kind::Image;
        std::string what = image.source ? "input" : nameOf(kind);
        if (image.result) what += ", result";
        if (image.exported) what += ", exported";
        row('i', i, kind, image.label, what, shapeOf(image), image, owners[i]);
    }
    out += "</tbody></table></div>\n";
    open("States", report.states.size(), "Class", "States");
    for (std::size_t i = 0; i < report.states.size(); ++i) {
        const auto& state = report.states[i];
        row('s', i, Kind::State, state.label, state.className + (state.exported ? ", exported" : ""),
            fmt::format("{}", state.count), state, npos);
    }
    return out + "</tbody></table></div>\n";
}

}  // namespace pewter::inspect
