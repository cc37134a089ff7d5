#pragma once

#include <gtest/gtest.h>

#include <MTL/MTL.hpp>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <string>

/// Tests of one device of the machine, if it is there, and in processes of their own.
namespace pewter::test {

/// Null where this machine or build has no such device.
inline std::shared_ptr<MTL::Device> deviceNamed(const std::string& name) {
    for (const auto& device : MTL::copyAllDevices())
        if (device->name() == name) return device;
    return nullptr;
}

/// Runs a body and leaves the process the ordinary way, destructors included: with 0 if nothing of it failed. A child's own
/// failures are not printed by GoogleTest, hence here.
[[noreturn]] inline void runAndLeave(const std::function<void()>& body) {
    body();
    const auto& result = *testing::UnitTest::GetInstance()->current_test_info()->result();
    int failures = 0;
    for (int i = 0; i < result.total_part_count(); ++i)
        if (const auto& part = result.GetTestPartResult(i); part.failed()) {
            std::cerr << part.file_name() << ":" << part.line_number() << ": " << part.message() << "\n";
            ++failures;
        }
    std::exit(failures ? 1 : 0);
}

/// Runs a body in a process that begins anew (a GPU does not survive a fork) and fails where the body does: for what spoils
/// a device for the rest of a process, and for what a process does once.
inline void expectFineApart(const std::function<void()>& body) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(runAndLeave(body), testing::ExitedWithCode(0), "");
}

}  // namespace pewter::test
