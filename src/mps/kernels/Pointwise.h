#pragma once

#include <MPS/CNNKernel.hpp>

#include "mps/core/Encoder.h"
#include "mps/core/ForwardRecord.h"

namespace pewter::mps {

// Pixel by pixel kernels: clip pixel i of the result comes from source pixel offset + i.

/// What a pointwise kernel reads for its clip rectangle.
inline TensorRef pointwiseSource(const UnaryEncoding& encoding, const MPS::CNNKernel& kernel) {
    return encoding.encoder->region(encoding.source, kernel.offset().x, kernel.offset().y,
                                    encoding.clip.width, encoding.clip.height, edgeOf(kernel.edgeMode()));
}

/// A rectangle of the forward source and where it starts.
struct PointwiseArea {
    std::int64_t x = 0, y = 0, width = 0, height = 0;
    ops::Edge edge = ops::Edge::Zero;
};

/// Where the gradient of an area of the forward source goes: straight to the whole gradient if the area is
/// all of it, else to scratch whose adjoint read finish() appends (zeros elsewhere, edge pixels credited
/// under Clamp).
class PointwiseResult {
public:
    PointwiseResult(Encoder& encoder, const TensorRef& whole, const PointwiseArea& area)
        : encoder_(encoder), whole_(whole), target_(whole), area_(area) {
        if (area.x != 0 || area.y != 0 || area.width != whole.shape.w || area.height != whole.shape.h)
            target_ =
                encoder.scratch(whole.shape.type, whole.shape.n, area.height, area.width, whole.shape.c);
    }

    const TensorRef& target() const { return target_; }

    void finish() {
        if (target_.buffer == whole_.buffer) return;
        encoder_.run([from = target_, to = whole_, area = area_] {
            ops::CopyGradient op;
            op.src = from.tensor();
            op.dst = to.tensor();
            op.offsetX = area.x;
            op.offsetY = area.y;
            op.edge = area.edge;
            return op;
        });
    }

private:
    Encoder& encoder_;
    TensorRef whole_, target_;
    PointwiseArea area_;
};

/// The area that a forward pass read, placed as the gradient kernel's secondary properties say.
inline PointwiseArea areaOf(const MPS::CNNBinaryKernel& kernel, const ForwardRecord& record) {
    return {kernel.secondaryOffset().x, kernel.secondaryOffset().y,
            static_cast<std::int64_t>(record.clip.size.width),
            static_cast<std::int64_t>(record.clip.size.height), edgeOf(kernel.secondaryEdgeMode())};
}

/// The incoming gradient of that area.
inline TensorRef gradientOf(const BinaryEncoding& encoding, const MPS::CNNBinaryKernel& kernel,
                            const PointwiseArea& area) {
    return encoding.primary.region(kernel.primaryOffset().x, kernel.primaryOffset().y, area.width,
                                   area.height);
}

/// Configuration of a pointwise gradient kernel besides the properties of similar name.
inline void configurePrimary(MPS::CNNBinaryKernel& kernel, const ForwardRecord& record) {
    kernel.setPrimaryOffset({static_cast<std::int64_t>(record.clip.origin.x),
                             static_cast<std::int64_t>(record.clip.origin.y), kernel.primaryOffset().z});
}

}  // namespace pewter::mps
