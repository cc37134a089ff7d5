#pragma once

#include <cstdint>
#include <vector>

#include "ops/Tensor.h"

namespace pewter::reference {

/// Bits of the nearest float16 or bfloat16, ties to even; what is too large becomes infinity, a NaN stays one
/// (quiet, sign kept).
std::uint16_t toFloat16(double value);
std::uint16_t toBFloat16(double value);
double fromFloat16(std::uint16_t bits);
double fromBFloat16(std::uint16_t bits);

/// One element, whatever its type. Unorm types read as 0..1; integers and unorm types are stored rounded to
/// nearest (ties to even) and saturated, NaN as 0.
double load(const ops::Tensor& tensor, std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c);
void store(const ops::Tensor& tensor, std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c,
           double value);
double load(const ops::Array& array, std::int64_t i);
void store(const ops::Array& array, std::int64_t i, double value);

/// The elements of a tensor as doubles, dense in N,H,W,C order. Operations read all their operands into
/// Values before they write anything, so that operands may share memory.
class Values {
public:
    /// Zeros.
    Values(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c);
    /// The elements of a tensor; empty for a null one.
    explicit Values(const ops::Tensor& tensor);
    /// Zeros with the extents of a tensor.
    static Values zerosLike(const ops::Tensor& tensor) { return {tensor.n, tensor.h, tensor.w, tensor.c}; }

    double& at(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c) {
        return data_[index(n, h, w, c)];
    }
    double at(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c) const {
        return data_[index(n, h, w, c)];
    }
    /// The channels of one pixel.
    double* pixel(std::int64_t n, std::int64_t h, std::int64_t w) { return &data_[index(n, h, w, 0)]; }
    const double* pixel(std::int64_t n, std::int64_t h, std::int64_t w) const {
        return &data_[index(n, h, w, 0)];
    }

    double& operator[](std::int64_t i) { return data_[static_cast<std::size_t>(i)]; }
    const double& operator[](std::int64_t i) const { return data_[static_cast<std::size_t>(i)]; }
    std::int64_t count() const { return static_cast<std::int64_t>(data_.size()); }
    bool isEmpty() const { return data_.empty(); }

    /// Converts to the type of tensor, which has the same extents.
    void writeTo(const ops::Tensor& tensor) const;

    std::int64_t n, h, w, c;

private:
    std::size_t index(std::int64_t in, std::int64_t ih, std::int64_t iw, std::int64_t ic) const {
        return static_cast<std::size_t>(((in * h + ih) * w + iw) * c + ic);
    }
    std::vector<double> data_;
};

/// The elements of an array as doubles; of a null array: `size` times `absent`.
std::vector<double> valuesOf(const ops::Array& array, std::int64_t size = 0, double absent = 0);
void write(const std::vector<double>& values, const ops::Array& array);

/// Where a read at `position` of an axis of `extent` elements lands: an index, or -1 when it gives 0.
inline std::int64_t edgeIndex(std::int64_t position, std::int64_t extent, ops::Edge edge) {
    if (position >= 0 && position < extent) return position;
    if (edge == ops::Edge::Zero || extent == 0) return -1;
    return position < 0 ? 0 : extent - 1;
}

}  // namespace pewter::reference
