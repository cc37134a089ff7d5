#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "TestKernel.h"

using namespace pewter::test;
using testing::ElementsAre;

TEST(KernelOptions, AVerboseKernelSaysOneLineForEachEncode) {
    const auto commands = testQueue()->commandBuffer();
    const auto source = makeImage(4, 4, 1), result = makeImage(4, 4, 1);
    CopyKernel kernel;
    kernel.setLabel("loud");
    const Diagnostics diagnostics;
    kernel.encode(commands, source, result);
    EXPECT_THAT(diagnostics.messages, ElementsAre());
    kernel.setOptions(MPS::KernelOptionsVerbose);
    kernel.encode(commands, source, result);
    EXPECT_THAT(
        diagnostics.messages,
        ElementsAre(
            "CopyKernel 'loud' encodes on device reference: command 2, 0 bytes of temporary memory in use"));
    run(commands);
}

TEST(KernelOptions, TheEnvironmentVariableMakesNewKernelsVerbose) {
    const char* before = std::getenv("MPS_LOG_INFO");
    if (before) GTEST_SKIP() << "set for this whole run";
    EXPECT_EQ(CopyKernel().options(), MPS::KernelOptionsNone);
    ::setenv("MPS_LOG_INFO", "1", 1);
    EXPECT_EQ(CopyKernel().options(), MPS::KernelOptionsVerbose);
    ::unsetenv("MPS_LOG_INFO");
}
