#pragma once

#include <MPS/NNReshape.hpp>
#include <memory>

#include "mps/graph/steps/UnaryStep.h"
#include "mps/kernels/ReshapeAccess.h"

namespace pewter::mps {

/// A reshape whose result is sized by its node.
class ReshapeStep final : public UnaryStep {
public:
    ReshapeStep(std::shared_ptr<MPS::NNReshape> kernel, std::size_t width, std::size_t height, std::size_t channels)
        : UnaryStep(kernel), kernel_(std::move(kernel)), width_(width), height_(height), channels_(channels) {}

    MPS::ImageDescriptor describe(const std::vector<std::shared_ptr<MPS::Image>>& images,
                                  const MPS::StateBatch& states) override {
        return ReshapeAccess::describe(*kernel_, images, states, width_, height_, channels_);
    }
    StepParts parts() override;

private:
    std::shared_ptr<MPS::NNReshape> kernel_;
    std::size_t width_, height_, channels_;
};

}  // namespace pewter::mps
