#pragma once

#include <MPS/CNNGradientKernel.hpp>
#include <initializer_list>
#include <string_view>

#include "mps/core/Encoder.h"
#include "mps/core/ForwardRecord.h"

namespace pewter::mps {

// Checks that the gradient kernels without weights share. All throw MPS::Error before anything is recorded.

/// The record of the first state. Every state of the batch must come from a kernel whose class begins with
/// one of `classes`, and from one configuration of it.
const ForwardRecord& requireRecord(const MPS::Kernel& kernel, const MPS::StateBatch& states,
                                   std::initializer_list<std::string_view> classes);

/// A record made by one of `classes`.
const ForwardRecord& requireRecord(const MPS::Kernel& kernel,
                                   const std::shared_ptr<const ForwardRecord>& record,
                                   std::initializer_list<std::string_view> classes);

/// Source image and incoming gradient have the extents and channels of the forward pass.
void requireForwardImages(const MPS::CNNGradientKernel& kernel, const BinaryEncoding& encoding,
                          const ForwardRecord& record);
/// Only the incoming gradient: its channels, and at least the forward clip rectangle from (x, y) on.
void requireForwardGradient(const MPS::CNNGradientKernel& kernel, const BinaryEncoding& encoding,
                            const ForwardRecord& record, std::size_t channels, std::int64_t x,
                            std::int64_t y);

/// When the incoming gradient is wider than what the forward kernel wrote, takes the channels it wrote, else all.
void takeGradientSlice(MPS::CNNGradientKernel& kernel, const MPS::Image& gradient,
                       const ForwardRecord& record, std::size_t channels);
/// The same from the arguments of adjustDescriptor().
void takeGradientSlice(MPS::CNNGradientKernel& kernel,
                       const std::vector<std::shared_ptr<MPS::Image>>& sourceImages,
                       const MPS::StateBatch& sourceStates);

}  // namespace pewter::mps
