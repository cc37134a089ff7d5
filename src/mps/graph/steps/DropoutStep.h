#pragma once

#include <MPS/CNNDropout.hpp>
#include <memory>

#include "mps/graph/steps/UnaryStep.h"
#include "mps/kernels/DropoutAccess.h"

namespace pewter::mps {

/// Dropout, whose encodes are counted: each draws another mask.
class DropoutStep : public UnaryStep {
public:
    explicit DropoutStep(std::shared_ptr<MPS::CNNDropout> kernel)
        : UnaryStep(kernel), dropout_(std::move(kernel)) {}

    void encode(const StepArguments& arguments) override {
        before_ = DropoutAccess::encodes(*dropout_);
        UnaryStep::encode(arguments);
    }
    void rewind() override { DropoutAccess::setEncodes(*dropout_, before_); }

private:
    std::shared_ptr<MPS::CNNDropout> dropout_;
    std::uint64_t before_ = 0;
};

}  // namespace pewter::mps
