#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <random>
#include <vector>

#include "backends/reference/Elements.h"
#include "ops/Tensor.h"

/// Tensors and arrays that own their memory, for tests of backends:
///
///     Random random(7);
///     OpTensor src(Type::Float16, 2, 5, 4, 3, Layout::gaps());   // n, h, w, c; a strided view with guard
///     bytes src.fillIntegers(random, -4, 4);                           // or fillUniform(random, -1, 1),
///     setValues({...}), fill(0) OpTensor dst(Type::Float32, 2, 5, 4, 3);                   // dense
///     backend.run(ops::Copy{src, dst}, stream);                  // converts to ops::Tensor by itself
///     EXPECT_EQ(dst.values(), src.values());                     // doubles in N,H,W,C order; at(n, h, w, c)
///     for one EXPECT_TRUE(dst.guardsIntact());                           // nothing outside the view was
///     written
namespace pewter::test {

/// Seeded numbers that are the same with every standard library.
class Random {
public:
    explicit Random(std::uint64_t seed) : engine_(seed) {}
    /// An integer in [low, high].
    std::int64_t integer(std::int64_t low, std::int64_t high) {
        return low + static_cast<std::int64_t>(engine_() % static_cast<std::uint64_t>(high - low + 1));
    }
    /// A number in [low, high), 53 random bits.
    double uniform(double low, double high) {
        return low + (high - low) * (static_cast<double>(engine_() >> 11) * 0x1p-53);
    }
    bool coin() { return (engine_() & 1) != 0; }

private:
    std::mt19937_64 engine_;
};

/// Elements left free: between two channels, after each pixel, each row, each image, and before the first
/// element.
struct Layout {
    std::int64_t channel = 0, pixel = 0, row = 0, image = 0, before = 0;

    static Layout dense() { return {}; }
    /// A view into a larger image: more channels, columns and rows than the tensor shows. Channels stay back
    /// to back.
    static Layout gaps() { return {0, 3, 5, 7, 2}; }
    /// Channels are not back to back either.
    static Layout scattered() { return {2, 1, 3, 4, 1}; }
};

namespace detail {
constexpr std::size_t kGuardBytes = 64;
constexpr unsigned char kGuard = 0xA5;

/// Zeroed elements in the middle of guard bytes.
class Storage {
public:
    void* make(std::size_t bytes) {
        bytes_.assign(bytes + 2 * kGuardBytes, kGuard);
        covered_.assign(bytes_.size(), false);
        return bytes_.data() + kGuardBytes;
    }
    void cover(std::size_t offset, std::size_t size) {
        for (std::size_t i = kGuardBytes + offset; i < kGuardBytes + offset + size; ++i) {
            covered_[i] = true;
            bytes_[i] = 0;
        }
    }
    bool intact() const {
        for (std::size_t i = 0; i < bytes_.size(); ++i)
            if (!covered_[i] && bytes_[i] != kGuard) return false;
        return true;
    }
    void* data() { return bytes_.data() + kGuardBytes; }

private:
    std::vector<unsigned char> bytes_;
    std::vector<bool> covered_;
};
}  // namespace detail

/// A tensor with its memory; zeros at first. Copying copies the elements (and guards).
class OpTensor {
public:
    OpTensor() = default;
    OpTensor(ops::Type type, std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c,
             Layout layout = Layout::dense()) {
        view_ = {nullptr, type, n, h, w, c, 0, 0, 0, layout.channel + 1};
        view_.strideW = c * view_.strideC + layout.pixel;
        view_.strideH = w * view_.strideW + layout.row;
        view_.strideN = h * view_.strideH + layout.image;
        before_ = static_cast<std::size_t>(layout.before) * ops::sizeOf(type);
        const std::size_t size = ops::sizeOf(type);
        storage_.make(before_ + static_cast<std::size_t>(n * view_.strideN) * size);
        forEach([&](std::int64_t in, std::int64_t ih, std::int64_t iw, std::int64_t ic) {
            const auto at = in * view_.strideN + ih * view_.strideH + iw * view_.strideW + ic * view_.strideC;
            storage_.cover(before_ + static_cast<std::size_t>(at) * size, size);
        });
    }
    OpTensor(ops::Type type, std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c,
             const std::vector<double>& values, Layout layout = Layout::dense())
        : OpTensor(type, n, h, w, c, layout) {
        setValues(values);
    }

    OpTensor(ops::Type type, std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c,
             std::initializer_list<double> values, Layout layout = Layout::dense())
        : OpTensor(type, n, h, w, c, std::vector<double>(values), layout) {}

    /// The view; a null one for a tensor made without arguments. Lives as long as this object.
    ops::Tensor view() const {
        ops::Tensor out = view_;
        if (out.count() > 0) out.data = static_cast<unsigned char*>(storage_.data()) + before_;
        return out;
    }
    operator ops::Tensor() const { return view(); }  // NOLINT: meant to convert

    ops::Type type() const { return view_.type; }
    std::int64_t count() const { return view_.count(); }

    double at(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c) const {
        return reference::load(view(), n, h, w, c);
    }
    void set(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c, double value) {
        reference::store(view(), n, h, w, c, value);
    }
    /// Element i in N,H,W,C order.
    double at(std::int64_t i) const {
        return at(i / (view_.c * view_.w * view_.h), i / (view_.c * view_.w) % view_.h, i / view_.c % view_.w,
                  i % view_.c);
    }
    void set(std::int64_t i, double value) {
        set(i / (view_.c * view_.w * view_.h), i / (view_.c * view_.w) % view_.h, i / view_.c % view_.w,
            i % view_.c, value);
    }

    /// All elements in N,H,W,C order.
    std::vector<double> values() const {
        std::vector<double> out;
        forEach([&](auto n, auto h, auto w, auto c) { out.push_back(at(n, h, w, c)); });
        return out;
    }
    void setValues(const std::vector<double>& values) {
        std::size_t i = 0;
        forEach([&](auto n, auto h, auto w, auto c) { set(n, h, w, c, values.at(i++)); });
    }
    void fill(double value) {
        forEach([&](auto n, auto h, auto w, auto c) { set(n, h, w, c, value); });
    }
    void fillIntegers(Random& random, std::int64_t low, std::int64_t high) {
        forEach([&](auto n, auto h, auto w, auto c) {
            set(n, h, w, c, static_cast<double>(random.integer(low, high)));
        });
    }
    void fillUniform(Random& random, double low, double high) {
        forEach([&](auto n, auto h, auto w, auto c) { set(n, h, w, c, random.uniform(low, high)); });
    }

    /// The same elements in another type or layout.
    OpTensor as(ops::Type type, Layout layout = Layout::dense()) const {
        return {type, view_.n, view_.h, view_.w, view_.c, values(), layout};
    }
    /// Whether every byte around and between the elements is untouched.
    bool guardsIntact() const { return storage_.intact(); }

private:
    template <class Visitor>
    void forEach(Visitor visit) const {
        for (std::int64_t n = 0; n < view_.n; ++n)
            for (std::int64_t h = 0; h < view_.h; ++h)
                for (std::int64_t w = 0; w < view_.w; ++w)
                    for (std::int64_t c = 0; c < view_.c; ++c) visit(n, h, w, c);
    }

    ops::Tensor view_;
    std::size_t before_ = 0;
    mutable detail::Storage storage_;
};

/// An array with its memory; zeros at first.
class OpArray {
public:
    OpArray() = default;
    OpArray(ops::Type type, std::int64_t size) : type_(type), size_(size) {
        storage_.make(static_cast<std::size_t>(size) * ops::sizeOf(type));
        storage_.cover(0, static_cast<std::size_t>(size) * ops::sizeOf(type));
    }
    OpArray(ops::Type type, const std::vector<double>& values)
        : OpArray(type, static_cast<std::int64_t>(values.size())) {
        setValues(values);
    }

    OpArray(ops::Type type, std::initializer_list<double> values)
        : OpArray(type, std::vector<double>(values)) {}

    /// The view; a null one for an array made without arguments.
    ops::Array view() const {
        if (size_ == 0) return {nullptr, type_, 0};
        return {storage_.data(), type_, size_};
    }
    operator ops::Array() const { return view(); }  // NOLINT: meant to convert

    std::int64_t size() const { return size_; }
    double at(std::int64_t i) const { return reference::load(view(), i); }
    void set(std::int64_t i, double value) { reference::store(view(), i, value); }
    std::vector<double> values() const { return reference::valuesOf(view()); }
    void setValues(const std::vector<double>& values) {
        for (std::int64_t i = 0; i < size_; ++i) set(i, values.at(static_cast<std::size_t>(i)));
    }
    void fill(double value) {
        for (std::int64_t i = 0; i < size_; ++i) set(i, value);
    }
    void fillIntegers(Random& random, std::int64_t low, std::int64_t high) {
        for (std::int64_t i = 0; i < size_; ++i) set(i, static_cast<double>(random.integer(low, high)));
    }
    void fillUniform(Random& random, double low, double high) {
        for (std::int64_t i = 0; i < size_; ++i) set(i, random.uniform(low, high));
    }
    bool guardsIntact() const { return storage_.intact(); }

private:
    ops::Type type_ = ops::Type::Float32;
    std::int64_t size_ = 0;
    mutable detail::Storage storage_;
};

}  // namespace pewter::test
