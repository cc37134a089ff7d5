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
    /// With the mask of this encode.
    void recompute(const StepArguments& arguments) override {
        const auto next = DropoutAccess::encodes(*dropout_);
        DropoutAccess::setEncodes(*dropout_, before_);
        UnaryStep::encode(arguments);
        DropoutAccess::setEncodes(*dropout_, next);
    }
    std::shared_ptr<std::uint64_t> recordNumber() override {
        const auto cell = std::make_shared<std::uint64_t>(0);
        DropoutAccess::setSequenceOfRun(*dropout_, cell);
        before_ = DropoutAccess::encodes(*dropout_);
        return cell;
    }
    std::uint64_t nextNumber() override {
        before_ = DropoutAccess::encodes(*dropout_);
        DropoutAccess::setEncodes(*dropout_, before_ + 1);
        return before_;
    }
    void rewind() override {
        DropoutAccess::setEncodes(*dropout_, before_);
        DropoutAccess::setSequenceOfRun(*dropout_, nullptr);
    }

    StepParts parts() override;

private:
    std::shared_ptr<MPS::CNNDropout> dropout_;
    std::uint64_t before_ = 0;
};

}  // namespace pewter::mps
