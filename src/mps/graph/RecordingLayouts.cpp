#include "mps/graph/LayoutSearch.h"
#include "mps/graph/Recording.h"

#include <MPS/Image.hpp>
#include <unordered_set>

namespace pewter::mps {

namespace {

/// Where the temporaries of a plan seem to lie while its commands are shown: no memory is there, and none near.
constexpr std::uintptr_t kNowhere = std::uintptr_t{1} << 60;

/// Every range of a plan at a place of its own, while this lives.
class Spread {
public:
    explicit Spread(mtl::TemporaryHeap& heap) : heap_(heap), extent_(heap.planExtent()) {
        std::vector<std::size_t> places;
        std::size_t next = 0;
        for (const auto& trace : heap.traces()) {
            if (trace.apart) continue;
            offsets_.push_back(trace.range->offset());
            places.push_back(next);
            next += trace.range->size();
        }
        heap.place(places, next);
        heap.bind(reinterpret_cast<std::byte*>(kNowhere));
    }
    ~Spread() { heap_.place(offsets_, extent_); }
    Spread(const Spread&) = delete;
    Spread& operator=(const Spread&) = delete;

private:
    mtl::TemporaryHeap& heap_;
    std::size_t extent_;
    std::vector<std::size_t> offsets_;
};

}  // namespace

bool Recording::mayBeInBlocks(const GraphProgram& program, std::size_t slot) const {
    const auto& image = program.images[slot];
    const auto& extents = report.images[slot];
    return image.producer != kNone && image.isMade && !image.leaves() && !image.synchronize && !parts_.isShared(slot) &&
           allocatorOf(program, slot, settings_.resultAllocator) == MPS::TemporaryImage::defaultAllocator() &&
           extents.format == ops::nameOf(ops::Type::Float32) &&
           extents.featureChannels % static_cast<std::size_t>(ops::kChannelBlock) == 0;
}

Recording::Layouts Recording::chooseLayouts(const GraphProgram& program, ops::Backend& backend) const {
    const Spread spread(*heap);
    const auto& traces = heap->traces();
    const auto traceOf = tracesOfImages();
    LayoutSearch search(backend);
    std::unordered_map<const void*, std::size_t> numbers;  // by range
    std::unordered_map<std::size_t, std::size_t> atRoot;
    std::unordered_set<std::size_t> keptRoots;
    std::vector<std::size_t> slots;
    for (std::size_t slot = 0; slot < traceOf.size(); ++slot)
        if (traceOf[slot] != kNone && !mayBeInBlocks(program, slot)) keptRoots.insert(lives_.roots[traceOf[slot]]);
    for (std::size_t slot = 0; slot < traceOf.size(); ++slot) {
        if (traceOf[slot] == kNone || keptRoots.contains(lives_.roots[traceOf[slot]])) continue;
        const auto& range = *traces[traceOf[slot]].range;
        const auto extent = [](std::size_t one) { return static_cast<std::int64_t>(one); };
        const auto& image = report.images[slot];
        const std::size_t number = search.add(
            ops::Tensor::dense(range.address(), ops::Type::Float32, extent(image.count), extent(image.height),
                               extent(image.width), extent(image.featureChannels)));
        slots.push_back(slot);
        numbers[&range] = number;
        // What is overwritten where it lies keeps its layout.
        const auto [first, isFirst] = atRoot.emplace(lives_.roots[traceOf[slot]], number);
        if (!isFirst) search.tie(first->second, number);
    }
    if (slots.empty()) return {};
    std::size_t begin = 0;
    for (std::size_t index = 0; index < program.steps.size(); ++index) {
        const auto& step = program.steps[index];
        std::vector<std::size_t> around;
        const auto note = [&](std::size_t slot) {
            if (const auto found = numbers.find(ranges_[slot]); found != numbers.end()) around.push_back(found->second);
        };
        for (const std::size_t slot : step.images) note(slot);
        note(step.result);
        for (; begin < endCommands_[index]; ++begin) search.add((*commands)[begin], around);
    }
    const auto found = search.solve();
    Layouts layouts{{}, found.saved};
    if (found.inBlocks.empty()) return layouts;
    layouts.inBlocks.resize(program.images.size());
    for (std::size_t i = 0; i < slots.size(); ++i) layouts.inBlocks[slots[i]] = found.inBlocks[i];
    return layouts;
}

}  // namespace pewter::mps
