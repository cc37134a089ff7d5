#include <cstdlib>

// What every test program finds in its environment unless somebody sets it otherwise, before the first device is made.

namespace {

const bool kPrepared = [] {
    // No measurement decides about bits. Other algorithms have tests of their own.
    setenv("PEWTER_CONVOLUTION", "direct", 0);
    // Nothing outside the folders of the tests is read or written.
    setenv("PEWTER_ALGORITHM_CACHE", "off", 0);
    return true;
}();

}  // namespace
