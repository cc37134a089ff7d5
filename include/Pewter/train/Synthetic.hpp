#pragma once

#include <cstdint>

#include <Pewter/train/Dataset.hpp>
#include <Pewter/train/Network.hpp>

namespace pewter::train {

/// Pictures for a network that has no data of its own, from the seed alone: the same on every machine. A picture is a mosaic
/// of 4 x 4 colours under noise. For classes the mosaic is that of the class; for images every picture has one of its own,
/// and the target is its negative without the noise, channel c from channel c modulo those of the picture. So there is
/// something to learn, and test pictures are of the same kind.
/// Throws MPS::Error when either count is 0 or there are more than 65536 classes.
PEWTER_API TrainTest syntheticSplit(const NetworkDescription& network, std::size_t trainCount, std::size_t testCount,
                                    std::uint64_t seed);

}  // namespace pewter::train
