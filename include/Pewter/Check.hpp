#pragma once

/// Everything of pewter::check: op tables, gradient checks, comparisons of devices.
#include <Pewter/check/Checks.hpp>
#include <Pewter/check/KernelCases.hpp>
#include <Pewter/check/OpCase.hpp>
#include <Pewter/check/OpTable.hpp>
