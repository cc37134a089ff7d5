#include "mps/graph/Step.h"

#include <MPS/CNNBinaryKernel.hpp>
#include <MPS/CNNKernel.hpp>
#include <MPS/NNGramMatrix.hpp>
#include <MPS/NNLoss.hpp>
#include <MPS/NNPadding.hpp>
#include <Pewter/HostKernel.hpp>

#include "mps/core/StateAccess.h"

namespace pewter::mps {

bool isUsers(const MPS::NNPadding& policy) {
    return (policy.paddingMethod() & MPS::NNPaddingMethodCustom) &&
           !dynamic_cast<const MPS::NNDefaultPadding*>(&policy);
}

bool Step::isReplayable() {
    if (!replayable_) return false;
    MPS::Kernel& k = kernel();
    if (const auto* unary = dynamic_cast<const MPS::CNNKernel*>(&k); unary && isUsers(*unary->padding())) return false;
    if (const auto* binary = dynamic_cast<const MPS::CNNBinaryKernel*>(&k); binary && isUsers(*binary->padding()))
        return false;
    if (const auto* gram = dynamic_cast<const MPS::NNGramMatrixCalculation*>(&k); gram && gram->propertyCallBack())
        return false;
    if (const auto* loss = dynamic_cast<const MPS::NNForwardLoss*>(&k); loss && loss->propertyCallBack())
        return false;
    return !dynamic_cast<const HostKernel*>(&k) && !dynamic_cast<const HostGradientKernel*>(&k);
}

MPS::StateBatch Step::makeStates(const MPS::StateOwner&, const StepArguments&) { return {}; }

std::vector<MPS::StateBatch> Step::makeFurtherStates(const MPS::StateOwner&, const StepArguments&,
                                                     const std::vector<bool>&) {
    return {};
}

void Step::planUpdate(const StepArguments& arguments) {
    for (std::size_t i = 0; i < arguments.states.size(); ++i)
        for (std::size_t n = updateReads(i); n > 0; --n) consumeStates(arguments.states[i], kernel().name());
}

}  // namespace pewter::mps
