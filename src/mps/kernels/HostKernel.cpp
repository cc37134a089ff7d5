#include <Pewter/HostKernel.hpp>

#include "mps/core/Encoder.h"

namespace pewter {

namespace {

using mps::Encoder;
using mps::TensorRef;

/// Host functions see doubles; on the way lies the widest type that the device computes with.
ops::Type wayType(const Encoder& encoder) {
    return encoder.backend().supports(ops::Type::Float64) ? ops::Type::Float64 : ops::Type::Float32;
}

TensorRef denseCopy(Encoder& encoder, const TensorRef& from) {
    const auto& s = from.shape;
    const auto to = encoder.scratch(wayType(encoder), s.n, s.h, s.w, s.c);
    encoder.run([from, to] {
        ops::Copy op;
        op.src = from.tensor();
        op.dst = to.tensor();
        return op;
    });
    return to;
}

HostTensor zerosLike(const TensorRef& ref) {
    const auto& s = ref.shape;
    HostTensor t{static_cast<std::size_t>(s.n), static_cast<std::size_t>(s.h), static_cast<std::size_t>(s.w),
                 static_cast<std::size_t>(s.c), {}};
    t.values.assign(static_cast<std::size_t>(s.count()), 0.0);
    return t;
}

HostTensor read(const TensorRef& ref) {
    HostTensor t = zerosLike(ref);
    const ops::Tensor from = ref.tensor();
    for (std::size_t i = 0; i < t.values.size(); ++i)
        t.values[i] = from.type == ops::Type::Float64 ? static_cast<const double*>(from.data)[i]
                                                      : static_cast<const float*>(from.data)[i];
    return t;
}

void write(const HostTensor& t, const TensorRef& ref) {
    const ops::Tensor to = ref.tensor();
    for (std::size_t i = 0; i < t.values.size(); ++i)
        if (to.type == ops::Type::Float64)
            static_cast<double*>(to.data)[i] = t.values[i];
        else
            static_cast<float*>(to.data)[i] = static_cast<float>(t.values[i]);
}

/// A function that changed the extents of what it was given would write past the memory behind it.
void checkExtents(const HostTensor& t, const TensorRef& ref, const std::string& label) {
    if (t.values.size() != static_cast<std::size_t>(ref.shape.count()))
        throw MTL::Error(label, "computation", std::to_string(ref.shape.count()) + " values in destination",
                         std::to_string(t.values.size()));
}

void copyBack(Encoder& encoder, const TensorRef& from, const TensorRef& to) {
    encoder.run([from, to] {
        ops::Copy op;
        op.src = from.tensor();
        op.dst = to.tensor();
        return op;
    });
}

MTL::Region regionOf(const mps::Clip& clip) {
    const auto size = [](std::int64_t v) { return static_cast<std::size_t>(v); };
    return {{size(clip.x), size(clip.y), 0}, {size(clip.width), size(clip.height), 1}};
}

}  // namespace

std::shared_ptr<MPS::State> HostKernel::newResultState(const MPS::StateOwner& owner,
                                                       const std::shared_ptr<MPS::Image>&, const MPS::StateBatch&,
                                                       const std::shared_ptr<MPS::Image>&) {
    return std::make_shared<MPS::NNGradientState>(owner, MPS::StateResourceList());
}

void HostKernel::record(mps::UnaryEncoding& encoding) {
    auto& encoder = *encoding.encoder;
    const auto source = denseCopy(encoder, encoding.source);
    const auto& s = encoding.destination.shape;
    const auto result = encoder.scratch(wayType(encoder), s.n, s.h, s.w, s.c);
    const HostGeometry geometry{offset(), regionOf(encoding.clip), edgeMode()};
    encoder.runHost([source, result, geometry, run = computation(), label = encoder.label()] {
        HostTensor destination = zerosLike(result);
        run(read(source), geometry, destination);
        checkExtents(destination, result, label);
        write(destination, result);
    });
    copyBack(encoder, result, encoding.destination);
}

void HostGradientKernel::record(mps::BinaryEncoding& encoding) {
    auto& encoder = *encoding.encoder;
    const auto gradient = denseCopy(encoder, encoding.primary), source = denseCopy(encoder, encoding.secondary);
    const auto to = encoder.wholeGradient(encoding.destination, encoding.clip, encoding.secondary.shape.w,
                                          encoding.secondary.shape.h);
    const auto result = encoder.scratch(wayType(encoder), to.shape.n, to.shape.h, to.shape.w, to.shape.c);
    const auto& gradientShape = encoding.primary.shape;
    const HostGeometry geometry{secondaryOffset(),
                                {{0, 0, 0},
                                 {static_cast<std::size_t>(gradientShape.w), static_cast<std::size_t>(gradientShape.h), 1}},
                                secondaryEdgeMode()};
    encoder.runHost([gradient, source, result, geometry, run = computation(), label = encoder.label()] {
        HostTensor destination = zerosLike(result);
        run(read(gradient), read(source), geometry, destination);
        checkExtents(destination, result, label);
        write(destination, result);
    });
    copyBack(encoder, result, to);
}

}  // namespace pewter
