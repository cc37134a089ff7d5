#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "inspect/Html.h"
#include "inspect/MemoryMap.h"
#include "inspect/Strings.h"

namespace pewter::inspect {

using MPS::NNGraphReport;

namespace {

constexpr std::size_t npos = NNGraphReport::npos;
constexpr double kLeft = 84, kRight = kPageWidth - 12, kLetters = 11;

/// A plot of steps across and bytes up.
class Plot {
public:
    Plot(const NNGraphReport& report, const Roles& roles, double top, double height, std::size_t extent)
        : report_(report),
          roles_(roles),
          top_(top),
          bottom_(top + height),
          extent_(std::max<std::size_t>(extent, 1)),
          step_((kRight - kLeft) / static_cast<double>(std::max<std::size_t>(report.steps.size(), 1))) {}

    template <class... Args>
    void print(fmt::format_string<Args...> format, Args&&... args) {
        fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
    }
    double x(double step) const { return kLeft + step * step_; }
    double y(double bytes) const { return bottom_ - (bottom_ - top_) * bytes / static_cast<double>(extent_); }
    static std::string number(double value) { return fmt::format("{:.2f}", value); }

    /// Ground, ticks, the sides of a training graph.
    void drawFrame(const char* heading, std::size_t ticks) {
        print("<text class=\"heading\" x=\"{}\" y=\"{}\">{}</text>\n", kLeft, top_ - 24, heading);
        const std::size_t steps = report_.steps.size(), distance = byteTickDistance(extent_, ticks);
        if (roles_.turn < steps)
            print("<rect class=\"ground\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\n",
                  number(x(static_cast<double>(roles_.turn))), top_,
                  number(kRight - x(static_cast<double>(roles_.turn))), bottom_ - top_);
        for (std::size_t bytes = 0; bytes <= extent_; bytes += distance) {
            const double at = y(static_cast<double>(bytes));
            print("<path class=\"grid\" d=\"M{0} {2}H{1}\"/><text class=\"tick end\" x=\"{3}\" y=\"{4}\">{5}</text>\n",
                  kLeft, kRight, number(at), kLeft - 8, number(at + 4), humanBytes(bytes));
        }
        const std::size_t across = tickDistance(steps, 24);
        for (std::size_t i = 0; i < steps; i += across)
            print("<text class=\"tick mid\" x=\"{}\" y=\"{}\">{}</text>\n", number(x(static_cast<double>(i) + .5)),
                  bottom_ + 16, i);
        print("<text class=\"tick mid\" x=\"{}\" y=\"{}\">step</text>\n", number((kLeft + kRight) / 2), bottom_ + 32);
        if (roles_.turn == 0 || roles_.turn >= steps) return;
        const double turn = x(static_cast<double>(roles_.turn));
        // Each where it has the room.
        if (turn - kLeft > 60) print("<text class=\"tick end\" x=\"{}\" y=\"{}\">forward</text>\n", number(turn - 5), top_ - 6);
        if (kRight - turn > 60) print("<text class=\"tick\" x=\"{}\" y=\"{}\">backward</text>\n", number(turn + 5), top_ - 6);
    }

    void drawLines() {
        const auto line = [&](const char* name, std::size_t bytes) {
            print("<path class=\"{}\" d=\"M{} {}H{}\"><title>{}: {} bytes</title></path>\n",
                  name[0] == 'p' ? "peak" : "bound", kLeft, number(y(static_cast<double>(bytes))), kRight, name,
                  grouped(bytes));
        };
        line("peak", report_.peakBytes);
        line("lower bound", report_.lowerBoundBytes);
    }

    void drawBlocks(const std::vector<MapBlock>& blocks) {
        const auto owners = memoryOwners(report_);
        for (const auto& block : blocks) {
            const double left = x(block.from), right = x(block.to), high = y(static_cast<double>(block.offset + block.bytes)),
                         low = y(static_cast<double>(block.offset));
            std::string label = "scratch", later, keys = fmt::format("k{}", block.firstStep), token;
            if (block.image < report_.images.size()) {
                label = report_.images[block.image].label;
                token = fmt::format("i{}", block.image);
                for (std::size_t i = 0; i < owners.size(); ++i)
                    if (owners[i] == block.image) {
                        keys += fmt::format(" i{}", i);
                        later.append("\nthen ").append(report_.images[i].label);
                    }
            } else if (block.state < report_.states.size()) {
                label = report_.states[block.state].label;
                token = fmt::format("s{}", block.state);
            }
            if (!token.empty()) keys += ' ' + token;
            print("<g class=\"block {}\" data-m=\"{}\" data-k=\"{}\"><title>{}: {}{}\n{} bytes ({}) at offset {}\nfrom step {} "
                  "to step {}</title><rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
                  classOf(block.kind), token.empty() ? keys : token, keys, nameOf(block.kind), escapeXml(label), escapeXml(later),
                  grouped(block.bytes), humanBytes(block.bytes), grouped(block.offset),
                  escapeXml(stepName(report_, block.firstStep)), escapeXml(stepName(report_, block.lastStep)), number(left),
                  number(high), number(right - left), number(low - high));
            if (right - left >= 48 && low - high >= 14) {
                const bool two = low - high >= 30 && right - left >= 60;
                const double middle = (low + high) / 2 + (two ? -3 : 4);
                print("<text x=\"{}\" y=\"{}\">{}</text>", number(left + 4), number(middle),
                      shortName(label, right - left - 8, kLetters));
                if (two)
                    print("<text class=\"soft\" x=\"{}\" y=\"{}\">{}</text>", number(left + 4), number(middle + 13),
                          humanBytes(block.bytes));
            }
            print("</g>\n");
        }
    }

    void drawLive() {
        std::string path = fmt::format("M{} {}", kLeft, bottom_);
        for (std::size_t i = 0; i < report_.steps.size(); ++i)
            path += fmt::format("V{}H{}", number(y(static_cast<double>(liveAt(report_.steps[i])))),
                                number(x(static_cast<double>(i) + 1)));
        print("<path class=\"live\" d=\"{}V{}z\"/>\n", path, bottom_);
    }

    /// Columns under the pointer.
    void drawSteps() {
        for (std::size_t i = 0; i < report_.steps.size(); ++i) {
            const auto& step = report_.steps[i];
            print("<rect class=\"column\" data-m=\"k{0}\" data-k=\"k{0}\" x=\"{1}\" y=\"{2}\" width=\"{3}\" "
                  "height=\"{4}\"><title>step {5}\n{6} bytes alive while it is encoded, {7} after it</title></rect>\n",
                  i, number(x(static_cast<double>(i))), top_, number(step_), bottom_ - top_,
                  escapeXml(stepName(report_, i)), grouped(liveAt(step)), grouped(step.liveBytes));
        }
    }

    std::string out;

private:
    const NNGraphReport& report_;
    const Roles& roles_;
    double top_, bottom_;
    std::size_t extent_;
    double step_;
};

}  // namespace

std::string memorySvg(const NNGraphReport& report, const Roles& roles) {
    const auto blocks = mapBlocks(report, roles);
    std::size_t extent = std::max(report.peakBytes, report.lowerBoundBytes);
    for (const auto& block : blocks) extent = std::max(extent, block.offset + block.bytes);
    const bool hasMap = !blocks.empty();
    const double mapTop = 44, mapHeight = 440, liveTop = hasMap ? mapTop + mapHeight + 84 : mapTop, liveHeight = 130;
    std::string out = fmt::format(
        "<svg class=\"memory\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"Temporary memory over the steps\">\n",
        kPageWidth, liveTop + liveHeight + 38);
    if (hasMap) {
        Plot map(report, roles, mapTop, mapHeight, extent);
        map.drawFrame("Place in the heap", 8);
        map.drawBlocks(blocks);
        map.drawLines();
        out += map.out;
    }
    Plot live(report, roles, liveTop, liveHeight, extent);
    live.drawFrame("Bytes alive while each step is encoded", 4);
    live.drawLive();
    live.drawLines();
    live.drawSteps();
    return out + live.out + "</svg>\n";
}

}  // namespace pewter::inspect
