#include <fmt/format.h>

#include <MPS/CNNBatchNormalization.hpp>

#include "mps/kernels/BatchNormalizationAccess.h"

namespace MPS {

using pewter::mps::BatchNormalizationParameters;
using Access = pewter::mps::BatchNormalizationAccess;

CNNBatchNormalizationState::CNNBatchNormalizationState(
    const StateOwner& owner, const std::shared_ptr<CNNBatchNormalization>& kernel,
    std::shared_ptr<BatchNormalizationParameters> parameters, std::size_t bytesPerValue)
    : NNGradientState(owner, StateResourceList::bufferSizes(
                                 std::vector<std::size_t>(4, parameters->channels * bytesPerValue))),
      kernel_(kernel),
      parameters_(std::move(parameters)) {}

std::shared_ptr<CNNBatchNormalization> CNNBatchNormalizationState::batchNormalization() const {
    return kernel_.lock();
}

void CNNBatchNormalizationState::reset() {
    statisticsCount_ = 0;
    gradientCount_ = 0;
    spent_ = false;
}

std::shared_ptr<MTL::Buffer> CNNBatchNormalizationState::gamma() const { return parameters_->gamma; }
std::shared_ptr<MTL::Buffer> CNNBatchNormalizationState::beta() const { return parameters_->beta; }
std::shared_ptr<MTL::Buffer> CNNBatchNormalizationState::mean() { return Access::mean(*this).buffer; }
std::shared_ptr<MTL::Buffer> CNNBatchNormalizationState::variance() { return Access::variance(*this).buffer; }

std::shared_ptr<MTL::Buffer> CNNBatchNormalizationState::gradientForGamma() {
    return gradientCount_ > 0 ? Access::own(*this, Access::GradientForGamma).buffer : nullptr;
}

std::shared_ptr<MTL::Buffer> CNNBatchNormalizationState::gradientForBeta() {
    return gradientCount_ > 0 ? Access::own(*this, Access::GradientForBeta).buffer : nullptr;
}

void CNNBatchNormalizationState::describe(Facts& facts) const {
    NNGradientState::describe(facts);
    facts.emplace_back("channels", fmt::format("{}", parameters_->channels));
    facts.emplace_back("pixels in statistics", fmt::format("{}", statisticsCount_));
    facts.emplace_back("pixels in gradients", fmt::format("{}", gradientCount_));
}

}  // namespace MPS
