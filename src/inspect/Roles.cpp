#include "inspect/Roles.h"

#include <algorithm>
#include <string_view>

namespace pewter::inspect {

using MPS::NNGraphReport;

namespace {

constexpr std::size_t npos = NNGraphReport::npos;

bool has(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

}  // namespace

const char* nameOf(Kind kind) {
    switch (kind) {
        case Kind::Image: return "image";
        case Kind::Gradient: return "gradient image";
        case Kind::State: return "state";
        case Kind::Scratch: return "scratch";
    }
    return "";
}

Roles::Roles(const NNGraphReport& report)
    : backward(report.steps.size()), gradientImage(report.images.size()), turn(report.steps.size()) {
    for (std::size_t i = 0; i < report.steps.size(); ++i) {
        const auto& step = report.steps[i];
        const bool again = step.recomputes != npos;
        bool gradient = has(step.className, "Gradient");
        for (const std::size_t image : step.sourceImages)
            gradient = gradient || (image < gradientImage.size() && gradientImage[image]);
        backward[i] = again || gradient;
        if (backward[i]) turn = std::min(turn, i);
        // A loss whose result is the gradient itself; NNForwardLoss's is the loss.
        const bool loss = has(step.className, "Loss") && !has(step.className, "ForwardLoss");
        if (step.resultImage < gradientImage.size()) gradientImage[step.resultImage] = !again && (gradient || loss);
    }
}

Kind Roles::kindOf(const NNGraphReport::Range& range) const {
    if (range.image < gradientImage.size()) return gradientImage[range.image] ? Kind::Gradient : Kind::Image;
    return range.state == npos ? Kind::Scratch : Kind::State;
}

std::vector<NNGraphReport::Range> rangesOf(const NNGraphReport& report) {
    if (!report.ranges.empty()) return report.ranges;
    std::vector<NNGraphReport::Range> ranges;
    const std::size_t last = report.steps.empty() ? 0 : report.steps.size() - 1;
    const auto add = [&](const auto& slot, bool leaves, std::size_t image, std::size_t state) {
        if (slot.offset == npos || slot.bytes == 0) return;
        NNGraphReport::Range range{.offset = slot.offset, .bytes = slot.bytes, .image = image, .state = state};
        range.firstStep = slot.firstWriter == npos ? 0 : slot.firstWriter;
        range.lastStep = leaves ? last : slot.lastReader == npos ? range.firstStep : slot.lastReader;
        ranges.push_back(range);
    };
    for (std::size_t i = 0; i < report.images.size(); ++i)
        add(report.images[i], report.images[i].result || report.images[i].exported, i, npos);
    for (std::size_t i = 0; i < report.states.size(); ++i)
        add(report.states[i], report.states[i].exported, npos, i);
    std::stable_sort(ranges.begin(), ranges.end(),
                     [](const auto& a, const auto& b) { return a.firstStep < b.firstStep; });
    return ranges;
}

std::vector<std::size_t> memoryOwners(const NNGraphReport& report) {
    std::vector<std::size_t> owners(report.images.size(), npos), lastStep(report.images.size(), npos);
    for (const auto& range : rangesOf(report))
        if (range.image < lastStep.size()) lastStep[range.image] = range.lastStep;
    for (const auto& step : report.steps) {
        if (step.resultImage >= report.images.size()) continue;
        const auto& image = report.images[step.resultImage];
        if (!image.temporary || image.offset != npos || image.bytes == 0) continue;
        for (const std::size_t source : step.sourceImages) {
            if (source >= report.images.size()) continue;
            const std::size_t owner = owners[source] == npos ? source : owners[source];
            if (lastStep[owner] == npos || report.images[owner].bytes < image.bytes) continue;
            if (image.lastReader != npos && lastStep[owner] < image.lastReader) continue;
            owners[step.resultImage] = owner;
            break;
        }
    }
    return owners;
}

std::size_t liveAt(const NNGraphReport::Step& step) { return std::max(step.liveBytes, step.peakBytes); }

std::size_t temporaryBytes(const NNGraphReport& report) {
    std::size_t bytes = 0;
    for (const auto& image : report.images) bytes += image.temporary ? image.bytes : 0;
    for (const auto& state : report.states) bytes += state.temporary ? state.bytes : 0;
    return bytes;
}

Readers::Readers(const NNGraphReport& report) : images(report.images.size()), states(report.states.size()) {
    const auto add = [](auto& readers, const auto& slots, std::size_t step) {
        for (const std::size_t slot : slots)
            if (slot < readers.size() && (readers[slot].empty() || readers[slot].back() != step))
                readers[slot].push_back(step);
    };
    for (std::size_t i = 0; i < report.steps.size(); ++i) {
        add(images, report.steps[i].sourceImages, i);
        add(states, report.steps[i].sourceStates, i);
    }
}

}  // namespace pewter::inspect
