#pragma once

#include <MPS/Handle.hpp>
#include <MPS/ImageScale.hpp>
#include <MPS/NNPadding.hpp>
#include <MTL/Types.hpp>
#include <memory>

#include "mps/graph/steps/UnaryStep.h"

namespace pewter::mps {

/// A scale kernel whose result is sized by its node and whose transforms come from a provider, if there is
/// one.
class ScaleStep : public UnaryStep {
public:
    /// handle: that of the source node.
    ScaleStep(std::shared_ptr<MPS::ImageScale> kernel, const MTL::Size& outputSize,
              std::shared_ptr<MPS::ImageTransformProvider> provider, std::shared_ptr<MPS::Handle> handle,
              std::shared_ptr<MPS::NNPadding> padding)
        : UnaryStep(kernel),
          kernel_(std::move(kernel)),
          size_(outputSize),
          provider_(std::move(provider)),
          handle_(std::move(handle)),
          padding_(std::move(padding)) {
        if (provider_ || isUsers(*padding_)) refuseReplay();
    }

    MPS::ImageDescriptor describe(const std::vector<std::shared_ptr<MPS::Image>>& images,
                                  const MPS::StateBatch& states) override;
    void encode(const StepArguments& arguments) override;
    StepParts parts() override;

private:
    std::shared_ptr<MPS::ImageScale> kernel_;
    MTL::Size size_;
    std::shared_ptr<MPS::ImageTransformProvider> provider_;
    std::shared_ptr<MPS::Handle> handle_;
    std::shared_ptr<MPS::NNPadding> padding_;
};

}  // namespace pewter::mps
