#include "backends/cuda/Cuda.h"
#include "backends/cuda/Launch.cuh"
#include "ops/Dropout.h"
#include "ops/Random.h"

namespace pewter::PEWTER_CUDA_NAMESPACE {

namespace {

/// Which random numbers a mask is made of.
struct Draw {
    float keepProbability;
    std::uint64_t seed, sequence;
    const std::uint64_t* sequenceOfRun;  // on the device; null: sequence holds

    /// Mask elements 4*block .. 4*block+3 of an image.
    PEWTER_DEVICE void four(std::uint32_t image, std::uint32_t block, bool (&keep)[4]) const {
        const auto draws = ops::uniformBlock(seed, sequenceOfRun ? *sequenceOfRun : sequence, image, block);
        for (int l = 0; l < 4; ++l) keep[l] = draws[static_cast<std::size_t>(l)] < keepProbability;
    }
    PEWTER_DEVICE float scaled(float x, bool keep) const { return x * (keep ? 1.0f : 0.0f) / keepProbability; }
};

struct alignas(4) FourBytes {
    std::uint8_t lane[4];
};

/// Draws the mask, four elements a thread and call.
struct DrawMask {
    Draw draw;
    std::uint8_t* mask;
    std::int64_t elements, blocks;  // of one image

    PEWTER_DEVICE void operator()(std::int64_t i) const {
        const std::int64_t image = i / blocks, first = i % blocks * 4;
        bool keep[4];
        draw.four(static_cast<std::uint32_t>(image), static_cast<std::uint32_t>(first / 4), keep);
        for (int l = 0; l < 4 && first + l < elements; ++l) mask[image * elements + first + l] = keep[l];
    }
};

template <class T>
struct alignas(4 * sizeof(T)) Four {
    T lane[4];
};

/// Draws and applies a mask with a number for every element; all dense, images of a multiple of four elements.
template <class T>
struct DrawAndApply {
    Draw draw;
    FourBytes* mask;
    const Four<T>* src;
    Four<T>* dst;
    std::int64_t blocks;

    PEWTER_DEVICE void operator()(std::int64_t i) const {
        bool keep[4];
        draw.four(static_cast<std::uint32_t>(i / blocks), static_cast<std::uint32_t>(i % blocks), keep);
        const Four<T> in = src[i];
        Four<T> out;
        FourBytes bytes;
        for (int l = 0; l < 4; ++l) {
            bytes.lane[l] = keep[l];
            fromFloat(out.lane[l], draw.scaled(toFloat(in.lane[l]), keep[l]));
        }
        mask[i] = bytes;
        dst[i] = out;
    }
};

/// diffSrc = diffDst * mask / keepProbability, all dense and of one size.
template <class T>
struct ApplyFour {
    const FourBytes* mask;
    const Four<T>* src;
    Four<T>* dst;
    float keepProbability;

    PEWTER_DEVICE void operator()(std::int64_t i) const {
        const FourBytes bytes = mask[i];
        const Four<T> in = src[i];
        Four<T> out;
        for (int l = 0; l < 4; ++l)
            fromFloat(out.lane[l], toFloat(in.lane[l]) * static_cast<float>(bytes.lane[l]) / keepProbability);
        dst[i] = out;
    }
};

/// The same for any views; element (v,u) takes mask element (v+offsetY, u+offsetX).
struct Apply {
    View src, dst, mask;
    float keepProbability;
    std::int64_t offsetY, offsetX;

    PEWTER_DEVICE void operator()(const Position& p) const {
        const int row = mask.h == 1 ? 0 : edgeIndex(p.h + offsetY, mask.h, ops::Edge::Zero);
        const int column = mask.w == 1 ? 0 : edgeIndex(p.w + offsetX, mask.w, ops::Edge::Zero);
        const float keep = row < 0 || column < 0 ? 0 : load(mask, p.n, row, column, mask.c == 1 ? 0 : p.c);
        store(dst, p, load(src, p) * keep / keepProbability);
    }
};

bool isAligned(const ops::Tensor& t) { return t.isDense() && reinterpret_cast<std::uintptr_t>(t.data) % 16 == 0; }

/// Whether elements of src, dst and mask meet in fours.
bool inFours(const ops::Tensor& src, const ops::Tensor& dst, const ops::Tensor& mask) {
    return mask.sameExtents(src) && src.type == dst.type && isAligned(src) && isAligned(dst) && isAligned(mask) &&
           mask.h * mask.w * mask.c % 4 == 0;
}

template <class T>
void drawAndApply(CudaStream& stream, const Draw& draw, const ops::DropoutForward& op) {
    const std::int64_t blocks = op.mask.h * op.mask.w * op.mask.c / 4;
    forEach(stream, op.mask.n * blocks,
            DrawAndApply<T>{draw, static_cast<FourBytes*>(resolve(op.mask.data)),
                            static_cast<const Four<T>*>(resolve(op.src.data)),
                            static_cast<Four<T>*>(resolve(op.dst.data)), blocks});
}

template <class T>
void applyFours(CudaStream& stream, const ops::DropoutGradient& op) {
    forEach(stream, op.diffDst.count() / 4,
            ApplyFour<T>{static_cast<const FourBytes*>(resolve(op.mask.data)),
                         static_cast<const Four<T>*>(resolve(op.diffDst.data)),
                         static_cast<Four<T>*>(resolve(op.diffSrc.data)), op.keepProbability});
}

}  // namespace

void Cuda::run(const ops::DropoutForward& op, ops::Stream& stream) {
    CudaStream& s = streamOf(stream);
    const Draw draw{op.keepProbability, op.seed, op.sequence,
                    op.sequenceOfRun ? s.numberOnDevice(op.sequenceOfRun) : nullptr};
    if (inFours(op.src, op.dst, op.mask)) {
        if (op.src.type == ops::Type::Float32) return drawAndApply<float>(s, draw, op);
        if (op.src.type == ops::Type::Float16) return drawAndApply<Half>(s, draw, op);
        if (op.src.type == ops::Type::BFloat16) return drawAndApply<Brain>(s, draw, op);
    }
    const View mask = viewOf(op.mask);
    const std::int64_t elements = op.mask.h * op.mask.w * op.mask.c, blocks = (elements + 3) / 4;
    forEach(s, op.mask.n * blocks, DrawMask{draw, reinterpret_cast<std::uint8_t*>(mask.data), elements, blocks});
    forEachElement(s, viewOf(op.dst), Apply{viewOf(op.src), viewOf(op.dst), mask, op.keepProbability, 0, 0});
}

void Cuda::run(const ops::DropoutGradient& op, ops::Stream& stream) {
    CudaStream& s = streamOf(stream);
    if (op.offsetX == 0 && op.offsetY == 0 && inFours(op.diffDst, op.diffSrc, op.mask)) {
        if (op.diffDst.type == ops::Type::Float32) return applyFours<float>(s, op);
        if (op.diffDst.type == ops::Type::Float16) return applyFours<Half>(s, op);
        if (op.diffDst.type == ops::Type::BFloat16) return applyFours<Brain>(s, op);
    }
    const View diffSrc = viewOf(op.diffSrc);
    forEachElement(s, diffSrc,
                   Apply{viewOf(op.diffDst), diffSrc, viewOf(op.mask), op.keepProbability, op.offsetY, op.offsetX});
}

}  // namespace pewter::PEWTER_CUDA_NAMESPACE
