#pragma once

#include <Pewter/train/Dataset.hpp>
#include <cstdint>

namespace pewter::train {

/// Part of the digits that is held out for testing, and the seed that chooses it. They never change, and have
/// nothing to do with the seed of a training run.
inline constexpr double kDigitsHeldOut = 0.2;
inline constexpr std::uint64_t kDigitsSplitSeed = 2026;

/// The 1,797 hand-written digits of 8 x 8 pixels that are part of the library, in the order of the source.
/// Pixels 0 to 16 of the source are scaled to 0 to 255. Needs no file at run time.
/// Source: UCI Machine Learning Repository, «Optical Recognition of Handwritten Digits», E. Alpaydin and C.
/// Kaynak, CC BY 4.0 (data/README.md).
PEWTER_API Dataset digitsDataset();

/// digitsDataset().split(kDigitsHeldOut, kDigitsSplitSeed): 1,438 digits to learn from, 359 to be tested on.
PEWTER_API TrainTest digitsSplit();

}  // namespace pewter::train
