#include <Pewter/HostKernel.hpp>

#include <algorithm>

#include "mps/core/Encoder.h"
#include "mps/core/StateAccess.h"

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

/// The elements of a dense tensor.
mtl::HostView view(const TensorRef& ref, mtl::HostAccess access) {
    const auto bytes = static_cast<std::size_t>(ref.shape.count()) * ops::sizeOf(ref.shape.type);
    return {*ref.buffer, ref.byteOffset, bytes, access};
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
    const auto from = view(ref, mtl::HostAccess::Read);
    for (std::size_t i = 0; i < t.values.size(); ++i)
        t.values[i] = ref.shape.type == ops::Type::Float64 ? from.as<double>()[i] : from.as<float>()[i];
    return t;
}

void write(const HostTensor& t, const TensorRef& ref) {
    const auto to = view(ref, mtl::HostAccess::Write);
    for (std::size_t i = 0; i < t.values.size(); ++i)
        if (ref.shape.type == ops::Type::Float64)
            to.as<double>()[i] = t.values[i];
        else
            to.as<float>()[i] = static_cast<float>(t.values[i]);
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

/// Gradient and source through host memory to a gradient as large as the source.
void recordGradient(const MPS::CNNGradientKernel& kernel, mps::BinaryEncoding& encoding,
                    HostGradientKernel::Computation run) {
    auto& encoder = *encoding.encoder;
    const auto gradient = denseCopy(encoder, encoding.primary), source = denseCopy(encoder, encoding.secondary);
    const auto to = encoder.wholeGradient(encoding.destination, encoding.clip, encoding.secondary.shape.w,
                                          encoding.secondary.shape.h);
    const auto result = encoder.scratch(wayType(encoder), to.shape.n, to.shape.h, to.shape.w, to.shape.c);
    const auto& gradientShape = encoding.primary.shape;
    const HostGeometry geometry{kernel.secondaryOffset(),
                                {{0, 0, 0},
                                 {static_cast<std::size_t>(gradientShape.w), static_cast<std::size_t>(gradientShape.h), 1}},
                                kernel.secondaryEdgeMode()};
    encoder.runHost([gradient, source, result, geometry, run = std::move(run), label = encoder.label()] {
        HostTensor destination = zerosLike(result);
        run(read(gradient), read(source), geometry, destination);
        checkExtents(destination, result, label);
        write(destination, result);
    });
    copyBack(encoder, result, to);
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

void HostGradientKernel::record(mps::BinaryEncoding& encoding) { recordGradient(*this, encoding, computation()); }

// --- with a state ---

namespace {

std::int64_t countOf(const HostState& state) { return static_cast<std::int64_t>(state.images() * state.size()); }

/// The numbers of some states, `size` an image, in the order of their images.
struct StateNumbers {
    std::size_t images = 0, size = 0;
    std::vector<mps::ArrayRef> arrays;

    StateNumbers(const MPS::StateBatch& states, std::size_t pictures) {
        if (states.empty()) return;
        images = pictures;
        size = dynamic_cast<const HostState&>(*states[0]).size();
        for (const auto& state : states)
            arrays.push_back(mps::StateAccess::array(*state, 0, countOf(dynamic_cast<const HostState&>(*state)),
                                                     ops::Type::Float64));
    }
    HostTensor zeros() const { return {images, 1, 1, size, std::vector<double>(images * size)}; }
    HostTensor read() const {
        HostTensor t = zeros();
        move(mtl::HostAccess::Read, [](double* number, double& value) { value = *number; }, t);
        return t;
    }
    void write(HostTensor& t) const {
        move(mtl::HostAccess::ReadWrite, [](double* number, double& value) { *number = value; }, t);
    }

private:
    template <class Move>
    void move(mtl::HostAccess access, Move one, HostTensor& t) const {
        std::size_t next = 0;
        for (const auto& ref : arrays) {
            const auto count = static_cast<std::size_t>(ref.size);
            const mtl::HostView view(*ref.buffer, ref.byteOffset, count * sizeof(double), access);
            for (std::size_t i = 0; i < count && next < t.values.size(); ++i)
                one(view.as<double>() + i, t.values[next++]);
        }
    }
};

void checkStates(const MPS::Kernel& kernel, const char* argument, const MPS::StateBatch& states, std::size_t images,
                 std::size_t size) {
    for (const auto& state : states) {
        const auto* own = dynamic_cast<const HostState*>(state.get());
        if (!own || own->size() != size || own->images() * states.size() < images)
            throw MTL::Error(kernel.name(), argument,
                             "a HostState of " + std::to_string(size) + " numbers for each of " +
                                 std::to_string(images) + " images",
                             state ? state->description() : "null");
    }
}

}  // namespace

HostState::HostState(const MPS::StateOwner& owner, std::size_t images, std::size_t size)
    : NNGradientState(owner, MPS::StateResourceList::bufferSizes({images * size * sizeof(double)})),
      images_(images),
      size_(size) {}

HostState::HostState(const std::shared_ptr<MTL::Device>& device, const std::vector<double>& values)
    : HostState(MPS::StateOwner::of(device), 1, values.size()) {
    mtl::writeBytes(*mps::StateAccess::buffer(*this, 0), 0, values.data(), values.size() * sizeof(double));
}

std::vector<double> HostState::values() {
    if (isTemporary())
        throw MTL::Error(className(), "values", "a state that outlives its command buffer", "a temporary one");
    return mtl::valuesOf<double>(*mps::StateAccess::buffer(*this, 0), countOf(*this));
}

void HostState::describe(Facts& facts) const {
    NNGradientState::describe(facts);
    facts.emplace_back("numbers", std::to_string(images_) + " x " + std::to_string(size_));
}

void HostStateKernel::encode(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                             const std::shared_ptr<MPS::Image>& sourceImage,
                             const std::shared_ptr<MPS::State>& sourceState,
                             const std::shared_ptr<MPS::State>& destinationState,
                             const std::shared_ptr<MPS::Image>& destinationImage) {
    const auto batchOf = [](const auto& state) { return state ? MPS::StateBatch{state} : MPS::StateBatch{}; };
    encodeImages(commandBuffer, {sourceImage}, batchOf(sourceState), batchOf(destinationState), {destinationImage},
                 false);
}

void HostStateKernel::encodeBatch(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                                  const MPS::ImageBatch& sourceImages, const MPS::StateBatch& sourceStates,
                                  const MPS::StateBatch& destinationStates,
                                  const MPS::ImageBatch& destinationImages) {
    if (destinationImages.size() != sourceImages.size())
        throw MTL::Error(name(), "destinationImages", std::to_string(sourceImages.size()) + " images, as many as sources",
                         std::to_string(destinationImages.size()));
    encodeImages(commandBuffer, sourceImages, sourceStates, destinationStates, destinationImages, true);
}

std::shared_ptr<MPS::State> HostStateKernel::newResultState(const MPS::StateOwner& owner,
                                                            const std::shared_ptr<MPS::Image>& sourceImage,
                                                            const MPS::StateBatch&,
                                                            const std::shared_ptr<MPS::Image>& destinationImage) {
    return std::make_shared<HostState>(owner, sourceImage->numberOfImages(),
                                       stateSize(*sourceImage, *destinationImage));
}

void HostStateKernel::validate(const mps::UnaryEncoding& encoding) const {
    const std::size_t size = stateSize(*encoding.sources[0], *encoding.destinations[0]);
    checkStates(*this, "sourceStates", encoding.sourceStates, encoding.images, size);
    checkStates(*this, "destinationStates", encoding.destinationStates, encoding.images, size);
}

void HostStateKernel::record(mps::UnaryEncoding& encoding) {
    auto& encoder = *encoding.encoder;
    const auto source = denseCopy(encoder, encoding.source);
    const auto& s = encoding.destination.shape;
    const auto result = encoder.scratch(wayType(encoder), s.n, s.h, s.w, s.c);
    const HostGeometry geometry{offset(), regionOf(encoding.clip), edgeMode()};
    const StateNumbers before(encoding.sourceStates, encoding.images);
    StateNumbers after(encoding.destinationStates, encoding.images);
    after.images = encoding.images;
    after.size = stateSize(*encoding.sources[0], *encoding.destinations[0]);
    encoder.runHost([source, result, geometry, before, after, run = computation(), label = encoder.label()] {
        HostTensor destination = zerosLike(result), state = after.zeros();
        run(read(source), before.read(), geometry, destination, state);
        checkExtents(destination, result, label);
        if (state.values.size() != after.images * after.size)
            throw MTL::Error(label, "computation", std::to_string(after.images * after.size) + " values in state",
                             std::to_string(state.values.size()));
        write(destination, result);
        after.write(state);
    });
    copyBack(encoder, result, encoding.destination);
}

bool HostStateGradientKernel::accepts(const MPS::State& state) const {
    return dynamic_cast<const HostState*>(&state) != nullptr;
}

void HostStateGradientKernel::record(mps::BinaryEncoding& encoding) {
    const StateNumbers state(encoding.sourceStates, encoding.images);
    recordGradient(*this, encoding,
                   [state, run = computation()](const HostTensor& gradient, const HostTensor& source,
                                                const HostGeometry& forward, HostTensor& destination) {
                       run(gradient, source, state.read(), forward, destination);
                   });
}

}  // namespace pewter
