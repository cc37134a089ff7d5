#include <fmt/format.h>

#include <MPS/Archive.hpp>
#include <MPS/CNNBinaryKernel.hpp>
#include <MPS/CNNGradientKernel.hpp>
#include <MPS/CNNKernel.hpp>
#include <MPS/CNNMultiaryKernel.hpp>
#include <array>
#include <limits>

#include "mps/core/ArchiveClasses.h"

namespace MPS {

using namespace pewter::mps;

namespace {

// Offsets and rectangles as lists of integers; the largest unsigned number is -1.

void encodeOffset(Coder& coder, const Offset& o, const std::string& key) {
    coder.encodeIntegers(std::array{o.x, o.y, o.z}, key);
}

std::vector<std::int64_t> decodeList(Coder& coder, const std::string& key, std::size_t count) {
    auto values = coder.decodeIntegers(key);
    if (values.size() != count)
        coder.refuse(key, fmt::format("{} integers", count), fmt::format("{}", values.size()));
    return values;
}

Offset decodeOffset(Coder& coder, const std::string& key) {
    const auto v = decodeList(coder, key, 3);
    return {v[0], v[1], v[2]};
}

void encodeRegion(Coder& coder, const MTL::Region& r, const std::string& key) {
    std::array<std::int64_t, 6> values;
    std::size_t i = 0;
    for (const std::uint64_t v :
         {r.origin.x, r.origin.y, r.origin.z, r.size.width, r.size.height, r.size.depth})
        values[i++] = static_cast<std::int64_t>(v);
    coder.encodeIntegers(values, key);
}

MTL::Region decodeRegion(Coder& coder, const std::string& key) {
    const auto v = decodeList(coder, key, 6);
    const auto at = [&](std::size_t i) { return static_cast<std::uint64_t>(v[i]); };
    return {{at(0), at(1), at(2)}, {at(3), at(4), at(5)}};
}

/// What every kernel with a destination image has.
template <class K>
void encodeDestination(const K& kernel, Coder& coder) {
    encodeRegion(coder, kernel.clipRect(), "clipRect");
    coder.encodeUnsigned(kernel.destinationFeatureChannelOffset(), "destinationFeatureChannelOffset");
    coder.encodeObject(securely(kernel.padding(), kernel.name(), "padding"), "padding");
    coder.encodeObject(
        securely(kernel.destinationImageAllocator(), kernel.name(), "destinationImageAllocator"),
        "destinationImageAllocator");
}

template <class K>
void restoreDestination(K& kernel, Coder& coder) {
    kernel.setClipRect(decodeRegion(coder, "clipRect"));
    kernel.setDestinationFeatureChannelOffset(coder.decodeSize("destinationFeatureChannelOffset"));
    kernel.setPadding(coder.decodeObjectOfClass<NNPadding>("padding"));
    kernel.setDestinationImageAllocator(
        coder.decodeObjectOfClass<ImageAllocator>("destinationImageAllocator"));
}

ImageEdgeMode edgeModeOf(Coder& coder, const std::string& key) {
    return coder.decodeEnum(key, ImageEdgeMode::Constant);
}

void encodeUnary(const CNNKernel& kernel, Coder& coder) {
    encodeDestination(kernel, coder);
    encodeOffset(coder, kernel.offset(), "offset");
    coder.encodeUnsigned(kernel.sourceFeatureChannelOffset(), "sourceFeatureChannelOffset");
    coder.encodeUnsigned(kernel.sourceFeatureChannelMaxCount(), "sourceFeatureChannelMaxCount");
    coder.encodeUnsigned(static_cast<std::uint64_t>(kernel.edgeMode()), "edgeMode");
}

void restoreUnary(CNNKernel& kernel, Coder& coder) {
    restoreDestination(kernel, coder);
    kernel.setOffset(decodeOffset(coder, "offset"));
    kernel.setSourceFeatureChannelOffset(coder.decodeSize("sourceFeatureChannelOffset"));
    kernel.setSourceFeatureChannelMaxCount(coder.decodeSize("sourceFeatureChannelMaxCount"));
    kernel.setEdgeMode(edgeModeOf(coder, "edgeMode"));
}

void encodeBinary(const CNNBinaryKernel& kernel, Coder& coder) {
    encodeDestination(kernel, coder);
    encodeOffset(coder, kernel.primaryOffset(), "primaryOffset");
    encodeOffset(coder, kernel.secondaryOffset(), "secondaryOffset");
    const auto put = [&](std::size_t value, const char* key) { coder.encodeUnsigned(value, key); };
    put(kernel.primarySourceFeatureChannelOffset(), "primarySourceFeatureChannelOffset");
    put(kernel.secondarySourceFeatureChannelOffset(), "secondarySourceFeatureChannelOffset");
    put(kernel.primarySourceFeatureChannelMaxCount(), "primarySourceFeatureChannelMaxCount");
    put(kernel.secondarySourceFeatureChannelMaxCount(), "secondarySourceFeatureChannelMaxCount");
    put(static_cast<std::size_t>(kernel.primaryEdgeMode()), "primaryEdgeMode");
    put(static_cast<std::size_t>(kernel.secondaryEdgeMode()), "secondaryEdgeMode");
    put(kernel.primaryStrideInPixelsX(), "primaryStrideInPixelsX");
    put(kernel.primaryStrideInPixelsY(), "primaryStrideInPixelsY");
    put(kernel.secondaryStrideInPixelsX(), "secondaryStrideInPixelsX");
    put(kernel.secondaryStrideInPixelsY(), "secondaryStrideInPixelsY");
}

void restoreBinary(CNNBinaryKernel& kernel, Coder& coder) {
    restoreDestination(kernel, coder);
    kernel.setPrimaryOffset(decodeOffset(coder, "primaryOffset"));
    kernel.setSecondaryOffset(decodeOffset(coder, "secondaryOffset"));
    kernel.setPrimarySourceFeatureChannelOffset(coder.decodeSize("primarySourceFeatureChannelOffset"));
    kernel.setSecondarySourceFeatureChannelOffset(coder.decodeSize("secondarySourceFeatureChannelOffset"));
    kernel.setPrimarySourceFeatureChannelMaxCount(coder.decodeSize("primarySourceFeatureChannelMaxCount"));
    kernel.setSecondarySourceFeatureChannelMaxCount(
        coder.decodeSize("secondarySourceFeatureChannelMaxCount"));
    kernel.setPrimaryEdgeMode(edgeModeOf(coder, "primaryEdgeMode"));
    kernel.setSecondaryEdgeMode(edgeModeOf(coder, "secondaryEdgeMode"));
    kernel.setPrimaryStrideInPixelsX(coder.decodeSize("primaryStrideInPixelsX"));
    kernel.setPrimaryStrideInPixelsY(coder.decodeSize("primaryStrideInPixelsY"));
    kernel.setSecondaryStrideInPixelsX(coder.decodeSize("secondaryStrideInPixelsX"));
    kernel.setSecondaryStrideInPixelsY(coder.decodeSize("secondaryStrideInPixelsY"));
}

/// One list a property, an element a source.
template <class Get>
void encodeEach(const CNNMultiaryKernel& kernel, Coder& coder, const char* key, Get get) {
    std::vector<std::int64_t> values;
    for (std::size_t i = 0; i < kernel.sourceCount(); ++i)
        values.push_back(static_cast<std::int64_t>(get(i)));
    coder.encodeIntegers(values, key);
}
template <class Set>
void restoreEach(CNNMultiaryKernel& kernel, Coder& coder, const char* key, Set set) {
    const auto values = decodeList(coder, key, kernel.sourceCount());
    for (std::size_t i = 0; i < values.size(); ++i) set(values[i], i);
}

void encodeMultiary(const CNNMultiaryKernel& kernel, Coder& coder) {
    encodeDestination(kernel, coder);
    const auto each = [&](const char* key, auto get) { encodeEach(kernel, coder, key, get); };
    each("offsetX", [&](std::size_t i) { return kernel.offsetAtIndex(i).x; });
    each("offsetY", [&](std::size_t i) { return kernel.offsetAtIndex(i).y; });
    each("offsetZ", [&](std::size_t i) { return kernel.offsetAtIndex(i).z; });
    each("sourceFeatureChannelOffset",
         [&](std::size_t i) { return kernel.sourceFeatureChannelOffsetAtIndex(i); });
    each("sourceFeatureChannelMaxCount",
         [&](std::size_t i) { return kernel.sourceFeatureChannelMaxCountAtIndex(i); });
    each("edgeMode", [&](std::size_t i) { return kernel.edgeModeAtIndex(i); });
    each("kernelWidth", [&](std::size_t i) { return kernel.kernelWidthAtIndex(i); });
    each("kernelHeight", [&](std::size_t i) { return kernel.kernelHeightAtIndex(i); });
    each("strideInPixelsX", [&](std::size_t i) { return kernel.strideInPixelsXatIndex(i); });
    each("strideInPixelsY", [&](std::size_t i) { return kernel.strideInPixelsYatIndex(i); });
    each("dilationRateX", [&](std::size_t i) { return kernel.dilationRateXatIndex(i); });
    each("dilationRateY", [&](std::size_t i) { return kernel.dilationRateYatIndex(i); });
}

void restoreMultiary(CNNMultiaryKernel& kernel, Coder& coder) {
    restoreDestination(kernel, coder);
    const auto each = [&](const char* key, auto set) { restoreEach(kernel, coder, key, set); };
    using Int = std::int64_t;
    const auto size = [](Int v) { return static_cast<std::size_t>(v); };
    const auto offset = [&](std::size_t i, Int Offset::*axis, Int v) {
        auto o = kernel.offsetAtIndex(i);
        o.*axis = v;
        kernel.setOffset(o, i);
    };
    each("offsetX", [&](Int v, std::size_t i) { offset(i, &Offset::x, v); });
    each("offsetY", [&](Int v, std::size_t i) { offset(i, &Offset::y, v); });
    each("offsetZ", [&](Int v, std::size_t i) { offset(i, &Offset::z, v); });
    each("sourceFeatureChannelOffset",
         [&](Int v, std::size_t i) { kernel.setSourceFeatureChannelOffset(size(v), i); });
    each("sourceFeatureChannelMaxCount",
         [&](Int v, std::size_t i) { kernel.setSourceFeatureChannelMaxCount(size(v), i); });
    each("edgeMode", [&](Int v, std::size_t i) {
        if (v < 0 || v > static_cast<Int>(ImageEdgeMode::Constant))
            coder.refuse("edgeMode", fmt::format("0 to {}", static_cast<Int>(ImageEdgeMode::Constant)),
                         fmt::format("{}", v));
        kernel.setEdgeMode(static_cast<ImageEdgeMode>(v), i);
    });
    each("kernelWidth", [&](Int v, std::size_t i) { kernel.setKernelWidth(size(v), i); });
    each("kernelHeight", [&](Int v, std::size_t i) { kernel.setKernelHeight(size(v), i); });
    each("strideInPixelsX", [&](Int v, std::size_t i) { kernel.setStrideInPixelsX(size(v), i); });
    each("strideInPixelsY", [&](Int v, std::size_t i) { kernel.setStrideInPixelsY(size(v), i); });
    each("dilationRateX", [&](Int v, std::size_t i) { kernel.setDilationRateX(size(v), i); });
    each("dilationRateY", [&](Int v, std::size_t i) { kernel.setDilationRateY(size(v), i); });
}

}  // namespace

void Kernel::encodeWithCoder(Coder& coder) const {
    coder.encodeString(label(), "label");
    coder.encodeUnsigned(options(), "options");
    if (const auto* unary = dynamic_cast<const CNNKernel*>(this)) encodeUnary(*unary, coder);
    if (const auto* binary = dynamic_cast<const CNNBinaryKernel*>(this)) encodeBinary(*binary, coder);
    if (const auto* multiary = dynamic_cast<const CNNMultiaryKernel*>(this)) encodeMultiary(*multiary, coder);
    if (const auto* gradient = dynamic_cast<const CNNGradientKernel*>(this)) {
        coder.encodeInteger(gradient->kernelOffsetX(), "kernelOffsetX");
        coder.encodeInteger(gradient->kernelOffsetY(), "kernelOffsetY");
    }
    const auto* entry = ArchivedClasses::instance().find(typeid(*this));
    if (entry && entry->write) entry->write(*this, coder);
}

void Kernel::restoreProperties(Coder& coder) {
    setLabel(coder.decodeString("label"));
    setOptions(coder.decodeUnsigned("options"));
    if (auto* unary = dynamic_cast<CNNKernel*>(this)) restoreUnary(*unary, coder);
    if (auto* binary = dynamic_cast<CNNBinaryKernel*>(this)) restoreBinary(*binary, coder);
    if (auto* multiary = dynamic_cast<CNNMultiaryKernel*>(this)) restoreMultiary(*multiary, coder);
    if (auto* gradient = dynamic_cast<CNNGradientKernel*>(this)) {
        gradient->setKernelOffsetX(coder.decodeInteger("kernelOffsetX"));
        gradient->setKernelOffsetY(coder.decodeInteger("kernelOffsetY"));
    }
}

}  // namespace MPS

namespace pewter::mps {

void archiveCore(ArchivedClasses& classes) {
    using MPS::NNDefaultPadding;
    classes.add("NNDefaultPadding", typeid(NNDefaultPadding), [](MPS::Coder& coder) {
        const auto method = coder.decodeUnsigned("paddingMethod");
        // Two shared objects have the bit Custom, under which no other can be asked for.
        for (const auto& policy : {NNDefaultPadding::paddingForTensorflowAveragePooling(),
                                   NNDefaultPadding::paddingForTensorflowAveragePoolingValidOnly()})
            if (policy->paddingMethod() == method) return policy;
        return NNDefaultPadding::padding(method);
    });
    for (const auto& allocator : {MPS::Image::defaultAllocator(), MPS::TemporaryImage::defaultAllocator()}) {
        const auto coded = std::dynamic_pointer_cast<MPS::SecureCoding>(allocator);
        const MPS::SecureCoding& object = *coded;
        classes.add(object.className(), typeid(object), [coded](MPS::Coder&) { return coded; });
    }
}

}  // namespace pewter::mps
