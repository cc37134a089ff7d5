#include <fmt/format.h>

#include <MPS/NNPad.hpp>
#include <MPS/NNReshape.hpp>
#include <MPS/NNSlice.hpp>

#include "mps/kernels/ArchiveValues.h"

namespace pewter::mps {

using namespace MPS;

struct PadAccess {
    static const std::vector<float>* fillValues(const NNPad& kernel) { return kernel.fillValues_.get(); }
};

namespace {

void encodeCoordinate(Coder& coder, const ImageCoordinate& c, const std::string& key) {
    encodeSize(coder, {c.x, c.y, c.channel}, key);
}
ImageCoordinate decodeCoordinate(Coder& coder, const std::string& key) {
    const auto size = decodeSize(coder, key);
    return {size.width, size.height, size.depth};
}

void encodePad(const NNPad& kernel, Coder& coder) {
    encodeCoordinate(coder, kernel.paddingSizeBefore(), "paddingSizeBefore");
    encodeCoordinate(coder, kernel.paddingSizeAfter(), "paddingSizeAfter");
    coder.encodeDouble(kernel.fillValue(), "fillValue");
    if (const auto* values = PadAccess::fillValues(kernel)) coder.encodeFloats(*values, "fillValueArray");
}

std::shared_ptr<NNPad> makePad(Coder& coder, const Device& device) {
    const auto before = decodeCoordinate(coder, "paddingSizeBefore"),
               after = decodeCoordinate(coder, "paddingSizeAfter");
    auto kernel = coder.containsValue("fillValueArray")
                      ? std::make_shared<NNPad>(device, before, after, coder.decodeFloats("fillValueArray"))
                      : std::make_shared<NNPad>(device, before, after);
    kernel->setFillValue(coder.decodeFloat("fillValue"));
    return kernel;
}

}  // namespace

void archiveShape(ArchivedClasses& classes) {
    classes.addKernel<NNPad>("NNPad", encodePad, makePad);
    classes.addKernel<NNPadGradient>("NNPadGradient");
    classes.addKernel<NNReshape>("NNReshape");
    classes.addKernel<NNReshapeGradient>("NNReshapeGradient");
    classes.addKernel<NNSlice>("NNSlice");
}

}  // namespace pewter::mps
