#include <fmt/format.h>

#include <Pewter/Inspect.hpp>
#include <iterator>

#include "inspect/Layout.h"
#include "inspect/Roles.h"
#include "inspect/Strings.h"

namespace pewter::inspect {

using MPS::NNGraphReport;

namespace {

constexpr std::size_t npos = NNGraphReport::npos;

class Graphviz {
public:
    Graphviz(const NNGraphReport& report, const Subject& subject)
        : report_(report), subject_(subject), roles_(report), readers_(report) {}

    std::string write() {
        print("digraph \"{0}\" {{\n"
              "  graph [label=\"{0}, batch {1}, device {2}: peak {3}, lower bound {4}\", labelloc=t, "
              "fontname=\"Helvetica\"];\n"
              "  node [shape=box, style=\"rounded,filled\", fontname=\"Helvetica\", fontsize=11];\n"
              "  edge [fontname=\"Helvetica\", fontsize=10];\n",
              escapeDot(subject_.network), subject_.batch, escapeDot(subject_.device), humanBytes(report_.peakBytes),
              humanBytes(report_.lowerBoundBytes));
        for (std::size_t i = 0; i < report_.steps.size(); ++i) writeStep(i);
        for (std::size_t i = 0; i < report_.images.size(); ++i) writeImage(i);
        for (std::size_t i = 0; i < report_.states.size(); ++i) writeState(i);
        writeRows();
        out_ += "}\n";
        return std::move(out_);
    }

private:
    template <class... Args>
    void print(fmt::format_string<Args...> format, Args&&... args) {
        fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
    }

    void writeStep(std::size_t index) {
        const auto& step = report_.steps[index];
        const bool again = step.recomputes != npos;
        print("  k{} [label=\"{} {}\\n{}{}{}\", fillcolor=\"{}\"{}];\n", index, index, escapeDot(ownName(step.label)),
              escapeDot(step.className), step.updatesWeights ? "\\nupdates weights" : "",
              again ? fmt::format("\\nruns {} again", step.recomputes) : "",
              again                    ? "#ffffff"
              : roles_.backward[index] ? "#fcdcc4"
                                       : "#cfe3f8",
              step.updatesWeights ? ", color=\"#0b6e43\", penwidth=2" : "");
    }

    /// Where edges of a slot start: at its writer, or at an ellipse of its own for an input.
    template <class Slot>
    std::string originOf(const Slot& slot, char letter, std::size_t index) {
        if (slot.firstWriter < report_.steps.size()) return fmt::format("k{}", slot.firstWriter);
        print("  {}{} [label=\"{}\", shape=ellipse, style=solid];\n", letter, index, escapeDot(slot.label));
        return fmt::format("{}{}", letter, index);
    }

    void writeImage(std::size_t index) {
        const auto& image = report_.images[index];
        const auto origin = originOf(image, 'i', index);
        const auto label = fmt::format("{}\\n{}", escapeDot(shapeOf(image)), humanBytes(image.bytes));
        for (const std::size_t reader : readers_.images[index])
            writeEdge(origin, image.firstWriter, readers_.images[index].front(), reader, label,
                      roles_.gradientImage[index] ? "color=\"#b34700\"" : "color=\"#1f66b0\"");
        // A result that no kernel reads would not show.
        if (readers_.images[index].empty() && (image.result || image.exported))
            print("  out{1} [label=\"{2}\", shape=ellipse, style=solid];\n  {0} -> out{1} [label=\"{3}\"];\n", origin,
                  index, escapeDot(image.label), label);
    }

    void writeState(std::size_t index) {
        const auto& state = report_.states[index];
        const auto origin = originOf(state, 's', index);
        for (const std::size_t reader : readers_.states[index])
            if (reader != state.firstWriter)
                writeEdge(origin, state.firstWriter, readers_.states[index].front(), reader, humanBytes(state.bytes),
                          "style=dashed, color=\"#6f3fb5\", fontcolor=\"#6f3fb5\"");
    }

    /// Forward kernels go down and backward kernels up beside them: edges between backward kernels are ranked the other
    /// way round, and those from one side to the other not at all, which also spares dot minutes on long graphs.
    /// An input is on the side of its first reader.
    void writeEdge(const std::string& origin, std::size_t writer, std::size_t firstReader, std::size_t reader,
                   const std::string& label, const char* style) {
        const bool fromBackward = roles_.backward[writer < report_.steps.size() ? writer : firstReader];
        const bool toBackward = roles_.backward[reader];
        if (fromBackward && toBackward)
            print("  k{} -> {} [dir=back, label=\"{}\", {}];\n", reader, origin, label, style);
        else
            print("  {} -> k{} [label=\"{}\", {}{}];\n", origin, reader, label, style,
                  fromBackward == toBackward ? "" : ", constraint=false");
    }

    /// Kernels that stand beside each other on the page do so here.
    void writeRows() {
        const Layout layout(report_, roles_);
        std::vector<std::vector<std::size_t>> rows(layout.rows);
        for (const auto& box : layout.boxes)
            if (box.what == Layout::Box::What::Step) rows[box.row].push_back(box.index);
        for (const auto& row : rows)
            if (row.size() == 2) print("  {{ rank=same; k{}; k{}; }}\n", row[0], row[1]);
    }

    const NNGraphReport& report_;
    const Subject& subject_;
    Roles roles_;
    Readers readers_;
    std::string out_;
};

}  // namespace

std::string dot(const NNGraphReport& report, const Subject& subject) { return Graphviz(report, subject).write(); }

}  // namespace pewter::inspect
