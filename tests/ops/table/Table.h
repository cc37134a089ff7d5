#pragma once

#include <MTL/CommandBuffer.hpp>
#include <MTL/Device.hpp>
#include <Pewter/check/OpTable.hpp>

/// The op table: every <Family>.cpp beside this file defines a function of its own name in pewter::optable that makes
/// the family's row; the list of them is made from the file names when the build is configured.
namespace pewter::optable {

const check::OpTable& opTable();

}  // namespace pewter::optable
