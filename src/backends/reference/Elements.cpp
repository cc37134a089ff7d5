#include "backends/reference/Elements.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace pewter::reference {

namespace {

/// IEEE-like 16 bit formats: one sign bit, then exponent, then mantissa.
template <int kExponentBits, int kMantissaBits>
struct SmallFloat {
    static constexpr int kBias = (1 << (kExponentBits - 1)) - 1;
    static constexpr std::uint32_t kInfinity = ((1u << kExponentBits) - 1) << kMantissaBits;
    static constexpr std::uint32_t kQuiet = 1u << (kMantissaBits - 1);

    static std::uint16_t encode(double value) {
        const std::uint32_t sign = std::signbit(value) ? 0x8000u : 0u;
        const double magnitude = std::fabs(value);
        std::uint32_t bits = 0;
        if (std::isnan(value)) {
            bits = kInfinity | kQuiet;
        } else if (std::isinf(value)) {
            bits = kInfinity;
        } else if (magnitude != 0) {
            // The spacing of the format at this magnitude; below the normal range it stays the smallest one.
            const int exponent = std::max(std::ilogb(magnitude), 1 - kBias);
            if (exponent > kBias) return static_cast<std::uint16_t>(sign | kInfinity);
            const auto steps =
                static_cast<std::uint32_t>(std::nearbyint(std::ldexp(magnitude, kMantissaBits - exponent)));
            const std::uint32_t one = 1u << kMantissaBits;
            // A mantissa rounded up to 2.0 carries into the exponent field by itself, up to infinity.
            bits = steps < one
                       ? steps
                       : (static_cast<std::uint32_t>(exponent + kBias) << kMantissaBits) + (steps - one);
        }
        return static_cast<std::uint16_t>(sign | bits);
    }

    static double decode(std::uint16_t bits) {
        const int exponent = (bits & kInfinity) >> kMantissaBits;
        const int mantissa = bits & ((1 << kMantissaBits) - 1);
        double magnitude;
        if (exponent == static_cast<int>(kInfinity >> kMantissaBits)) {
            magnitude =
                mantissa ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
        } else if (exponent == 0) {
            magnitude = std::ldexp(mantissa, 1 - kBias - kMantissaBits);
        } else {
            magnitude = std::ldexp(mantissa + (1 << kMantissaBits), exponent - kBias - kMantissaBits);
        }
        return std::copysign(magnitude, bits & 0x8000u ? -1.0 : 1.0);
    }
};

using Half = SmallFloat<5, 10>;
using Brain = SmallFloat<8, 7>;

template <class Integer>
Integer saturate(double value) {
    constexpr double kMaximum = std::numeric_limits<Integer>::max();
    if (std::isnan(value) || value <= 0) return 0;
    return value >= kMaximum ? std::numeric_limits<Integer>::max()
                             : static_cast<Integer>(std::nearbyint(value));
}

// How each ops::Type is stored and converted.
struct Float32Element {
    using Storage = float;
    static double decode(float v) { return v; }
    static float encode(double v) { return static_cast<float>(v); }
};
struct Float64Element {
    using Storage = double;
    static double decode(double v) { return v; }
    static double encode(double v) { return v; }
};
struct Float16Element {
    using Storage = std::uint16_t;
    static double decode(std::uint16_t v) { return Half::decode(v); }
    static std::uint16_t encode(double v) { return Half::encode(v); }
};
struct BFloat16Element {
    using Storage = std::uint16_t;
    static double decode(std::uint16_t v) { return Brain::decode(v); }
    static std::uint16_t encode(double v) { return Brain::encode(v); }
};
template <class Integer>
struct UnormElement {
    using Storage = Integer;
    static constexpr double kOne = std::numeric_limits<Integer>::max();
    static double decode(Integer v) { return v / kOne; }
    static Integer encode(double v) { return saturate<Integer>(v * kOne); }
};
template <class Integer>
struct IntegerElement {
    using Storage = Integer;
    static double decode(Integer v) { return v; }
    static Integer encode(double v) { return saturate<Integer>(v); }
};

/// Calls visit with the element struct of type, so that loops know their type at compile time.
template <class Visitor>
auto dispatch(ops::Type type, Visitor visit) {
    switch (type) {
        case ops::Type::Float32:
            return visit(Float32Element{});
        case ops::Type::Float16:
            return visit(Float16Element{});
        case ops::Type::BFloat16:
            return visit(BFloat16Element{});
        case ops::Type::Unorm8:
            return visit(UnormElement<std::uint8_t>{});
        case ops::Type::Unorm16:
            return visit(UnormElement<std::uint16_t>{});
        case ops::Type::UInt8:
            return visit(IntegerElement<std::uint8_t>{});
        case ops::Type::UInt32:
            return visit(IntegerElement<std::uint32_t>{});
        case ops::Type::Float64:
            break;
    }
    return visit(Float64Element{});
}

std::int64_t position(const ops::Tensor& t, std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c) {
    return n * t.strideN + h * t.strideH + w * t.strideW + c * t.strideC;
}

/// visit(position in the tensor, position in dense order) for every element.
template <class Visitor>
void forEach(const ops::Tensor& t, Visitor visit) {
    std::int64_t i = 0;
    for (std::int64_t n = 0; n < t.n; ++n)
        for (std::int64_t h = 0; h < t.h; ++h)
            for (std::int64_t w = 0; w < t.w; ++w)
                for (std::int64_t c = 0; c < t.c; ++c) visit(position(t, n, h, w, c), i++);
}

}  // namespace

std::uint16_t toFloat16(double value) { return Half::encode(value); }
std::uint16_t toBFloat16(double value) { return Brain::encode(value); }
double fromFloat16(std::uint16_t bits) { return Half::decode(bits); }
double fromBFloat16(std::uint16_t bits) { return Brain::decode(bits); }

double load(const ops::Array& array, std::int64_t i) {
    return dispatch(array.type,
                    [&]<class E>(E) { return E::decode(static_cast<typename E::Storage*>(array.data)[i]); });
}

void store(const ops::Array& array, std::int64_t i, double value) {
    dispatch(array.type,
             [&]<class E>(E) { static_cast<typename E::Storage*>(array.data)[i] = E::encode(value); });
}

double load(const ops::Tensor& t, std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c) {
    return load(ops::Array{t.data, t.type, 0}, position(t, n, h, w, c));
}

void store(const ops::Tensor& t, std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c,
           double value) {
    store(ops::Array{t.data, t.type, 0}, position(t, n, h, w, c), value);
}

Values::Values(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c)
    : n(n), h(h), w(w), c(c), data_(static_cast<std::size_t>(n * h * w * c)) {}

Values::Values(const ops::Tensor& t) : n(t.n), h(t.h), w(t.w), c(t.c) {
    if (t.isNull()) return;
    data_.resize(static_cast<std::size_t>(t.count()));
    dispatch(t.type, [&]<class E>(E) {
        const auto* from = static_cast<const typename E::Storage*>(t.data);
        forEach(t, [&](std::int64_t at, std::int64_t i) { (*this)[i] = E::decode(from[at]); });
    });
}

void Values::writeTo(const ops::Tensor& t) const {
    dispatch(t.type, [&]<class E>(E) {
        auto* to = static_cast<typename E::Storage*>(t.data);
        forEach(t, [&](std::int64_t at, std::int64_t i) { to[at] = E::encode((*this)[i]); });
    });
}

std::vector<double> valuesOf(const ops::Array& array, std::int64_t size, double absent) {
    if (array.isNull()) return std::vector<double>(static_cast<std::size_t>(size), absent);
    std::vector<double> values(static_cast<std::size_t>(array.size));
    dispatch(array.type, [&]<class E>(E) {
        const auto* from = static_cast<const typename E::Storage*>(array.data);
        for (std::size_t i = 0; i < values.size(); ++i) values[i] = E::decode(from[i]);
    });
    return values;
}

void write(const std::vector<double>& values, const ops::Array& array) {
    dispatch(array.type, [&]<class E>(E) {
        auto* to = static_cast<typename E::Storage*>(array.data);
        for (std::size_t i = 0; i < values.size(); ++i) to[i] = E::encode(values[i]);
    });
}

}  // namespace pewter::reference
