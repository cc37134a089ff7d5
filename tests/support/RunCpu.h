#pragma once

#include <memory>

#include "ops/Backends.h"

namespace pewter::test {

/// The cpu device; null in a build without it.
inline ops::Backend* cpuBackend() {
    static const std::shared_ptr<ops::Backend> backend = ops::cpuBackend().backend;
    return backend.get();
}

/// Runs one operation on the cpu device, on a stream that all tests of a program share.
template <class Op>
void runCpu(const Op& op) {
    static const std::unique_ptr<ops::Stream> stream = cpuBackend()->newStream();
    cpuBackend()->run(op, *stream);
    stream->synchronize();
}

}  // namespace pewter::test

/// For the start of a test: leaves it where the build has no cpu device.
#define PEWTER_NEEDS_CPU() \
    if (!::pewter::test::cpuBackend()) GTEST_SKIP() << "built without the cpu device"
