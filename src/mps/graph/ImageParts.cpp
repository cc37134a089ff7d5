#include "mps/graph/ImageParts.h"

#include <algorithm>

#include "mps/graph/steps/ConcatenationStep.h"

namespace pewter::mps {

using MPS::NNGraphReport;

void ImageParts::add(const Part& part) {
    wholes_[part.slot] = part.whole;
    firsts_[part.slot] = part.firstChannel;
    ++hasParts_[part.whole];
    ++count_;
}

void ImageParts::remove(const Part& part) {
    wholes_[part.slot] = kNone;
    --hasParts_[part.whole];
    --count_;
}

ImageParts::Part ImageParts::place(std::size_t slot) const {
    Part part{slot, slot, 0};
    for (; isPart(part.whole); part.whole = wholes_[part.whole]) part.firstChannel += firsts_[part.whole];
    return part;
}

std::vector<std::size_t> ImageParts::lastReaders(const GraphProgram& program) const {
    std::vector<std::size_t> last;
    for (const auto& image : program.images) last.push_back(image.lastReader);
    for (std::size_t slot = 0; slot < last.size(); ++slot) {
        const std::size_t reader = program.images[slot].lastReader;
        if (reader == kNone) continue;
        for (std::size_t whole = wholeOf(slot); whole != kNone; whole = wholeOf(whole))
            last[whole] = last[whole] == kNone ? reader : std::max(last[whole], reader);
    }
    return last;
}

namespace {

class Search {
public:
    Search(const GraphProgram& program, const NNGraphReport& report, const std::function<bool(std::size_t)>& isOwn)
        : program_(program), report_(report), isOwn_(isOwn), taken_(program.images.size()),
          writers_(program.images.size()) {
        for (const auto& step : program.steps) ++writers_[step.result];
    }

    std::vector<PartGroup> run() {
        std::vector<PartGroup> groups;
        for (const auto& step : program_.steps) {
            PartGroup group;
            if (dynamic_cast<const ConcatenationStep*>(step.step.get()))
                group = sources(step);
            else if (dynamic_cast<const ConcatenationGradient*>(&step.step->kernel()))
                group = gradient(step);
            for (const auto& part : group) taken_[part.slot] = true;
            if (!group.empty()) groups.push_back(std::move(group));
        }
        return groups;
    }

private:
    static std::size_t lanes(std::size_t channels) { return (channels + 3) / 4 * 4; }

    bool isInside(std::size_t slot) const {
        const auto& image = program_.images[slot];
        return image.producer != kNone && image.isMade && !image.leaves() && !image.synchronize && isOwn_(slot);
    }
    bool mayBePart(const ImageParts::Part& part) const {
        if (taken_[part.slot] || writers_[part.slot] != 1 || !isInside(part.slot) || !isInside(part.whole)) return false;
        const auto &one = report_.images[part.slot], &whole = report_.images[part.whole];
        return one.width == whole.width && one.height == whole.height && one.format == whole.format &&
               one.count == whole.count && one.featureChannels % 4 == 0 && part.firstChannel % 4 == 0 &&
               part.firstChannel + one.featureChannels <= whole.featureChannels;
    }

    PartGroup sources(const ProgramStep& step) const {
        PartGroup group;
        std::size_t first = 0;
        for (const std::size_t slot : step.images) {
            const ImageParts::Part part{slot, step.result, first};
            first += lanes(report_.images[slot].featureChannels);
            if (std::count(step.images.begin(), step.images.end(), slot) == 1 && mayBePart(part))
                group.push_back(part);
        }
        std::sort(group.begin(), group.end(), [&](const auto& a, const auto& b) {
            return program_.images[a.slot].producer < program_.images[b.slot].producer;
        });
        return group;
    }

    PartGroup gradient(const ProgramStep& step) const {
        if (step.states.size() != 1 || step.images.empty()) return {};
        const std::size_t maker = program_.states[step.states[0]].producer;
        if (maker == kNone) return {};
        const auto& forward = program_.steps[maker];
        const auto found = std::find(forward.made.begin(), forward.made.end(), step.states[0]);
        if (!dynamic_cast<const ConcatenationStep*>(forward.step.get()) || found == forward.made.end()) return {};
        ImageParts::Part part{step.result, step.images[0], 0};
        for (auto i = forward.made.begin(); i != found; ++i)
            part.firstChannel += lanes(report_.images[forward.images[static_cast<std::size_t>(
                                                          i - forward.made.begin())]].featureChannels);
        return mayBePart(part) ? PartGroup{part} : PartGroup{};
    }

    const GraphProgram& program_;
    const NNGraphReport& report_;
    const std::function<bool(std::size_t)>& isOwn_;
    std::vector<bool> taken_;
    std::vector<std::size_t> writers_;
};

}  // namespace

std::vector<PartGroup> possibleParts(const GraphProgram& program, const NNGraphReport& report,
                                     const std::function<bool(std::size_t)>& isOwn) {
    return Search(program, report, isOwn).run();
}

ImageParts chooseParts(const std::vector<PartGroup>& groups, std::size_t slots,
                       const std::function<std::size_t(const ImageParts&)>& bytesWith) {
    ImageParts parts(slots);
    std::size_t least = bytesWith(parts);
    const auto accept = [&](const PartGroup& group, std::size_t from) {
        for (std::size_t i = from; i < group.size(); ++i) parts.add(group[i]);
        const std::size_t bytes = bytesWith(parts);
        if (bytes <= least) {
            least = bytes;
            return true;
        }
        for (std::size_t i = from; i < group.size(); ++i) parts.remove(group[i]);
        return false;
    };
    PartGroup all;
    for (const auto& group : groups) all.insert(all.end(), group.begin(), group.end());
    if (all.empty() || accept(all, 0)) return parts;
    constexpr std::size_t kMostToTry = 1000;
    if (all.size() > kMostToTry) return parts;
    // Without its first parts a whole is needed later.
    for (const auto& group : groups)
        for (std::size_t from = 0; from < group.size() && !accept(group, from); ++from) {
        }
    return parts;
}

}  // namespace pewter::mps
