#include <fmt/format.h>

#include <Pewter/Inspect.hpp>
#include <algorithm>
#include <iterator>

#include "inspect/Roles.h"
#include "inspect/Strings.h"

namespace pewter::inspect {

using MPS::NNGraphReport;

namespace {

constexpr std::size_t npos = NNGraphReport::npos;

/// "12", "-" for npos.
std::string indexOf(std::size_t index) { return index == npos ? "-" : fmt::format("{}", index); }

class Tables {
public:
    Tables(const NNGraphReport& report, const Subject& subject) : report_(report), subject_(subject) {}

    std::string write() {
        print("{}, batch {}: {} steps\n\n", subject_.network, subject_.batch, report_.steps.size());
        writeSteps();
        writeImages();
        writeStates();
        writeTotals();
        return std::move(out_);
    }

private:
    template <class... Args>
    void print(fmt::format_string<Args...> format, Args&&... args) {
        fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
    }

    void writeSteps() {
        const std::size_t width = labelWidth(report_.steps);
        print("{:>4}  {:<{}} {:<24} {:>12} {:>12}\n", "step", "kernel", width, "result", "bytes", "live");
        for (std::size_t i = 0; i < report_.steps.size(); ++i) {
            const auto& step = report_.steps[i];
            std::string shape = "-";
            std::size_t bytes = 0;
            if (step.resultImage < report_.images.size()) {
                const auto& image = report_.images[step.resultImage];
                shape = fmt::format("{}x{}x{} {}", image.width, image.height, image.featureChannels, image.format);
                bytes = image.bytes;
            }
            print("{:>4}  {:<{}} {:<24} {:>12} {:>12}", i, step.label, width, shape, bytes, liveAt(step));
            if (step.updatesWeights) print("  updates weights");
            if (step.recomputes != npos) print("  runs step {} again", step.recomputes);
            print("\n");
        }
    }

    template <class Slots>
    static std::size_t labelWidth(const Slots& slots) {
        std::size_t width = 30;
        for (const auto& slot : slots) width = std::max(width, std::min<std::size_t>(slot.label.size(), 60));
        return width;
    }

    /// Where a slot's memory is, for the last column.
    template <class Slot>
    static std::string placeOf(const Slot& slot) {
        return slot.offset == npos ? "-" : fmt::format("{}", slot.offset);
    }

    void writeImages() {
        const std::size_t width = labelWidth(report_.images);
        const auto owners = memoryOwners(report_);
        print("\nImages\n{:>4}  {:<{}} {:<24} {:>12} {:>7} {:>7} {:>12}\n", "", "label", width, "shape", "bytes", "writer",
              "reader", "offset");
        for (std::size_t i = 0; i < report_.images.size(); ++i) {
            const auto& image = report_.images[i];
            print("{:>4}  {:<{}} {:<24} {:>12} {:>7} {:>7} {:>12}{}{}{}", i, image.label, width,
                  image.count == 0 ? "-" : fmt::format("{}x{}x{} {}", image.width, image.height, image.featureChannels,
                                                       image.format),
                  image.bytes, indexOf(image.firstWriter), indexOf(image.lastReader), placeOf(image),
                  image.source ? "  input" : "", image.result ? "  result" : "", image.exported ? "  exported" : "");
            if (image.inBlocks) print("  in blocks");
            if (owners[i] != npos) print("  in place of {}", owners[i]);
            print("\n");
        }
    }

    void writeStates() {
        const std::size_t width = labelWidth(report_.states);
        print("\nStates\n{:>4}  {:<{}} {:<30} {:>12} {:>7} {:>7} {:>12}\n", "", "label", width, "class", "bytes",
              "writer", "reader", "offset");
        for (std::size_t i = 0; i < report_.states.size(); ++i) {
            const auto& state = report_.states[i];
            print("{:>4}  {:<{}} {:<30} {:>12} {:>7} {:>7} {:>12}{}{}\n", i, state.label, width, state.className,
                  state.bytes, indexOf(state.firstWriter), indexOf(state.lastReader), placeOf(state),
                  state.source ? "  input" : "", state.exported ? "  exported" : "");
        }
        print("\nGradient states\n");
        for (const auto& state : report_.states) {
            if (state.source) continue;
            print("  {}: {}{}\n    made by      {}\n", state.label, state.className,
                  state.temporary ? "" : " (not temporary)", stepName(report_, state.firstWriter));
            for (const auto& consumer : state.consumers) print("    consumed by  {}\n", consumer);
            print("    holds        {} bytes in {} state{}, read count {}\n", state.bytes, state.count,
                  state.count == 1 ? "" : "s", state.readCount);
        }
    }

    void writeTotals() {
        const auto line = [&](const char* name, std::size_t bytes) {
            print("{:<36}{:>14} bytes  {}\n", name, bytes, humanBytes(bytes));
        };
        print("\n");
        line("sum of all temporaries", temporaryBytes(report_));
        line("peak of temporary memory", report_.peakBytes);
        line("lower bound", report_.lowerBoundBytes);
        print("{:<36}{:>14}\n", "peak / lower bound", ratioOf(report_.peakBytes, report_.lowerBoundBytes));
        print("{:<36}{:>14} of {}", "images in blocks of channels", report_.imagesInBlocks, report_.images.size());
        if (report_.imagesInBlocks > 0) print(", {:.1f} ms a step less, as measured", report_.millisecondsByLayouts);
        print("\n");
    }

    const NNGraphReport& report_;
    const Subject& subject_;
    std::string out_;
};

}  // namespace

std::string text(const NNGraphReport& report, const Subject& subject) { return Tables(report, subject).write(); }

}  // namespace pewter::inspect
