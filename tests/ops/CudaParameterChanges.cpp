#include <gtest/gtest.h>

#include <array>

#include "CudaDevices.h"
#include "OpTensors.h"

// Updates and copies that follow one another share launches on device cuda: whatever the order in which they come and whatever
// memory they have in common, what they leave is what they would leave one by one. Exact: small integers.

namespace pewter::test {
namespace {

constexpr std::int64_t kFloats = 48;
using Memory = std::array<float, kFloats>;

/// A copy, or an update with rate 1 and, with a moment, momentum 1.
struct Change {
    bool isCopy, hasMoment;
    std::int64_t count, from, to, values, moment;

    /// No operand is written that another operand of the same change shares, but values with the result.
    bool isSound() const {
        const auto apart = [&](std::int64_t a, std::int64_t b) { return a + count <= b || b + count <= a; };
        if (isCopy) return apart(from, to);
        return apart(from, to) && (values == to || apart(values, to)) &&
               (!hasMoment || (apart(moment, from) && apart(moment, to) && apart(moment, values)));
    }
};

void perform(const Change& c, Memory& memory) {
    const auto at = [&](std::int64_t first, std::int64_t i) -> float& { return memory[static_cast<std::size_t>(first + i)]; };
    for (std::int64_t i = 0; i < c.count; ++i) {
        if (c.isCopy) {
            at(c.to, i) = at(c.from, i);
        } else if (c.hasMoment) {
            at(c.moment, i) += at(c.from, i);
            at(c.to, i) = at(c.values, i) - at(c.moment, i);
        } else {
            at(c.to, i) = at(c.values, i) - at(c.from, i);
        }
    }
}

void perform(const Change& c, ops::Backend& backend, float* memory, ops::Stream& stream) {
    const auto array = [&](std::int64_t first) { return ops::Array{memory + first, ops::Type::Float32, c.count}; };
    if (c.isCopy) return backend.run(ops::ArrayCopy{array(c.from), array(c.to)}, stream);
    ops::OptimizerStep op;
    op.gradient = array(c.from), op.values = array(c.values), op.result = array(c.to);
    if (c.hasMoment) op.first = array(c.moment);
    op.rate = op.momentum = 1;
    backend.run(op, stream);
}

TEST(CudaParameterChanges, InAnyOrderOverAnyMemoryLeaveWhatTheyWouldOneByOne) {
    const auto devices = cudaDevices();
    if (devices.empty()) GTEST_SKIP() << "no device cuda; PEWTER_CUDA_EMULATION=1 lists the emulated one";
    for (const auto& device : devices) {
        SCOPED_TRACE(device.name);
        auto& backend = *device.backend;
        Random random(3);
        auto* const memory = static_cast<float*>(backend.allocate(sizeof(Memory)));
        const auto stream = backend.newStream();
        for (int round = 0; round < 300; ++round) {
            Memory expected;
            for (float& value : expected) value = static_cast<float>(random.integer(-3, 3));
            backend.upload(memory, expected.data(), sizeof expected);
            for (int changes = 0; changes < 7;) {
                Change c{random.integer(0, 1) == 1, random.integer(0, 1) == 1, random.integer(1, 12), 0, 0, 0, 0};
                for (auto* place : {&c.from, &c.to, &c.values, &c.moment}) *place = random.integer(0, kFloats - c.count);
                if (random.integer(0, 1) == 1) c.values = c.to;
                if (!c.isSound()) continue;
                ++changes;
                perform(c, expected);
                perform(c, backend, memory, *stream);
            }
            stream->synchronize();
            Memory found;
            backend.download(found.data(), memory, sizeof found);
            ASSERT_EQ(found, expected) << "round " << round;
        }
        backend.deallocate(memory, sizeof(Memory));
    }
}

}  // namespace
}  // namespace pewter::test
