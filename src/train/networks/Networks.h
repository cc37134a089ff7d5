#pragma once

#include <Pewter/train/Network.hpp>

/// The networks for classes of digits; the others are public.
namespace pewter::train {

NetworkDescription digitsNetwork();
NetworkDescription mnistNetwork();

}  // namespace pewter::train
