#pragma once

#include <algorithm>
#include <string>

/// A device's name where the names of tests allow letters, digits and underscores: "cuda_0".
inline std::string testNameOf(std::string device) {
    std::replace(device.begin(), device.end(), ':', '_');
    return device;
}
