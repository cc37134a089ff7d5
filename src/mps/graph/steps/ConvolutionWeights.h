#pragma once

#include <MPS/CNNConvolutionState.hpp>
#include <memory>

#include "mps/kernels/ConvolutionAccess.h"

namespace pewter::mps {

/// A kernel of the convolution family that holds weights, whatever its class.
class ConvolutionWeights {
public:
    using Values = std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>;
    using Buffer = std::shared_ptr<MTL::CommandBuffer>;

    virtual ~ConvolutionWeights() = default;
    virtual void reload(const Buffer& commandBuffer, const Values& values) = 0;
    virtual void reloadFromDataSource() = 0;
};

/// One that computes forward: its weights can be exported.
class ForwardWeights : public ConvolutionWeights {
public:
    virtual Values exported(const Buffer& commandBuffer, bool temporary) = 0;
    /// The weights themselves (ConvolutionAccess::exportForUpdate).
    virtual Values exportedForUpdate(const Buffer& commandBuffer) = 0;
};

template <class Kernel, class Base = ConvolutionWeights>
class WeightsOf : public Base {
public:
    using typename Base::Buffer;
    using typename Base::Values;

    explicit WeightsOf(std::shared_ptr<Kernel> kernel) : kernel_(std::move(kernel)) {}
    void reload(const Buffer& commandBuffer, const Values& values) override {
        kernel_->reloadWeightsAndBiases(commandBuffer, values);
    }
    void reloadFromDataSource() override { kernel_->reloadWeightsAndBiasesFromDataSource(); }

protected:
    std::shared_ptr<Kernel> kernel_;
};

template <class Kernel>
class ForwardWeightsOf final : public WeightsOf<Kernel, ForwardWeights> {
public:
    using typename ForwardWeights::Buffer;
    using typename ForwardWeights::Values;

    using WeightsOf<Kernel, ForwardWeights>::WeightsOf;
    Values exported(const Buffer& commandBuffer, bool temporary) override {
        return this->kernel_->exportWeightsAndBiases(commandBuffer, temporary);
    }
    Values exportedForUpdate(const Buffer& commandBuffer) override {
        return ConvolutionAccess::exportForUpdate(*this->kernel_, commandBuffer);
    }
};

}  // namespace pewter::mps
