#include "mps/graph/JoinedUpdates.h"

#include <utility>

namespace pewter::mps {

namespace {

std::size_t bytesOf(const StepArguments& arguments) {
    std::size_t bytes = 0;
    for (const auto& states : arguments.states) bytes += MPS::StateBatchResourceSize(states);
    return bytes;
}

}  // namespace

JoinedUpdates::JoinedUpdates(const GraphProgram& program) {
    for (const auto& step : program.steps) {
        const void* group = step.step->updateGroup();
        // A gradient step belongs where the forward step does whose state it reads.
        for (std::size_t i = 0; !group && i < step.states.size(); ++i)
            if (const std::size_t maker = program.states[step.states[i]].producer; maker != kNone)
                group = program.steps[maker].step->updateGroup();
        groups_.push_back(group);
    }
}

bool JoinedUpdates::endBefore(std::size_t index) const {
    if (waiting_.empty()) return false;
    return index >= groups_.size() || waitingGroups_.contains(groups_[index]);
}

bool JoinedUpdates::mayWait(std::size_t index, const StepArguments& arguments) const {
    return index < groups_.size() && groups_[index] && bytesOf(arguments) <= kMostBytes;
}

bool JoinedUpdates::isFullFor(const StepArguments& arguments) const {
    return bytes_ + bytesOf(arguments) > kMostWaiting;
}

void JoinedUpdates::add(std::size_t index, const StepArguments& arguments) {
    bytes_ += bytesOf(arguments);
    waitingGroups_.insert(groups_[index]);
    Waiting waiting{index, {}};
    waiting.arguments.commandBuffer = arguments.commandBuffer;
    waiting.arguments.states = arguments.states;
    waiting.arguments.batch = arguments.batch;
    waiting_.push_back(std::move(waiting));
}

std::vector<JoinedUpdates::Waiting> JoinedUpdates::take() {
    bytes_ = 0;
    waitingGroups_.clear();
    return std::exchange(waiting_, {});
}

}  // namespace pewter::mps
