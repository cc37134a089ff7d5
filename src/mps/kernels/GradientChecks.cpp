#include "mps/kernels/GradientChecks.h"

#include <fmt/format.h>

#include <MTL/Error.hpp>
#include <limits>

namespace pewter::mps {

using MTL::Error;

const ForwardRecord& requireRecord(const MPS::Kernel& kernel,
                                   const std::shared_ptr<const ForwardRecord>& record,
                                   std::initializer_list<std::string_view> classes) {
    std::string expected;
    for (const auto& name : classes) {
        if (record && std::string_view(record->className).substr(0, name.size()) == name) return *record;
        expected += (expected.empty() ? "a state made by " : " or ") + std::string(name);
    }
    throw Error(kernel.name(), "gradientState", expected,
                record ? "one made by " + record->kernel : std::string("one that no encode has filled"));
}

const ForwardRecord& requireRecord(const MPS::Kernel& kernel, const MPS::StateBatch& states,
                                   std::initializer_list<std::string_view> classes) {
    const ForwardRecord* first = nullptr;
    for (const auto& state : states) {
        const auto* gradient = dynamic_cast<const MPS::NNGradientState*>(state.get());
        const auto& record = requireRecord(kernel, gradient ? gradient->record() : nullptr, classes);
        if (!first) first = &record;
        if (&record == first) continue;
        std::vector<std::pair<std::string, std::string>> a, b;
        first->describe(a);
        record.describe(b);
        for (std::size_t i = 0; i < a.size() && i < b.size(); ++i)
            if (a[i] != b[i])
                throw Error(
                    kernel.name(), "gradientState",
                    fmt::format("one forward configuration in a batch ({} {})", a[i].first, a[i].second),
                    b[i].second);
    }
    if (!first) throw Error(kernel.name(), "gradientState", "a state", "none");
    return *first;
}

void requireForwardGradient(const MPS::CNNGradientKernel& kernel, const BinaryEncoding& encoding,
                            const ForwardRecord& record, std::size_t channels, std::int64_t x,
                            std::int64_t y) {
    if (encoding.primaryChannels.count != channels)
        throw Error(kernel.name(), "sourceGradient",
                    fmt::format("{} feature channels, as {} wrote", channels, record.kernel),
                    fmt::format("{}", encoding.primaryChannels.count));
    const auto width = static_cast<std::int64_t>(encoding.primaryWidth),
               height = static_cast<std::int64_t>(encoding.primaryHeight);
    const auto w = static_cast<std::int64_t>(record.clip.size.width),
               h = static_cast<std::int64_t>(record.clip.size.height);
    if (x < 0 || y < 0 || x + w > width || y + h > height)
        throw Error(kernel.name(), "sourceGradient",
                    fmt::format("{} x {} pixels from ({}, {}) on, as {} wrote", w, h, x, y, record.kernel),
                    fmt::format("an image of {} x {}", width, height));
}

void requireForwardImages(const MPS::CNNGradientKernel& kernel, const BinaryEncoding& encoding,
                          const ForwardRecord& record) {
    if (encoding.secondaryWidth != record.sourceWidth || encoding.secondaryHeight != record.sourceHeight ||
        encoding.secondaryChannels.count != record.sourceFeatureChannels)
        throw Error(kernel.name(), "sourceImage",
                    fmt::format("{} x {} pixels of {} feature channels, as {} read", record.sourceWidth,
                                record.sourceHeight, record.sourceFeatureChannels, record.kernel),
                    fmt::format("{} x {} of {}", encoding.secondaryWidth, encoding.secondaryHeight,
                                encoding.secondaryChannels.count));
    requireForwardGradient(kernel, encoding, record, record.resultFeatureChannels, kernel.primaryOffset().x,
                           kernel.primaryOffset().y);
}

void takeGradientSlice(MPS::CNNGradientKernel& kernel, const MPS::Image& gradient,
                       const ForwardRecord& record, std::size_t channels) {
    // The slice of an earlier, wider gradient must not stay.
    const bool wider = gradient.featureChannels() > channels;
    kernel.setPrimarySourceFeatureChannelOffset(wider ? record.destinationFeatureChannelOffset : 0);
    kernel.setPrimarySourceFeatureChannelMaxCount(wider ? channels : std::numeric_limits<std::size_t>::max());
}

void takeGradientSlice(MPS::CNNGradientKernel& kernel,
                       const std::vector<std::shared_ptr<MPS::Image>>& sourceImages,
                       const MPS::StateBatch& sourceStates) {
    if (sourceStates.empty()) return;
    const auto* state = dynamic_cast<const MPS::NNGradientState*>(sourceStates[0].get());
    if (state && state->record())
        takeGradientSlice(kernel, *sourceImages[0], *state->record(), state->record()->resultFeatureChannels);
}

}  // namespace pewter::mps
