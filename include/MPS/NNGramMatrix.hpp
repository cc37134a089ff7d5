#pragma once

#include <memory>
#include <vector>

#include <MPS/CNNGradientKernel.hpp>
#include <MPS/CNNKernel.hpp>

namespace MPS {

/// MPSNNGramMatrixCallback: gives the alpha of a Gram matrix when it is encoded, say 1 / (width * height) of
/// a source whose size is not known before. Called while encoding, on the encoding thread. Source:
/// MPSNNGramMatrix.h.
class PEWTER_API NNGramMatrixCallback {
public:
    virtual ~NNGramMatrixCallback() = default;
    /// For a batch the images are its first ones.   Objective-C: -alphaForSourceImage:destinationImage:
    virtual float alpha(const std::shared_ptr<Image>& sourceImage,
                        const std::shared_ptr<Image>& destinationImage) = 0;
};

/// MPSNNGramMatrixCalculation: the inner products of all pairs of channel planes of an image.
///
///   y[0][f][c] = alpha * sum over the pixels of x_f x_c
///
/// Nothing is centred or divided. Shapes: [N,H,W,C] to [N,1,C,C]: height 1, width C for f, C channels. The
/// padding policy neither sizes nor moves anything; offset and clipRect must stay the defaults, and a given
/// destination must have just that size. State: NNGradientState, one an image, that keeps alpha. Source:
/// MPSNNGramMatrix.h.
class PEWTER_API NNGramMatrixCalculation final : public CNNKernel {
public:
    /// Objective-C: -initWithDevice:alpha: and -initWithDevice: (alpha 1)
    explicit NNGramMatrixCalculation(std::shared_ptr<MTL::Device> device, float alpha = 1);

    float alpha() const { return alpha_; }
    void setAlpha(float alpha) { alpha_ = alpha; }

    /// When set, every encode asks it for alpha, which is the property from then on. Default: null.
    /// (Extension: Apple has it on the graph node.)
    const std::shared_ptr<NNGramMatrixCallback>& propertyCallBack() const { return callBack_; }
    void setPropertyCallBack(std::shared_ptr<NNGramMatrixCallback> callBack) {
        callBack_ = std::move(callBack);
    }

    const char* className() const override { return "NNGramMatrixCalculation"; }
    /// Shares the callback.
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    bool ignoresPadding() const override { return true; }
    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    std::shared_ptr<State> newResultState(const StateOwner& owner, const std::shared_ptr<Image>& sourceImage,
                                          const StateBatch& sourceStates,
                                          const std::shared_ptr<Image>& destinationImage) override;
    void validate(const pewter::mps::UnaryEncoding& encoding) const override;
    void record(pewter::mps::UnaryEncoding& encoding) override;
    std::shared_ptr<pewter::mps::ForwardRecord> captureRecord(const Image& source,
                                                              const Image& destination) const override;

private:
    float alpha_;
    std::shared_ptr<NNGramMatrixCallback> callBack_;
};

/// MPSNNGramMatrixCalculationGradient: with g the incoming gradient, [N,1,C,C], and x the forward *input*,
///
///   dx[v][u][k] = alpha * sum over c of (g[0][k][c] + g[0][c][k]) x[v][u][c]
///
/// Source: MPSNNGramMatrix.h.
class PEWTER_API NNGramMatrixCalculationGradient final : public CNNGradientKernel {
public:
    /// Objective-C: -initWithDevice:alpha: and -initWithDevice: (alpha 1)
    explicit NNGramMatrixCalculationGradient(std::shared_ptr<MTL::Device> device, float alpha = 1);

    /// Every encode replaces it by the forward kernel's, which its gradient state keeps.
    float alpha() const { return alpha_; }
    void setAlpha(float alpha) { alpha_ = alpha; }

    void configure(const pewter::mps::ForwardRecord& forward) override;
    const char* className() const override { return "NNGramMatrixCalculationGradient"; }
    std::shared_ptr<Kernel> copy(const std::shared_ptr<MTL::Device>& device = nullptr) const override;

protected:
    ImageDescriptor adjustDescriptor(const std::vector<std::shared_ptr<Image>>& sourceImages,
                                     const StateBatch& sourceStates,
                                     const ImageDescriptor& suggested) override;
    void validate(const pewter::mps::BinaryEncoding& encoding) const override;
    void record(pewter::mps::BinaryEncoding& encoding) override;

private:
    float alpha_;
};

}  // namespace MPS
