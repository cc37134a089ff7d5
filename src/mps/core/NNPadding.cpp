#include <fmt/format.h>

#include <MPS/Archive.hpp>
#include <MPS/CNNBinaryKernel.hpp>
#include <MPS/CNNKernel.hpp>
#include <MPS/NNPadding.hpp>
#include <map>
#include <mutex>

namespace MPS {

NNPadding::~NNPadding() = default;
std::string NNPadding::label() const { return {}; }

ImageDescriptor NNPadding::destinationImageDescriptor(const std::vector<std::shared_ptr<Image>>&, const StateBatch&,
                                                      Kernel&, const ImageDescriptor& suggested) {
    return suggested;
}

std::shared_ptr<NNPadding> NNPadding::inverse() const { return nullptr; }

namespace {

/// Shared objects: equal methods are the same object.
std::shared_ptr<NNDefaultPadding> shared(NNPaddingMethod method,
                                         const std::function<std::shared_ptr<NNDefaultPadding>()>& make) {
    static std::mutex mutex;
    static auto& known = *new std::map<NNPaddingMethod, std::shared_ptr<NNDefaultPadding>>;
    std::lock_guard lock(mutex);
    auto& slot = known[method];
    if (!slot) slot = make();
    return slot;
}

constexpr NNPaddingMethod kTensorflowSame = NNPaddingMethodCustom | NNPaddingMethodSizeSame |
                                            NNPaddingMethodAlignCentered | NNPaddingMethodAddRemainderToBottomRight;
constexpr NNPaddingMethod kTensorflowValid =
    NNPaddingMethodCustom | NNPaddingMethodSizeValidOnly | NNPaddingMethodAlignBottomRight;

}  // namespace

std::shared_ptr<NNDefaultPadding> NNDefaultPadding::padding(NNPaddingMethod method) {
    const auto size = method & NNPaddingMethodSizeMask;
    if ((method & NNPaddingMethodAlignMask) == NNPaddingMethodAlign_reserved || size > NNPaddingMethodSizeFull ||
        size % 0x10 != 0)
        throw Error("NNDefaultPadding", "method", "alignment and size bits that are not reserved",
                    fmt::format("{:#x}", method));
    if (method & NNPaddingMethodCustom)
        throw Error("NNDefaultPadding", "method", "a method without the bit Custom, which needs a class of its own",
                    fmt::format("{:#x}", method));
    return shared(method, [&] { return std::shared_ptr<NNDefaultPadding>(new NNDefaultPadding(method)); });
}

std::shared_ptr<NNDefaultPadding> NNDefaultPadding::paddingForTensorflowAveragePooling() {
    return shared(kTensorflowSame,
                  [] { return std::shared_ptr<NNDefaultPadding>(new NNDefaultPadding(kTensorflowSame)); });
}

std::shared_ptr<NNDefaultPadding> NNDefaultPadding::paddingForTensorflowAveragePoolingValidOnly() {
    return shared(kTensorflowValid,
                  [] { return std::shared_ptr<NNDefaultPadding>(new NNDefaultPadding(kTensorflowValid)); });
}

std::string NNDefaultPadding::label() const {
    if (method_ == kTensorflowSame) return "TensorFlow average pooling, same size";
    if (method_ == kTensorflowValid) return "TensorFlow average pooling, valid only";
    const auto size = method_ & NNPaddingMethodSizeMask;
    return fmt::format("{} size, method {:#x}",
                       size == NNPaddingMethodSizeSame   ? "same"
                       : size == NNPaddingMethodSizeFull ? "full"
                                                         : "valid",
                       method_);
}

ImageDescriptor NNDefaultPadding::destinationImageDescriptor(const std::vector<std::shared_ptr<Image>>&,
                                                             const StateBatch&, Kernel& kernel,
                                                             const ImageDescriptor& suggested) {
    // Both custom policies are the TensorFlow ones, whose word is the edge mode.
    if (auto* unary = dynamic_cast<CNNKernel*>(&kernel)) unary->setEdgeMode(ImageEdgeMode::Clamp);
    if (auto* binary = dynamic_cast<CNNBinaryKernel*>(&kernel)) binary->setPrimaryEdgeMode(ImageEdgeMode::Clamp);
    return suggested;
}

std::shared_ptr<NNPadding> NNDefaultPadding::inverse() const {
    if (method_ == kTensorflowSame) return paddingForTensorflowAveragePooling();
    if (method_ == kTensorflowValid) return paddingForTensorflowAveragePoolingValidOnly();
    const auto size = method_ & NNPaddingMethodSizeMask;
    if (size == NNPaddingMethodSizeSame) return padding(method_);
    const auto rest = method_ & ~NNPaddingMethodSizeMask;
    return padding(rest | (size == NNPaddingMethodSizeFull ? NNPaddingMethodSizeValidOnly : NNPaddingMethodSizeFull));
}

void NNDefaultPadding::encodeWithCoder(Coder& coder) const { coder.encodeUnsigned(method_, "paddingMethod"); }

}  // namespace MPS
