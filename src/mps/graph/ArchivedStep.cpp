#include "mps/graph/ArchivedStep.h"

#include <fmt/format.h>

#include <MPS/Archive.hpp>
#include <MPS/Handle.hpp>
#include <MTL/Error.hpp>

#include "mps/core/ArchiveClasses.h"

namespace pewter::mps {

using MPS::Coder;

namespace {

/// Objects under keys of their own, and how many; the number in an archive is not believed.
template <class Put>
void encodeEach(Coder& coder, const std::string& key, std::size_t count, Put put) {
    coder.encodeUnsigned(count, key + "s");
    for (std::size_t i = 0; i < count; ++i) put(i, fmt::format("{}{}", key, i));
}
template <class Get>
auto decodeEach(Coder& coder, const std::string& key, Get get) {
    std::vector<decltype(get(key))> all;
    const auto count = coder.decodeSize(key + "s");
    for (std::size_t i = 0; i < count; ++i) all.push_back(get(fmt::format("{}{}", key, i)));
    return all;
}

/// For copies and archives alike the update is the data source's affair; an archive must hold it.
void checkUpdate(const StepParts& parts, const std::string& name) {
    if (parts.style != MPS::NNTrainingStyle::UpdateDeviceNone && !parts.keepsUpdates)
        throw MTL::Error(
            name, "dataSource",
            "one with secure coding (derived from MPS::SecureCoding), since it updates the weights",
            "one without");
}

}  // namespace

void encodeSlots(Coder& coder, const std::vector<std::size_t>& slots, const char* key) {
    std::vector<std::int64_t> values;
    for (const std::size_t slot : slots)
        values.push_back(slot == kNone ? -1 : static_cast<std::int64_t>(slot));
    coder.encodeIntegers(values, key);
}

std::vector<std::size_t> decodeSlots(Coder& coder, const char* key) {
    std::vector<std::size_t> slots;
    for (const std::int64_t value : coder.decodeIntegers(key)) {
        if (value < -1) coder.refuse(key, "slots, or -1 for none", fmt::format("{}", value));
        slots.push_back(value < 0 ? kNone : static_cast<std::size_t>(value));
    }
    return slots;
}

ArchivedStep::ArchivedStep(const ProgramStep& step, StepParts parts, std::size_t forward)
    : name_(step.step->kernel().name()), parts_(std::move(parts)), forward_(forward), slots_(step) {
    checkUpdate(parts_, name_);
}

ArchivedStep::ArchivedStep(Coder& coder) : name_(coder.decodeString("name")) {
    withName(name_, [&] { read(coder); });
}

void ArchivedStep::encodeWithCoder(Coder& coder) const {
    withName(name_, [&] { write(coder); });
}

void ArchivedStep::write(Coder& coder) const {
    coder.encodeString(name_, "name");
    coder.encodeString(parts_.type, "type");
    encodeEach(coder, "kernel", parts_.kernels.size(),
               [&](std::size_t i, const std::string& key) { coder.encodeObject(parts_.kernels[i], key); });
    coder.encodeUnsigned(static_cast<std::uint64_t>(parts_.style), "trainingStyle");
    coder.encodeBool(parts_.resultDropped, "resultDropped");
    coder.encodeBool(parts_.replayable, "replayable");
    coder.encodeIntegers(parts_.numbers, "numbers");
    encodeEach(coder, "list", parts_.lists.size(),
               [&](std::size_t i, const std::string& key) { coder.encodeFloats(parts_.lists[i], key); });
    coder.encodeObject(parts_.neuron, "neuron");
    coder.encodeObject(securely(parts_.padding, name_, "padding"), "padding");
    coder.encodeObject(securely(parts_.provider, name_, "transformProvider"), "transformProvider");
    coder.encodeObject(securely(parts_.callback, name_, "propertyCallBack"), "propertyCallBack");
    coder.encodeObject(securely(parts_.handle, name_, "handle"), "handle");
    encodeSlots(coder, {forward_}, "forward");
    encodeSlots(coder, slots_.images, "images");
    encodeSlots(coder, slots_.states, "states");
    encodeSlots(coder, {slots_.result}, "result");
    encodeSlots(coder, slots_.made, "made");
    coder.encodeBool(slots_.isGradient, "isGradient");
    encodeEach(coder, "absorbedFilter", slots_.absorbed.size(),
               [&](std::size_t i, const std::string& key) { coder.encodeString(slots_.absorbed[i], key); });
}

void ArchivedStep::read(Coder& coder) {
    const auto one = [&](const char* key) {
        const auto slots = decodeSlots(coder, key);
        if (slots.size() != 1) coder.refuse(key, "1 integer", fmt::format("{}", slots.size()));
        return slots[0];
    };
    parts_.type = coder.decodeString("type");
    parts_.kernels = decodeEach(
        coder, "kernel", [&](const std::string& key) { return coder.decodeObjectOfClass<MPS::Kernel>(key); });
    parts_.style = coder.decodeEnum("trainingStyle", MPS::NNTrainingStyle::UpdateDeviceGPU);
    parts_.resultDropped = coder.decodeBool("resultDropped");
    parts_.replayable = coder.decodeBool("replayable");
    parts_.numbers = coder.decodeIntegers("numbers");
    parts_.lists = decodeEach(coder, "list", [&](const std::string& key) { return coder.decodeFloats(key); });
    parts_.neuron = coder.decodeObjectOfClass<MPS::NNNeuronDescriptor>("neuron");
    parts_.padding = coder.decodeObjectOfClass<MPS::NNPadding>("padding");
    parts_.provider = coder.decodeObjectOfClass<MPS::ImageTransformProvider>("transformProvider");
    parts_.callback = coder.decodeObjectOfClass<MPS::NNLossCallback>("propertyCallBack");
    parts_.handle = coder.decodeObjectOfClass<MPS::Handle>("handle");
    forward_ = one("forward");
    slots_.images = decodeSlots(coder, "images");
    slots_.states = decodeSlots(coder, "states");
    slots_.result = one("result");
    slots_.made = decodeSlots(coder, "made");
    slots_.isGradient = coder.decodeBool("isGradient");
    slots_.absorbed =
        decodeEach(coder, "absorbedFilter", [&](const std::string& key) { return coder.decodeString(key); });
}

}  // namespace pewter::mps
