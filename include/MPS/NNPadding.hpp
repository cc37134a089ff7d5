#pragma once

#include <memory>
#include <string>
#include <vector>

#include <MPS/SecureCoding.hpp>
#include <MPS/State.hpp>

namespace MPS {

class Kernel;

/// MPSNNPaddingMethod, a bit field (MPSNeuralNetworkTypes.h).
using NNPaddingMethod = std::uint64_t;
inline constexpr NNPaddingMethod NNPaddingMethodAlignCentered = 0;
inline constexpr NNPaddingMethod NNPaddingMethodAlignTopLeft = 1;
inline constexpr NNPaddingMethod NNPaddingMethodAlignBottomRight = 2;
inline constexpr NNPaddingMethod NNPaddingMethodAlign_reserved = 3;
inline constexpr NNPaddingMethod NNPaddingMethodAlignMask = 3;
inline constexpr NNPaddingMethod NNPaddingMethodAddRemainderToTopLeft = 0;
inline constexpr NNPaddingMethod NNPaddingMethodAddRemainderToTopRight = 4;
inline constexpr NNPaddingMethod NNPaddingMethodAddRemainderToBottomLeft = 8;
inline constexpr NNPaddingMethod NNPaddingMethodAddRemainderToBottomRight = 12;
inline constexpr NNPaddingMethod NNPaddingMethodAddRemainderToMask = 12;
inline constexpr NNPaddingMethod NNPaddingMethodSizeValidOnly = 0;
inline constexpr NNPaddingMethod NNPaddingMethodSizeSame = 0x10;
inline constexpr NNPaddingMethod NNPaddingMethodSizeFull = 0x20;
inline constexpr NNPaddingMethod NNPaddingMethodSize_reserved = 0x30;
inline constexpr NNPaddingMethod NNPaddingMethodSizeMask = 0x7F0;
inline constexpr NNPaddingMethod NNPaddingMethodCustomAllowForNodeFusion = 0x2000;
inline constexpr NNPaddingMethod NNPaddingMethodCustomWhitelistForNodeFusion = 0x2000;
inline constexpr NNPaddingMethod NNPaddingMethodCustom = 0x4000;
inline constexpr NNPaddingMethod NNPaddingMethodExcludeEdges = 0x8000;

/// MPSNNPadding: sizes the result of an encode that returns its image, and places the filter window.
class PEWTER_API NNPadding {
public:
    virtual ~NNPadding();
    /// Objective-C: -paddingMethod
    virtual NNPaddingMethod paddingMethod() const = 0;
    /// For logs; empty by default.
    virtual std::string label() const;
    /// Called last when paddingMethod() has the bit Custom: gets the default result, with the kernel's offset already
    /// set; returns the descriptor to use and may change the kernel. Kernel properties other than the offset stay changed.
    /// Objective-C: -destinationImageDescriptorForSourceImages:sourceStates:forKernel:suggestedDescriptor:
    virtual ImageDescriptor destinationImageDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                                       const StateBatch& sourceStates, Kernel& kernel,
                                                       const ImageDescriptor& suggestedDescriptor);
    /// A policy for the gradient pass, or null.   Objective-C: -inverse
    virtual std::shared_ptr<NNPadding> inverse() const;
};

/// MPSNNDefaultPadding: the ready-made policies.
class PEWTER_API NNDefaultPadding final : public NNPadding, public SecureCoding {
public:
    /// The shared object for a method without the bit Custom. Throws MPS::Error for reserved bits.
    /// Objective-C: +paddingWithMethod:
    static std::shared_ptr<NNDefaultPadding> padding(NNPaddingMethod method);
    /// Same size, remainder to the bottom right, and edge mode Clamp: divides by the valid area only.
    /// Objective-C: +paddingForTensorflowAveragePooling
    static std::shared_ptr<NNDefaultPadding> paddingForTensorflowAveragePooling();
    /// Valid only, the window starts at pixel 0, edge mode Clamp.
    /// Objective-C: +paddingForTensorflowAveragePoolingValidOnly
    static std::shared_ptr<NNDefaultPadding> paddingForTensorflowAveragePoolingValidOnly();

    NNPaddingMethod paddingMethod() const override { return method_; }
    std::string label() const override;
    ImageDescriptor destinationImageDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                               const StateBatch& sourceStates, Kernel& kernel,
                                               const ImageDescriptor& suggestedDescriptor) override;
    /// ValidOnly and Full change places, the rest stays; the TensorFlow policies are their own inverse.
    std::shared_ptr<NNPadding> inverse() const override;

    const char* className() const override { return "NNDefaultPadding"; }
    void encodeWithCoder(Coder& coder) const override;

private:
    explicit NNDefaultPadding(NNPaddingMethod method) : method_(method) {}
    NNPaddingMethod method_;
};

}  // namespace MPS
