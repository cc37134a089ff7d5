#pragma once

#include <gtest/gtest.h>

#include <MTL/MTL.hpp>

/// A test whose body runs once for each device of the build; the body has `device`.
#define TEST_ON_EVERY_DEVICE(suite, title)                                   \
    static void suite##_##title(const std::shared_ptr<MTL::Device>& device); \
    TEST(suite, title) {                                                     \
        for (const auto& each : MTL::copyAllDevices()) {                     \
            SCOPED_TRACE(each->name());                                      \
            suite##_##title(each);                                           \
        }                                                                    \
    }                                                                        \
    static void suite##_##title(const std::shared_ptr<MTL::Device>& device)
