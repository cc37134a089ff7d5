#pragma once

/// Marks what leaves the shared library; everything else is hidden.
#if defined(__GNUC__) || defined(__clang__)
#define PEWTER_API __attribute__((visibility("default")))
#else
#define PEWTER_API
#endif
