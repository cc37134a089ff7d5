#pragma once

#include <gmock/gmock.h>

#include <MPS/CNNGradientKernel.hpp>
#include <MPS/CNNKernel.hpp>
#include <functional>

#include "Compare.h"
#include "Fixtures.h"
#include "WeightedKernels.h"

/// A kernel without weights and its gradient, run in every way that must give the same numbers.
namespace pewter::test {

using testing::HasSubstr;

/// Extents of a batch.
struct Extents {
    std::size_t n = 1, h = 1, w = 1, c = 1;
    std::size_t count() const { return n * h * w * c; }
};

inline Extents extentsOf(const Json& tensor) {
    const auto shape = tensor.at("shape").get<std::vector<std::size_t>>();
    return {shape.at(0), shape.at(1), shape.at(2), shape.at(3)};
}

/// Images of their own memory each, or lying back to back.
enum class Memory { Loose, Together };

inline MPS::ImageBatch imagesOf(const DevicePtr& device, const Extents& e, const Numbers& values,
                                Format format = Format::Float32, Memory memory = Memory::Together) {
    if (memory == Memory::Loose) return batchOf(device, e.n, e.w, e.h, e.c, values, format);
    return imageOf(device, e.w, e.h, e.c, values, format, e.n)->batchRepresentation();
}

/// Whether `gradient` is the derivative of objective at x, by central differences (GradientCheck.h has the
/// bounds).
inline testing::AssertionResult isDerivative(const Numbers& gradient, const Numbers& x,
                                             const std::function<double(const Numbers&)>& objective) {
    constexpr double kStep = 0x1p-17;
    Numbers numeric, moved = x;
    for (std::size_t i = 0; i < x.size(); ++i) {
        moved[i] = x[i] + kStep;
        const double above = objective(moved);
        moved[i] = x[i] - kStep;
        const double below = objective(moved);
        moved[i] = x[i];
        numeric.push_back((above - below) / (2 * kStep));
    }
    return allNear(gradient, numeric, 1e-7);
}

inline double dot(const Numbers& a, const Numbers& b) {
    EXPECT_EQ(a.size(), b.size());
    double sum = 0;
    for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) sum += a[i] * b[i];
    return sum;
}

/// Random numbers away from 0 and from one another by at least 2^-9, so that differences stay on one branch.
inline Numbers distinct(Random& random, std::size_t count, double scale = 0x1p-7) {
    Numbers values(count);
    for (std::size_t i = 0; i < count; ++i) values[i] = (static_cast<double>(i) + 0.5) * scale;
    for (std::size_t i = count; i > 1; --i)
        std::swap(values[i - 1],
                  values[static_cast<std::size_t>(random.integer(0, static_cast<std::int64_t>(i) - 1))]);
    for (std::size_t i = 0; i < count; ++i)
        if (random.coin()) values[i] = -values[i];
    return values;
}

/// How a run is encoded.
struct Way {
    Memory memory = Memory::Together;
    bool explicitDestination = false;
    bool temporaryStates = true;
};

struct UnaryResult {
    Numbers y, dx;
    Extents yExtents;
};

/// Encodes forward and backward and reads both results.
class UnaryPair {
public:
    std::shared_ptr<MPS::CNNKernel> forward;
    std::shared_ptr<MPS::CNNGradientKernel> backward;
    /// The gradient kernel's source image is the forward result.
    bool takesResult = false;
    /// Explicit encodes place the windows by hand: the padding policy stays away.
    bool keepOffset = false;
    /// Size of explicit destinations where the policy does not give it; 0: as the policy says.
    std::size_t width = 0, height = 0, channels = 0;

    UnaryResult run(const Extents& e, const Numbers& x, const std::function<Numbers(std::size_t)>& gradient,
                    Format format = Format::Float32, const Way& way = {}) const {
        const auto device = forward->device();
        const auto queue = device->newCommandQueue();
        const auto commands = queue->commandBuffer();
        const auto xs = imagesOf(device, e, x, format, way.memory);
        forward->setDestinationImageAllocator(MPS::Image::defaultAllocator());
        backward->setDestinationImageAllocator(MPS::Image::defaultAllocator());
        MPS::ImageBatch ys, dxs;
        MPS::StateBatch states;
        if (!way.explicitDestination) {
            ys = forward->encodeBatch(commands, xs, &states, way.temporaryStates);
        } else {
            Extents out{e.n, height, width, channels};
            if (!keepOffset) {
                const auto d = forward->destinationImageDescriptor({xs[0]});
                out = {e.n, d.height, d.width, d.featureChannels};
            }
            ys = imagesOf(device, out, Numbers(out.count(), 0.25), format, way.memory);
            states = way.temporaryStates ? forward->temporaryResultStateBatch(commands, xs, {}, ys)
                                         : forward->resultStateBatch(xs, {}, ys);
            forward->encodeBatch(commands, xs, states, ys);
        }
        const Extents out{e.n, ys[0]->height(), ys[0]->width(), ys[0]->featureChannels()};
        const auto gs = imagesOf(device, out, gradient(out.count()), format, way.memory);
        const auto& seconds = takesResult ? ys : xs;
        if (!way.explicitDestination) {
            dxs = backward->encodeBatch(commands, gs, seconds, states);
        } else {
            const auto d = backward->destinationImageDescriptor({gs[0], seconds[0]}, {states[0]});
            const Extents in{e.n, d.height, d.width, d.featureChannels};
            dxs = imagesOf(device, in, Numbers(in.count(), 7), format, way.memory);
            backward->encodeBatch(commands, gs, seconds, states, dxs);
        }
        for (const auto& state : states) {
            EXPECT_EQ(state->readCount(), 0u)
                << "the gradient encode is the only reader of " << state->className();
        }
        finish(commands);
        return {read(ys), read(dxs), out};
    }

    /// Central differences of the result's dot product with a fixed gradient; images of double on
    /// `reference`.
    void checkGradient(const Extents& e, const Numbers& x, Random& random, const Way& way = {}) const {
        Numbers g;
        const auto gradient = [&](std::size_t count) {
            if (g.size() != count) g = uniform(random, count);
            return g;
        };
        const auto result = run(e, x, gradient, Format::Float64, way);
        ASSERT_EQ(result.dx.size(), x.size());
        EXPECT_TRUE(isDerivative(result.dx, x, [&](const Numbers& moved) {
            return dot(run(e, moved, gradient, Format::Float64, way).y, g);
        })) << forward->className();
    }

    /// Loose and joint batches, given and returned destinations, plain and temporary states: the same bits.
    void checkWays(const Extents& e, const Numbers& x, Random& random) const {
        Numbers g;
        const auto gradient = [&](std::size_t count) {
            if (g.size() != count) g = uniform(random, count);
            return g;
        };
        const auto first = run(e, x, gradient);
        for (const auto memory : {Memory::Together, Memory::Loose})
            for (const bool given : {false, true})
                for (const bool temporary : {false, true}) {
                    const auto again = run(e, x, gradient, Format::Float32, {memory, given, temporary});
                    EXPECT_EQ(again.y, first.y)
                        << forward->className() << " on " << forward->device()->name();
                    EXPECT_EQ(again.dx, first.dx)
                        << backward->className() << " on " << forward->device()->name();
                }
    }
};

}  // namespace pewter::test
