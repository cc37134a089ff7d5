#pragma once

#include <fmt/format.h>

#include <MPS/State.hpp>
#include <MTL/CommandBuffer.hpp>
#include <MTL/Error.hpp>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>

namespace pewter::mps {

/// Watches the duty of an update method: to lower the read count of a temporary state by one.
class ReadDuty {
public:
    ReadDuty(const char* argument, std::shared_ptr<MPS::State> state)
        : argument_(argument), state_(std::move(state)), before_(state_->readCount()) {}

    /// kept: reads that the method rightly added, by returning the state itself.
    void check(const std::string& kernel, const char* method, std::size_t kept = 0) const {
        if (!state_->isTemporary() || before_ == 0) return;
        const std::size_t expected = before_ - 1 + kept, found = state_->readCount();
        if (found != expected)
            throw MPS::Error(
                kernel, argument_,
                fmt::format("a read count of {} after the data source's {}, one less than before", expected,
                            method),
                fmt::format("{}", found));
    }

private:
    const char* argument_;
    std::shared_ptr<MPS::State> state_;
    std::size_t before_;
};

/// Runs a host update once the command buffer has completed without error. Nobody waits for a handler's
/// exception, so one is reported on stderr, and the weights stay as they were.
inline void whenCompleted(MTL::CommandBuffer& commandBuffer, const std::string& kernel,
                          std::function<void()> update) {
    commandBuffer.addCompletedHandler([kernel, update = std::move(update)](const auto& completed) {
        if (completed->status() != MTL::CommandBufferStatus::Completed) return;
        try {
            update();
        } catch (const std::exception& error) {
            std::fprintf(stderr, "%s: the update on the host failed: %s\n", kernel.c_str(), error.what());
        }
    });
}

}  // namespace pewter::mps
