#include <fmt/format.h>

#include <MPS/Archive.hpp>
#include <MPS/Handle.hpp>
#include <MPS/NNGraph.hpp>
#include <MPS/NNRecomputePolicy.hpp>
#include <MTL/CommandBuffer.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <unordered_map>

#include "mps/core/ArchiveClasses.h"
#include "mps/core/SharedSources.h"
#include "mps/graph/ArchiveChecks.h"
#include "mps/graph/Copies.h"
#include "mps/graph/PlanCache.h"

namespace pewter::mps {

using MPS::Coder;
using Format = MPS::ImageFeatureChannelFormat;

namespace {

/// Of what a graph writes; an older library names it instead of misreading it.
constexpr std::uint64_t kGraphVersion = 3;

/// Bits of a slot.
constexpr std::int64_t kExported = 1, kSynchronize = 2, kMade = 4, kSource = 8, kAllBits = 15;

template <class Slot>
std::int64_t bitsOf(const Slot& slot, bool made) {
    return kExported * slot.exported + kSynchronize * slot.synchronize + kMade * made + kSource * slot.source;
}

template <class Slot>
void setBits(Coder& coder, const char* key, Slot& slot, std::int64_t bits) {
    if (bits < 0 || bits > kAllBits)
        coder.refuse(key, fmt::format("0 to {}", kAllBits), fmt::format("{}", bits));
    slot.exported = bits & kExported;
    slot.synchronize = bits & kSynchronize;
    slot.source = bits & kSource;
}

Format formatOf(Coder& coder, const char* key, std::int64_t value) {
    for (const Format format : {Format::None, Format::Unorm8, Format::Unorm16, Format::Float16,
                                Format::Float32, Format::BFloat16, Format::Float64})
        if (static_cast<std::int64_t>(format) == value) return format;
    coder.refuse(key, "a channel format", fmt::format("{}", value));
}

std::shared_ptr<MPS::Handle> decodeHandle(Coder& coder, const std::string& key) {
    return coder.decodeObjectOfClass<MPS::Handle>(key);
}

/// Whose handle or allocator cannot be written: the filter that makes the image or state, or the graph's own.
template <class Slot>
std::string makerOf(const GraphProgram& program, const std::string& graph, const Slot& slot) {
    return slot.producer == kNone ? graph : program.steps[slot.producer].step->kernel().name();
}

void encodeSlotsOf(Coder& coder, const GraphProgram& program, const std::string& graph) {
    std::vector<std::int64_t> formats, images, states;
    for (const auto& image : program.images) {
        formats.push_back(static_cast<std::int64_t>(image.format));
        images.push_back(bitsOf(image, image.isMade));
    }
    for (const auto& state : program.states) states.push_back(bitsOf(state, true));
    coder.encodeIntegers(formats, "imageFormats");
    coder.encodeIntegers(images, "imageBits");
    coder.encodeIntegers(states, "stateBits");
    const auto handle = [&](const auto& slot, const std::string& key) {
        if (!slot.handle) return;
        const auto who = makerOf(program, graph, slot);
        coder.encodeObject(securely(slot.handle, who, "handle '" + slot.handle->label() + "'"), key);
    };
    for (std::size_t i = 0; i < program.images.size(); ++i) {
        const auto& image = program.images[i];
        handle(image, fmt::format("imageHandle{}", i));
        coder.encodeObject(securely(image.allocator, makerOf(program, graph, image), "imageAllocator"),
                           fmt::format("imageAllocator{}", i));
    }
    for (std::size_t i = 0; i < program.states.size(); ++i)
        handle(program.states[i], fmt::format("stateHandle{}", i));
}

void decodeSlotsOf(Coder& coder, GraphProgram& program) {
    const auto formats = coder.decodeIntegers("imageFormats"), images = coder.decodeIntegers("imageBits"),
               states = coder.decodeIntegers("stateBits");
    if (formats.size() != images.size())
        coder.refuse("imageFormats", fmt::format("{}, one an image", images.size()),
                     fmt::format("{}", formats.size()));
    const auto handle = [&](const char* key, std::size_t slot) -> std::shared_ptr<MPS::Handle> {
        const auto full = fmt::format("{}{}", key, slot);
        return coder.containsValue(full) ? decodeHandle(coder, full) : nullptr;
    };
    for (std::size_t slot = 0; slot < images.size(); ++slot) {
        auto& image = program.images.emplace_back();
        setBits(coder, "imageBits", image, images[slot]);
        image.isMade = images[slot] & kMade;
        image.format = formatOf(coder, "imageFormats", formats[slot]);
        image.handle = handle("imageHandle", slot);
        image.allocator =
            coder.decodeObjectOfClass<MPS::ImageAllocator>(fmt::format("imageAllocator{}", slot));
        if (!image.allocator && !image.source)
            coder.refuse(fmt::format("imageAllocator{}", slot), "an allocator", "null");
        if (!image.source) continue;
        program.sourceImages.push_back(slot);
        program.sourceImageHandles.push_back(image.handle);
    }
    for (std::size_t slot = 0; slot < states.size(); ++slot) {
        auto& state = program.states.emplace_back();
        setBits(coder, "stateBits", state, states[slot]);
        state.handle = handle("stateHandle", slot);
        if (state.source) {
            program.sourceStates.push_back(slot);
            program.sourceStateHandles.push_back(state.handle);
        } else if (state.exported) {
            program.exportedStates.push_back(slot);
            program.exportedStateHandles.push_back(state.handle);
        }
    }
}

void encodeResults(Coder& coder, const GraphProgram& program, const std::string& graph) {
    encodeSlots(coder, program.exportedImages, "exportedImages");
    encodeSlots(coder, program.results, "results");
    std::vector<std::int64_t> needed;
    for (const bool flag : program.resultNeeded) needed.push_back(flag);
    coder.encodeIntegers(needed, "resultsAreNeeded");
    coder.encodeObject(securely(program.resultHandle, graph, "resultHandle"), "resultHandle");
    coder.encodeBool(program.inPlace, "inPlace");
    coder.encodeBool(program.concatenateInPlace, "concatenateInPlace");
    coder.encodeBool(program.chooseLayouts, "chooseLayouts");
    coder.encodeBool(program.joinUpdates, "joinUpdates");
}

void decodeResults(Coder& coder, GraphProgram& program) {
    program.exportedImages = decodeSlots(coder, "exportedImages");
    program.results = decodeSlots(coder, "results");
    for (const std::int64_t flag : coder.decodeIntegers("resultsAreNeeded")) {
        if (flag != 0 && flag != 1) coder.refuse("resultsAreNeeded", "0 or 1", fmt::format("{}", flag));
        program.resultNeeded.push_back(flag != 0);
    }
    if (program.results.empty() || program.results.size() != program.resultNeeded.size())
        coder.refuse("results", "at least 1, with a flag each",
                     fmt::format("{} and {} flags", program.results.size(), program.resultNeeded.size()));
    program.resultHandle = decodeHandle(coder, "resultHandle");
    program.inPlace = coder.decodeBool("inPlace");
    program.concatenateInPlace = coder.decodeBool("concatenateInPlace");
    program.chooseLayouts = coder.decodeBool("chooseLayouts");
    program.joinUpdates = coder.decodeBool("joinUpdates");
}

void encodePolicy(Coder& coder, const MPS::NNRecomputePolicy& policy) {
    coder.encodeUnsigned(static_cast<std::uint64_t>(policy.kind()), "recomputePolicy");
    coder.encodeUnsigned(policy.bytes(), "recomputeBytes");
    coder.encodeUnsigned(policy.labels().size(), "recomputeLabels");
    for (std::size_t i = 0; i < policy.labels().size(); ++i)
        coder.encodeString(policy.labels()[i], fmt::format("recomputeLabel{}", i));
}

MPS::NNRecomputePolicy decodePolicy(Coder& coder) {
    using Kind = MPS::NNRecomputePolicy::Kind;
    const Kind kind = coder.decodeEnum("recomputePolicy", Kind::Budget);
    if (kind == Kind::Budget) return MPS::NNRecomputePolicy::budget(coder.decodeSize("recomputeBytes"));
    if (kind == Kind::None) return MPS::NNRecomputePolicy::none();
    std::vector<std::string> labels;
    const auto count = coder.decodeSize("recomputeLabels");
    for (std::size_t i = 0; i < count; ++i)
        labels.push_back(coder.decodeString(fmt::format("recomputeLabel{}", i)));
    return MPS::NNRecomputePolicy::nodes(std::move(labels));
}

void encodeSteps(Coder& coder, const GraphProgram& program) {
    // Kernels of one data source get one stand-in.
    const SharedSources sources;
    std::unordered_map<const Step*, std::size_t> places;
    coder.encodeUnsigned(program.steps.size(), "steps");
    for (std::size_t i = 0; i < program.steps.size(); ++i) {
        const auto& step = program.steps[i];
        auto parts = step.step->parts();
        parts.replayable = step.step->mayReplay();
        const std::size_t forward = parts.forward ? places.at(parts.forward) : kNone;
        coder.encodeObject(std::make_shared<ArchivedStep>(step, std::move(parts), forward),
                           fmt::format("step{}", i));
        places[step.step.get()] = i;
    }
}

void decodeSteps(Coder& coder, GraphProgram& program, const std::shared_ptr<MTL::Device>& device) {
    std::vector<std::shared_ptr<ArchivedStep>> archived;
    const auto count = coder.decodeSize("steps");
    for (std::size_t i = 0; i < count; ++i) {
        const auto key = fmt::format("step{}", i);
        archived.push_back(coder.decodeObjectOfClass<ArchivedStep>(key));
        if (!archived.back()) coder.refuse(key, "a step", "null");
    }
    checkArchivedProgram(program, archived);
    StepSharing sharing;
    for (const auto& one : archived) {
        auto parts = one->parts();
        for (const auto& kernel : parts.kernels)
            if (kernel && kernel->device() != device)
                coder.refuse("device", device->name() + ", the graph's", kernel->device()->name());
        if (one->forward() != kNone) parts.forward = program.steps[one->forward()].step.get();
        auto& step = program.steps.emplace_back(one->slots());
        withName(one->name(), [&] {
            step.step = makeStep(parts, sharing);
            // A stand-in cannot learn.
            if (parts.style != MPS::NNTrainingStyle::UpdateDeviceNone && !step.step->parts().keepsUpdates)
                coder.refuse("trainingStyle", "no update of a data source that the archive does not hold",
                             "one");
        });
    }
    for (std::size_t i = 0; i < program.results.size(); ++i)
        if (program.resultNeeded[i]) ++program.images[program.results[i]].results;
    for (const std::size_t slot : program.exportedImages)
        program.exportedImageHandles.push_back(program.images[slot].handle);
    program.finish();
}

}  // namespace

void archiveGraphs(ArchivedClasses& classes) {
    classes.add("NNGraph", typeid(MPS::NNGraph),
                [](Coder& coder) { return std::make_shared<MPS::NNGraph>(coder, coder.device()); });
    classes.add(ArchivedStep::kName, typeid(ArchivedStep),
                [](Coder& coder) { return std::make_shared<ArchivedStep>(coder); });
}

}  // namespace pewter::mps

namespace MPS {

using namespace pewter::mps;

void NNGraph::encodeWithCoder(Coder& coder) const {
    Kernel::encodeWithCoder(coder);
    coder.encodeUnsigned(kGraphVersion, "version");
    coder.encodeUnsigned(static_cast<std::uint64_t>(format_), "format");
    coder.encodeBool(outputStateIsTemporary_, "outputStateIsTemporary");
    coder.encodeObject(securely(allocator_, name(), "destinationImageAllocator"),
                       "destinationImageAllocator");
    encodePolicy(coder, *policy_);
    encodeSlotsOf(coder, *program_, name());
    encodeResults(coder, *program_, name());
    encodeSteps(coder, *program_);
}

NNGraph::NNGraph(Coder& coder, const std::shared_ptr<MTL::Device>& device)
    : NNGraph(device ? device : coder.device()) {
    if (const auto version = coder.decodeUnsigned("version"); version != kGraphVersion)
        coder.refuse("version", fmt::format("{}, which this library reads", kGraphVersion),
                     fmt::format("{}", version));
    restoreProperties(coder);
    format_ = formatOf(coder, "format", coder.decodeInteger("format"));
    outputStateIsTemporary_ = coder.decodeBool("outputStateIsTemporary");
    setDestinationImageAllocator(coder.decodeObjectOfClass<ImageAllocator>("destinationImageAllocator"));
    *policy_ = decodePolicy(coder);
    auto program = std::make_shared<GraphProgram>();
    decodeSlotsOf(coder, *program);
    decodeResults(coder, *program);
    decodeSteps(coder, *program, this->device());
    program_ = std::move(program);
}

}  // namespace MPS
