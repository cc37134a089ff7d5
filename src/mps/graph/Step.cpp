#include "mps/graph/Step.h"

#include "mps/core/StateAccess.h"

namespace pewter::mps {

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
