#pragma once

#include <stdexcept>

namespace pewter::ops {

/// What a backend throws when its device can compute nothing any more, as a GPU after an access to an illegal address. Other
/// exceptions end one command buffer, this one ends all that come later as well.
class DeviceFault : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

}  // namespace pewter::ops
