#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "CpuDraw.h"
#include "Lines.h"
#include "RunCpu.h"
#include "RunReference.h"
#include "Tolerance.h"
#include "ops/ImageScale.h"

namespace pewter::test {
namespace {

constexpr int kShapes = 250;

ops::ResampleAxis drawAxis(Random& random, std::int64_t source, std::int64_t outputs) {
    const auto n = static_cast<double>(source), all = static_cast<double>(outputs);
    switch (random.integer(0, 3)) {
        case 0:
        case 1:
            return {0.5 * n / all - 0.5, n, all};
        case 2:
            return {static_cast<double>(random.integer(-20, 20)), 1,
                    static_cast<double>(random.integer(1, 4))};
        default:
            return {random.uniform(-n, 2 * n), random.uniform(-2 * n, 2 * n), all};
    }
}

std::int64_t drawChannels(Random& random) {
    switch (random.integer(0, 2)) {
        case 0:
            return random.integer(1, 4);
        case 1:
            return random.integer(5, 24);
        default:
            return random.integer(60, 70);
    }
}

/// The sum of the magnitudes of each output's terms, and the most terms of one.
std::vector<double> magnitudesOf(const ops::LanczosForward& op, const OpTensor& src, std::int64_t& length) {
    std::vector<double> sums;
    std::vector<ops::LanczosTap> rows, columns;
    for (std::int64_t n = 0; n < op.dst.n; ++n)
        for (std::int64_t y = 0; y < op.dst.h; ++y) {
            lanczosTaps(op.view.y, op.src.h, y, rows);
            for (std::int64_t x = 0; x < op.dst.w; ++x) {
                lanczosTaps(op.view.x, op.src.w, x, columns);
                // Rows are summed first, then columns.
                length = std::max(length, static_cast<std::int64_t>(rows.size() + columns.size()));
                for (std::int64_t c = 0; c < op.dst.c; ++c) {
                    double sum = 0;
                    for (const auto& v : rows)
                        for (const auto& u : columns)
                            sum += std::fabs(v.weight * u.weight * src.at(n, v.pixel, u.pixel, c));
                    sums.push_back(sum);
                }
            }
        }
    return sums;
}

}  // namespace

TEST(CpuImageScale, LanczosAgreesWithTheOracle) {
    PEWTER_NEEDS_CPU();
    Agreement agreement("Lanczos scaling");
    Random random(141);
    for (int i = 0; i < kShapes; ++i) {
        const std::int64_t n = random.integer(1, 3), h = random.integer(1, 14), w = random.integer(1, 14);
        const std::int64_t outH = random.integer(1, 18), outW = random.integer(1, 18),
                           c = drawChannels(random);
        const ops::ResampleView view{drawAxis(random, w, outW), drawAxis(random, h, outH)};
        OpTensor src(drawImageType(random), n, h, w, c, drawLayout(random));
        OpTensor dst(random.coin() ? src.type() : drawImageType(random), n, outH, outW, c,
                     drawLayout(random));
        src.fillUniform(random, -1, 1);
        dst.fillUniform(random, -1, 1);
        OpTensor expected = inDouble(dst);
        runReference(ops::LanczosForward{src, expected, view});
        runCpu(ops::LanczosForward{src, dst, view});
        std::int64_t length = 1;
        const auto bound = magnitudesOf({src, dst, view}, src, length);
        std::ostringstream name;
        name << "n" << n << " " << h << "x" << w << " to " << outH << "x" << outW << " channels " << c
             << " x " << view.x.first << "+i*" << view.x.numerator << "/" << view.x.denominator;
        agreement.compare(dst.values(), expected.values(), bound, length, dst.type(), name.str());
        EXPECT_TRUE(dst.guardsIntact()) << name.str();
    }
}

/// Rows are shared out among threads: large images of few and of many channels.
TEST(CpuImageScale, LargeImagesAreWithinTheSameBound) {
    PEWTER_NEEDS_CPU();
    Agreement agreement("Lanczos scaling, large");
    Random random(142);
    for (const std::int64_t channels : {1, 3, 40})
        for (const std::int64_t out : {20, 90}) {
            const auto axis = [](double n, double all) {
                return ops::ResampleAxis{0.5 * n / all - 0.5, n, all};
            };
            const ops::ResampleView view{axis(61, static_cast<double>(out)),
                                         axis(53, static_cast<double>(out))};
            OpTensor src(ops::Type::Float32, 2, 53, 61, channels),
                dst(ops::Type::Float32, 2, out, out, channels);
            src.fillUniform(random, -1, 1);
            OpTensor expected = inDouble(dst);
            runReference(ops::LanczosForward{src, expected, view});
            runCpu(ops::LanczosForward{src, dst, view});
            std::int64_t length = 1;
            const auto bound = magnitudesOf({src, dst, view}, src, length);
            agreement.compare(dst.values(), expected.values(), bound, length, dst.type(), "large");
        }
}

/// Results of 8 MiB and more go past the caches: registers of channels, rows that are whole lines and rows that are not.
TEST(CpuImageScale, ResultsLargerThanTheCachesAreThoseOfTheirImages) {
    PEWTER_NEEDS_CPU();
    Random random(144);
    struct Case {
        std::int64_t images, w, outW, channels;
    };
    for (const Case& c : {Case{4, 300, 416, 3}, Case{4, 500, 419, 3}, Case{1, 300, 330, 16}, Case{1, 300, 330, 17}}) {
        constexpr std::int64_t kH = 300, kOutH = 431;
        const ops::ResampleView view{{-0.2, static_cast<double>(c.w), static_cast<double>(c.outW)},
                                     {0.1, static_cast<double>(kH), static_cast<double>(kOutH)}};
        Lines src(c.images, kH, c.w, c.channels), dst(c.images, kOutH, c.outW, c.channels);
        ASSERT_GE(dst.count(), std::int64_t{2} << 20);
        src.fillUniform(random, -1, 1);
        runCpu(ops::LanczosForward{src.view(), dst.view(), view});
        // The upper half of an image alone stays in the caches.
        const std::int64_t height = kOutH / 2;
        for (std::int64_t n = 0; n < c.images; ++n) {
            Lines alone(1, height, c.outW, c.channels);
            ASSERT_LT(alone.count(), std::int64_t{2} << 20);
            ops::Tensor image = src.view(), large = dst.view();
            image.data = src.data() + n * image.strideN, image.n = 1;
            runCpu(ops::LanczosForward{image, alone.view(), view});
            EXPECT_TRUE(std::equal(alone.data(), alone.data() + alone.count(), dst.data() + n * large.strideN))
                << c.outW << " " << c.channels << " image " << n;
        }
    }
}

TEST(CpuImageScale, ASizeOfItsOwnIsACopyBitForBit) {
    PEWTER_NEEDS_CPU();
    Random random(143);
    for (const std::int64_t channels : {1, 3, 17}) {
        OpTensor src(ops::Type::Float32, 2, 9, 11, channels), dst(ops::Type::Float32, 2, 9, 11, channels);
        src.fillUniform(random, -1, 1);
        runCpu(ops::LanczosForward{src, dst, {{0, 11, 11}, {0, 9, 9}}});
        EXPECT_EQ(dst.values(), src.values()) << channels;
    }
}

}  // namespace pewter::test
