#pragma once

#include <MTL/Resource.hpp>
#include <memory>

#include "mtl/Buffer.h"
#include "ops/Tensor.h"

namespace pewter::mps {

/// An ops::Tensor whose address is looked up when the command runs; keeps its memory alive until then.
struct TensorRef {
    std::shared_ptr<MTL::Buffer> buffer;
    std::size_t byteOffset = 0;
    /// Extents and strides; data stays null.
    ops::Tensor shape;

    explicit operator bool() const { return buffer != nullptr; }

    ops::Tensor tensor() const {
        ops::Tensor t = shape;
        if (buffer) t.data = mtl::addressOf(*buffer) + byteOffset;
        return t;
    }

    TensorRef shifted(std::int64_t elements) const {
        TensorRef r = *this;
        r.byteOffset = static_cast<std::size_t>(static_cast<std::int64_t>(byteOffset) +
                                                elements * static_cast<std::int64_t>(ops::sizeOf(shape.type)));
        return r;
    }
    /// The rectangle (x, y, w, h); must lie inside.
    TensorRef region(std::int64_t x, std::int64_t y, std::int64_t w, std::int64_t h) const {
        TensorRef r = shifted(y * shape.strideH + x * shape.strideW);
        r.shape.w = w;
        r.shape.h = h;
        return r;
    }
    TensorRef channels(std::int64_t first, std::int64_t count) const {
        TensorRef r = shifted(first * shape.strideC);
        r.shape.c = count;
        return r;
    }
    TensorRef images(std::int64_t first, std::int64_t count) const {
        TensorRef r = shifted(first * shape.strideN);
        r.shape.n = count;
        return r;
    }
};

/// The same for dense runs of elements.
struct ArrayRef {
    std::shared_ptr<MTL::Buffer> buffer;
    std::size_t byteOffset = 0;
    ops::Type type = ops::Type::Float32;
    std::int64_t size = 0;

    explicit operator bool() const { return buffer != nullptr; }

    ops::Array array() const {
        return {buffer ? mtl::addressOf(*buffer) + byteOffset : nullptr, type, buffer ? size : 0};
    }
    /// The run seen as an image-shaped tensor.
    ops::Tensor tensor(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c) const {
        return ops::Tensor::dense(buffer ? mtl::addressOf(*buffer) + byteOffset : nullptr, type, n, h, w, c);
    }
};

}  // namespace pewter::mps
