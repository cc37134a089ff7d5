// Copies, conversions and fills of the cpu device against the oracle.

#include <array>

#include "CpuPointwise.h"
#include "Lines.h"
#include "backends/cpu/vector/Convert.h"

namespace pewter::test {
namespace {

constexpr std::array kTypes = {ops::Type::Float32, ops::Type::Float16, ops::Type::BFloat16, ops::Type::Unorm8,
                               ops::Type::Unorm16, ops::Type::UInt8,   ops::Type::UInt32};

class CpuCopy : public CpuOps {};

ops::Type anyType(Random& random) { return kTypes[static_cast<std::size_t>(random.integer(0, 6))]; }

std::string describe(const OpTensor& from, const OpTensor& to, std::int64_t offsetX, std::int64_t offsetY,
                     ops::Edge edge) {
    return test::describe(from) + " to " + test::describe(to) + " offset " + std::to_string(offsetX) + "," +
           std::to_string(offsetY) + (edge == ops::Edge::Zero ? " zero" : " clamp");
}

TEST_F(CpuCopy, CropsPadsAndConvertsLikeReference) {
    Random random(201);
    Comparison worst("Copy");
    for (int i = 0; i < 2 * kCases; ++i) {
        const Shape shape = drawShape(random);
        OpTensor src(anyType(random), shape.n, shape.h, shape.w, shape.c, drawLayout(random));
        src.fillUniform(random, -1, random.coin() ? 1.2 : 300);
        const ops::Type type = random.coin() ? src.type() : anyType(random);
        const bool moved = random.integer(0, 3) != 0;
        OpTensor dst(type, shape.n, moved ? random.integer(1, 9) : shape.h,
                     moved ? random.integer(1, 12) : shape.w, shape.c, drawLayout(random));
        const std::int64_t x = moved ? random.integer(-9, 9) : 0, y = moved ? random.integer(-7, 7) : 0;
        const ops::Edge edge = random.coin() ? ops::Edge::Zero : ops::Edge::Clamp;
        dst.fill(1);
        OpTensor expected = dst;
        run(ops::Copy{src, dst, x, y, edge});
        runReference(ops::Copy{src, expected, x, y, edge});
        const std::string what = describe(src, dst, x, y, edge);
        if (src.type() == ops::Type::Float32 || src.type() == type) {
            // A single rounding, or none.
            ASSERT_EQ(dst.values(), expected.values()) << what;
            ASSERT_TRUE(dst.guardsIntact()) << what;
            continue;
        }
        // Converted by way of float32: two roundings.
        const std::vector<double> values = expected.values();
        worst.check(dst, expected, what, [&](std::size_t k) { return kEpsilon * std::fabs(values[k]); });
        if (HasFatalFailure()) return;
    }
}

/// Half of the channels into the other half, 8 MiB of them: runs of two lines of the cache, which go past it.
TEST_F(CpuCopy, LargePartsOfPixelsAreCopiedBitForBitAndNothingElse) {
    Random random(206);
    Lines src(2, 130, 256, 64);
    src.fillUniform(random, -1, 1);
    for (const auto edge : {ops::Edge::Zero, ops::Edge::Clamp})
        for (const std::int64_t x : {0, 3}) {
            Lines dst(2, 130, 256, 64, 7), expected = dst;
            ASSERT_GE(dst.channels(32, 32).count(), std::int64_t{2} << 20);
            run(ops::Copy{src.channels(0, 32), dst.channels(32, 32), x, -2 * x, edge});
            runReference(ops::Copy{src.channels(0, 32), expected.channels(32, 32), x, -2 * x, edge});
            EXPECT_TRUE(dst == expected) << x;
        }
}

TEST_F(CpuCopy, TurnsViewsWhoseNeighboursLieAlongAnotherAxis) {
    Random random(205);
    for (int i = 0; i < kCases; ++i) {
        // A filter bank and its rotation: input and output channels change places, the window runs backwards.
        const std::int64_t n = random.integer(1, 40), c = random.integer(1, 40), h = random.integer(1, 3),
                           w = random.integer(1, 3);
        const ops::Type type = random.integer(0, 3) ? ops::Type::Float32 : anyType(random);
        OpTensor own(type, n, h, w, c), turned(type, c, h, w, n), expected = turned, back = own;
        own.fillIntegers(random, 0, 1);
        const auto rotated = [](const ops::Tensor& t) {
            ops::Tensor view = t;
            view.n = t.c, view.c = t.n;
            view.strideN = t.strideC, view.strideC = t.strideN;
            view.strideH = -t.strideH, view.strideW = -t.strideW;
            view.data = static_cast<std::byte*>(t.data) +
                        ((t.h - 1) * t.strideH + (t.w - 1) * t.strideW) * static_cast<std::int64_t>(ops::sizeOf(t.type));
            return view;
        };
        turned.fill(1), expected.fill(1), back.fill(1);
        run(ops::Copy{rotated(own), turned});
        runReference(ops::Copy{rotated(own), expected});
        ASSERT_EQ(turned.values(), expected.values()) << test::describe(own);
        ASSERT_TRUE(turned.guardsIntact()) << test::describe(own);
        run(ops::Copy{turned, rotated(back)});
        ASSERT_EQ(back.values(), own.values()) << test::describe(own);
        ASSERT_TRUE(back.guardsIntact()) << test::describe(own);
    }
}

/// 8 MiB and more, which go past the caches by blocks of columns; rows that are no whole blocks take part.
TEST_F(CpuCopy, TurnsMoreThanTheCachesHoldBitForBit) {
    Random random(207);
    constexpr std::int64_t kRows = 1603, kColumns = 1328;
    Lines src(1, 1, kColumns, kRows), dst(1, 1, kRows, kColumns);
    src.fillUniform(random, -1, 1);
    ops::Tensor turned = dst.view();
    turned.data = src.data(), turned.strideW = 1, turned.strideC = kRows;
    run(ops::Copy{turned, dst.view()});
    std::int64_t wrong = 0;
    for (std::int64_t r = 0; r < kRows; ++r)
        for (std::int64_t k = 0; k < kColumns; ++k)
            wrong += dst.data()[r * kColumns + k] != src.data()[k * kRows + r];
    EXPECT_EQ(wrong, 0);
}

TEST_F(CpuCopy, GradientAddsEveryElementWhereItWasRead) {
    Random random(202);
    Comparison worst("CopyGradient");
    for (int i = 0; i < kCases; ++i) {
        const Shape shape = drawShape(random);
        const bool exact = random.coin();
        const ops::Type type = exact ? ops::Type::Float32 : drawType(random);
        OpTensor src(type, shape.n, shape.h, shape.w, shape.c, drawLayout(random));
        if (exact)
            src.fillIntegers(random, -8, 8);
        else
            src.fillUniform(random, -1, 1);
        OpTensor dst(type, shape.n, random.integer(1, 9), random.integer(1, 12), shape.c, drawLayout(random));
        const std::int64_t x = random.integer(-9, 9), y = random.integer(-7, 7);
        const ops::Edge edge = random.coin() ? ops::Edge::Zero : ops::Edge::Clamp;
        dst.fill(1);
        OpTensor expected = dst;
        run(ops::CopyGradient{src, dst, x, y, edge});
        runReference(ops::CopyGradient{src, expected, x, y, edge});
        const std::string what = describe(src, dst, x, y, edge);
        // Sums are taken in double and rounded once.
        if (exact) {
            ASSERT_EQ(dst.values(), expected.values()) << what;
        }
        const std::vector<double> values = expected.values();
        worst.check(dst, expected, what, [&](std::size_t k) { return kEpsilon * std::fabs(values[k]); });
        if (HasFatalFailure()) return;
    }
}

TEST_F(CpuCopy, FillWritesTheViewAndNothingElse) {
    Random random(203);
    for (int i = 0; i < kCases; ++i) {
        const Shape shape = drawShape(random);
        OpTensor dst(anyType(random), shape.n, shape.h, shape.w, shape.c, drawLayout(random)), expected = dst;
        const auto value = static_cast<float>(random.uniform(-1, 2));
        run(ops::Fill{dst, value});
        runReference(ops::Fill{expected, value});
        ASSERT_EQ(dst.values(), expected.values()) << test::describe(dst);
        ASSERT_TRUE(dst.guardsIntact()) << test::describe(dst);
    }
}

TEST_F(CpuCopy, ArraysConvertLikeReference) {
    Random random(204);
    Comparison worst("ArrayCopy");
    for (int i = 0; i < kCases; ++i) {
        const std::int64_t size = random.integer(1, 5000);
        OpArray src(anyType(random), size), dst(anyType(random), size), expected = dst;
        src.fillUniform(random, -2, 2);
        run(ops::ArrayCopy{src, dst});
        runReference(ops::ArrayCopy{src, expected});
        const std::vector<double> values = expected.values();
        worst.check(dst.values(), values, dst.view().type, "array",
                    [&](std::size_t k) { return kEpsilon * std::fabs(values[k]); });
        if (HasFatalFailure()) return;
        ASSERT_TRUE(dst.guardsIntact());
    }
}

#if defined(PEWTER_HAVE_CPU)
/// Arrays of float32 holding all interesting neighbourhoods: zeros, subnormal numbers, halves between two
/// steps, the greatest values, infinities, NaN.
std::vector<float> interesting() {
    std::vector<float> values;
    for (const float base : {0.0f,        0x1p-149f,    0x1p-133f,        0x1p-126f, 0x1p-25f,
                             0x1p-24f,    0x1.8p-24f,   0x1p-14f,         0.5f,      1.0f,
                             1.0f / 255,  127.5f / 255, 32767.5f / 65535, 2.5f,      254.5f,
                             255.0f,      65504.0f,     65519.0f,         65520.0f,  65536.0f,
                             0x1.fep127f, 0x1.ffp127f,  0x1.fffffep127f,  0x1p31f,   0x1.fffffep31f})
        for (int step = -2; step <= 2; ++step) {
            float value = base;
            for (int i = 0; i < std::abs(step); ++i)
                value = std::nextafterf(value, step < 0 ? -HUGE_VALF : HUGE_VALF);
            values.push_back(value);
            values.push_back(-value);
        }
    for (const float value : {HUGE_VALF, -HUGE_VALF, std::nanf("")}) values.push_back(value);
    return values;
}

template <class Load, class Store>
void expectExactConversions(const char* set, Load load, Store store) {
    const std::vector<float> values = interesting();
    const auto count = static_cast<std::int64_t>(values.size());
    for (const ops::Type type : kTypes) {
        OpArray stored(type, count), expected(type, count);
        store(values.data(), stored.view().data, type, 1, count);
        for (std::int64_t i = 0; i < count; ++i) expected.set(i, values[static_cast<std::size_t>(i)]);
        for (std::int64_t i = 0; i < count; ++i) {
            const double want = expected.at(i), got = stored.at(i);
            EXPECT_TRUE(want == got || (std::isnan(want) && std::isnan(got)))
                << set << ": " << values[static_cast<std::size_t>(i)] << " stored as " << ops::nameOf(type)
                << " reads " << got << ", expected " << want;
        }
    }
    // Every float16, bfloat16, unorm16 and unorm8 there is.
    for (const ops::Type type :
         {ops::Type::Float16, ops::Type::BFloat16, ops::Type::Unorm16, ops::Type::Unorm8}) {
        const std::int64_t all = type == ops::Type::Unorm8 ? 256 : 65536;
        OpArray bits(type, all);
        for (std::int64_t i = 0; i < all; ++i) {
            if (type == ops::Type::Unorm8)
                static_cast<std::uint8_t*>(bits.view().data)[i] = static_cast<std::uint8_t>(i);
            else
                static_cast<std::uint16_t*>(bits.view().data)[i] = static_cast<std::uint16_t>(i);
        }
        std::vector<float> loaded(static_cast<std::size_t>(all));
        load(bits.view().data, type, 1, all, loaded.data());
        OpArray back(type, all);
        store(loaded.data(), back.view().data, type, 1, all);
        for (std::int64_t i = 0; i < all; ++i) {
            const auto want = static_cast<float>(bits.at(i));
            const float got = loaded[static_cast<std::size_t>(i)];
            ASSERT_TRUE(want == got || (std::isnan(want) && std::isnan(got)))
                << set << ": " << ops::nameOf(type) << " number " << i << " reads " << got << ", expected "
                << want;
            ASSERT_TRUE(back.at(i) == bits.at(i) || std::isnan(want))
                << set << ": " << ops::nameOf(type) << " " << i;
        }
    }
}

TEST(CpuInstructionSets, EveryCopyOfTheConversionsIsExact) {
    expectExactConversions("baseline", cpu::baseline::loadRun, cpu::baseline::storeRun);
#if defined(__x86_64__)
    if (cpu::isa() != cpu::Isa::Baseline)
        expectExactConversions("avx2", cpu::avx2::loadRun, cpu::avx2::storeRun);
    if (cpu::isa() == cpu::Isa::Avx512)
        expectExactConversions("avx512", cpu::avx512::loadRun, cpu::avx512::storeRun);
#endif
}
#endif

}  // namespace
}  // namespace pewter::test
