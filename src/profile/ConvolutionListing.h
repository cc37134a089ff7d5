#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <vector>

#include "mtl/RunningCommand.h"
#include "ops/ConvolutionChoice.h"
#include "profile/ForwardingBackend.h"

namespace pewter::profile {

/// A convolution as a backend would compute it.
struct ListedConvolution {
    std::string kernel;  ///< label of the command
    ops::ConvolutionChoice choice;
};

/// A device that computes nothing: it asks another one how it would compute the convolutions that are handed to it.
class ConvolutionListing final : public ForwardingBackend {
public:
    /// `chooser`: of the inner backend.
    ConvolutionListing(std::shared_ptr<ops::Backend> inner, ops::ConvolutionChooser& chooser)
        : ForwardingBackend(std::move(inner)), chooser_(chooser) {}

#define PEWTER_DECLARE(Op) \
    void run(const ops::Op& op, ops::Stream&) override { list(op); }
    PEWTER_OPS(PEWTER_DECLARE)
#undef PEWTER_DECLARE

    /// In the order in which they ran, each once.
    std::vector<ListedConvolution> convolutions() const {
        const std::lock_guard lock(mutex_);
        return list_;
    }

private:
    template <class Op>
    void list(const Op& op) {
        if constexpr (requires { chooser_.choiceOf(op); }) {
            const auto choice = chooser_.choiceOf(op);
            const std::lock_guard lock(mutex_);
            for (const auto& known : list_)
                if (known.kernel == mtl::runningCommand() && known.choice.problem == choice.problem) return;
            list_.push_back({mtl::runningCommand(), choice});
        }
    }

    ops::ConvolutionChooser& chooser_;
    mutable std::mutex mutex_;
    std::vector<ListedConvolution> list_;
};

}  // namespace pewter::profile
