#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>

#include "inspect/Html.h"
#include "inspect/Layout.h"
#include "inspect/Strings.h"

namespace pewter::inspect {

using MPS::NNGraphReport;

namespace {

constexpr std::size_t npos = NNGraphReport::npos;
using Box = Layout::Box;
using Edge = Layout::Edge;

constexpr double kGutter = 76, kBoxWidth = 400, kBoxHeight = 38, kPitch = 52, kTop = 40;
// Heights inside a box at which edges start and end: images leave low and arrive high, in the direction of their column.
constexpr double kHigh = 8, kMiddle = 20, kLow = 31;
constexpr double kBold = 12.8, kPlain = 11, kBadge = 10;  // letters; bold ones are wider

/// Draws a layout; y grows downwards.
class Drawing {
public:
    Drawing(const NNGraphReport& report, const Roles& roles, const Layout& layout)
        : report_(report), roles_(roles), layout_(layout) {}

    std::string draw() {
        const double height = kTop + static_cast<double>(layout_.rows) * kPitch + 4;
        print("<svg class=\"graph\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"The graph\">\n<defs>\n", kPageWidth,
              height);
        for (const Kind kind : {Kind::Image, Kind::Gradient, Kind::State})
            print("<marker id=\"to-{0}\" class=\"{0}\" viewBox=\"0 0 8 8\" refX=\"7.5\" refY=\"4\" markerWidth=\"7\" "
                  "markerHeight=\"7\" orient=\"auto-start-reverse\"><path d=\"M0 .5 8 4 0 7.5z\"/></marker>\n",
                  classOf(kind));
        print("</defs>\n");
        const double middle = left(0) + width() / 2;
        print("<text class=\"head\" x=\"{}\" y=\"22\">{}</text>\n", middle,
              layout_.hasBackward ? "Forward, downwards" : "Kernels, downwards");
        if (layout_.hasBackward)
            print("<text class=\"head\" x=\"{}\" y=\"22\">Backward, upwards</text>\n", left(1) + width() / 2);
        for (const auto& edge : layout_.edges) drawEdge(edge);
        for (const auto& box : layout_.boxes) drawBox(box);
        drawStateSizes();
        out_ += "</svg>\n";
        return std::move(out_);
    }

private:
    template <class... Args>
    void print(fmt::format_string<Args...> format, Args&&... args) {
        fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
    }

    double width() const { return layout_.hasBackward ? kBoxWidth : 560; }
    double left(std::size_t column) const {
        if (!layout_.hasBackward) return (kPageWidth - width()) / 2;
        return column == 0 ? kGutter : kPageWidth - kGutter - kBoxWidth;
    }
    static double top(const Box& box) { return kTop + static_cast<double>(box.row) * kPitch; }

    static std::string tokenOf(const Box& box) {
        return fmt::format("{}{}", box.what == Box::What::Step ? 'k' : box.what == Box::What::Image ? 'i' : 's',
                           box.index);
    }

    void drawEdge(const Edge& edge) {
        const auto &from = layout_.boxes[edge.from], &to = layout_.boxes[edge.to];
        const bool state = edge.kind == Kind::State, isUp = from.column == 1;
        const double y0 = top(from), y1 = top(to);
        std::string path;
        if (edge.route == Edge::Route::Next) {
            const double x = left(from.column) + width() / 2 + (state ? 24 : 0);
            path = isUp ? fmt::format("M{} {}V{}", x, y0, y1 + kBoxHeight)
                        : fmt::format("M{} {}V{}", x, y0 + kBoxHeight, y1);
        } else if (edge.route == Edge::Route::Lane) {
            const double side = from.column == 0 ? -1 : 1;
            const double edgeX = left(from.column) + (side > 0 ? width() : 0);
            const double room = layout_.hasBackward ? kGutter - 18 : left(0) - 18;
            const double spacing = std::min(11.0, room / static_cast<double>(std::max<std::size_t>(
                                                             layout_.lanes[from.column], 1)));
            const double x = edgeX + side * (14 + static_cast<double>(edge.lane) * spacing);
            const double start = y0 + (isUp ? kHigh : kLow), end = y1 + (isUp ? kLow : kHigh);
            const double turn = end > start ? 5 : -5;
            path = fmt::format("M{0} {1}H{2}Q{3} {1} {3} {4}V{5}Q{3} {6} {2} {6}H{0}", edgeX, start, x - side * 5, x,
                               start + turn, end - turn, end);
        } else {
            const bool rightwards = to.column > from.column;
            const double x0 = left(from.column) + (rightwards ? width() : 0);
            const double x1 = left(to.column) + (rightwards ? 0 : width());
            const double start = y0 + (state || from.what != Box::What::Step ? kMiddle : kLow);
            const double end = y1 + (state ? kMiddle : y1 < y0 ? kLow : kHigh);
            // States leave level: their sizes stand there.
            const double level = x0 + (state && from.what == Box::What::Step ? (rightwards ? 84 : -84) : 0);
            path = start == end ? fmt::format("M{} {}H{}", x0, start, x1)
                                : fmt::format("M{} {}H{}C{} {} {} {} {} {}", x0, start, level, level + (x1 - level) * .55,
                                              start, x1 - (x1 - level) * .45, end, x1, end);
        }
        const char token = state ? 's' : 'i';
        const auto& label = state ? report_.states[edge.slot].label : report_.images[edge.slot].label;
        const std::size_t bytes = state ? report_.states[edge.slot].bytes : report_.images[edge.slot].bytes;
        print("<path class=\"edge {0}\" marker-end=\"url(#to-{0})\" data-m=\"{1}{2}\" data-k=\"{1}{2} {3} {4}\" "
              "d=\"{5}\"><title>{6}: {7}, {8}</title></path>\n",
              classOf(edge.kind), token, edge.slot, tokenOf(from), tokenOf(to), path, nameOf(edge.kind),
              escapeXml(label), humanBytes(bytes));
    }

    void drawBox(const Box& box) {
        if (box.what == Box::What::Step)
            drawStep(box);
        else if (box.what == Box::What::Image)
            drawInput(box, report_.images[box.index].label, "input image", shapeOf(report_.images[box.index]),
                      report_.images[box.index].bytes);
        else
            drawInput(box, report_.states[box.index].label, report_.states[box.index].className,
                      fmt::format("{} state{}", report_.states[box.index].count,
                                  report_.states[box.index].count == 1 ? "" : "s"),
                      report_.states[box.index].bytes);
    }

    /// Two lines: name and bytes, class and shape.
    void drawLines(const Box& box, const std::string& name, const std::string& bytes, const std::string& badge,
                   const std::string& kind, const std::string& shape) {
        const double x = left(box.column) + 9, end = left(box.column) + width() - 9, y = top(box);
        const double badgeWidth = badge.empty() ? 0 : widthOf(badge, kBadge) + 12;
        const double bytesWidth = widthOf(bytes, 12) + 8;
        print("<text class=\"name\" x=\"{}\" y=\"{}\">{}</text>\n", x, y + 16,
              shortName(name, end - x - bytesWidth - badgeWidth, kBold));
        if (!badge.empty()) {
            const double badgeX = end - bytesWidth - badgeWidth + 4;
            print("<rect class=\"badge\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"14\" rx=\"7\"/><text class=\"badge\" "
                  "x=\"{}\" y=\"{}\">{}</text>\n",
                  badgeX, y + 5, badgeWidth - 6, badgeX + (badgeWidth - 6) / 2, y + 15.5, badge);
        }
        print("<text class=\"end\" x=\"{}\" y=\"{}\">{}</text>\n", end, y + 16, bytes);
        print("<text class=\"soft\" x=\"{}\" y=\"{}\">{}</text>\n", x, y + 31,
              shortName(kind, end - x - widthOf(shape, kPlain) - 8, kPlain));
        print("<text class=\"end soft\" x=\"{}\" y=\"{}\">{}</text>\n</g>\n", end, y + 31, escapeXml(shape));
    }

    void drawStep(const Box& box) {
        const auto& step = report_.steps[box.index];
        const bool again = step.recomputes != npos;
        std::string keys = fmt::format("k{}", box.index), made = "no image", shape = made;
        std::string title = fmt::format("step {}: {}", box.index, escapeXml(step.label)), bytes;
        if (step.resultImage < report_.images.size()) {
            const auto& image = report_.images[step.resultImage];
            keys += fmt::format(" i{}", step.resultImage);
            shape = shapeOf(image);
            bytes = humanBytes(image.bytes);
            title += fmt::format("\nwrites {}: {}, {}", escapeXml(image.label), escapeXml(shape), bytes);
        }
        for (std::size_t i = 0; i < report_.states.size(); ++i) {
            if (report_.states[i].firstWriter != box.index) continue;
            keys += fmt::format(" s{}", i);
            title += fmt::format("\nkeeps {}: {}", escapeXml(report_.states[i].label),
                                 humanBytes(report_.states[i].bytes));
        }
        for (const std::size_t image : step.sourceImages) keys += fmt::format(" i{}", image);
        for (const std::size_t state : step.sourceStates) keys += fmt::format(" s{}", state);
        if (step.updatesWeights) title += "\nupdates weights";
        if (again) title += fmt::format("\nruns step {} again", step.recomputes);
        title += fmt::format("\nup to {} alive", humanBytes(liveAt(step)));
        print("<g class=\"box{}{}\" id=\"step-{}\" data-m=\"k{}\" data-k=\"{}\"><title>{}</title>\n"
              "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"5\"/>\n",
              again ? " again" : roles_.backward[box.index] ? " backward" : "", step.updatesWeights ? " updates" : "",
              box.index, box.index, keys, title, left(box.column), top(box), width(), kBoxHeight);
        drawLines(box, fmt::format("{} {}", box.index, ownName(step.label)), bytes,
                  again                 ? fmt::format("again {}", step.recomputes)
                  : step.updatesWeights ? "weights"
                                        : "",
                  step.className, shape);
    }

    void drawInput(const Box& box, const std::string& label, const std::string& kind, const std::string& shape,
                   std::size_t bytes) {
        const auto token = tokenOf(box);
        print("<g class=\"box input\" data-m=\"{}\" data-k=\"{}\"><title>{}: {}, {}, {}</title>\n<rect x=\"{}\" y=\"{}\" "
              "width=\"{}\" height=\"{}\" rx=\"19\"/>\n",
              token, token, escapeXml(kind), escapeXml(label), escapeXml(shape), humanBytes(bytes), left(box.column),
              top(box), width(), kBoxHeight);
        drawLines(box, label, bytes == 0 ? "" : humanBytes(bytes), "", kind, shape);
    }

    /// Beside each box whose states leave it through the middle.
    void drawStateSizes() {
        std::map<std::size_t, std::vector<std::size_t>> statesOf;
        for (const auto& edge : layout_.edges) {
            auto& states = statesOf[edge.from];
            if (edge.kind == Kind::State && edge.route == Edge::Route::Across &&
                layout_.boxes[edge.from].what == Box::What::Step &&
                std::find(states.begin(), states.end(), edge.slot) == states.end())
                states.push_back(edge.slot);
        }
        for (const auto& [index, states] : statesOf) {
            if (states.empty()) continue;
            const auto& box = layout_.boxes[index];
            std::size_t bytes = 0;
            for (const std::size_t state : states) bytes += report_.states[state].bytes;
            const bool isLeft = box.column == 0;
            print("<text class=\"size{}\" x=\"{}\" y=\"{}\" data-k=\"s{}\">{} {}</text>\n", isLeft ? "" : " end",
                  isLeft ? left(0) + width() + 10 : left(1) - 10, top(box) + kMiddle - 4, states.front(),
                  states.size() == 1 ? "state" : fmt::format("{} states", states.size()),
                  bytes == 0 ? "" : humanBytes(bytes));
        }
    }

    const NNGraphReport& report_;
    const Roles& roles_;
    const Layout& layout_;
    std::string out_;
};

}  // namespace

std::string graphSvg(const NNGraphReport& report, const Roles& roles) {
    return Drawing(report, roles, Layout(report, roles)).draw();
}

}  // namespace pewter::inspect
