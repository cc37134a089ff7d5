#pragma once

#include "ops/Backend.h"

namespace pewter::reference {

/// The oracle: every computation as its formula reads, in double, one element after the other. Slow, and
/// meant to be easy to believe.
class Reference : public ops::Backend {
public:
    std::string name() const override { return "reference"; }
    std::string description() const override { return "plain loops in double precision, one thread"; }
    int threads() const override { return 1; }

    void* allocate(std::size_t bytes) override;
    void deallocate(void* memory, std::size_t bytes) noexcept override;

    bool supports(ops::Type imageType) const override;

#define PEWTER_DECLARE(Op) void run(const ops::Op& op, ops::Stream& stream) override;
    PEWTER_OPS(PEWTER_DECLARE)
#undef PEWTER_DECLARE
};

}  // namespace pewter::reference
