#pragma once

#include "WeightedKernels.h"

/// A transposed convolution and its adjoints as loops over the published formulas: a convolution over the
/// source with zeros between its pixels.
namespace pewter::test {

struct TransposedLoops {
    std::size_t width = 0, height = 0;    ///< source
    std::int64_t totalX = 0, totalY = 0;  ///< offset * stride + kernelOffset
    std::int64_t outWidth = 0, outHeight = 0;
    std::shared_ptr<MPS::CNNConvolutionDescriptor> d;

    std::int64_t groups() const {
        return static_cast<std::int64_t>(d->channelMultiplier() ? d->inputFeatureChannels() : d->groups());
    }

    /// visit(output element, source element, weight) for every product of one image.
    template <class Visit>
    void each(Visit visit) const {
        const auto in = static_cast<std::int64_t>(d->inputFeatureChannels()),
                   out = static_cast<std::int64_t>(d->outputFeatureChannels());
        const auto kw = static_cast<std::int64_t>(d->kernelWidth()),
                   kh = static_cast<std::int64_t>(d->kernelHeight());
        const auto dx = static_cast<std::int64_t>(d->dilationRateX()),
                   dy = static_cast<std::int64_t>(d->dilationRateY());
        const auto sx = static_cast<std::int64_t>(d->strideInPixelsX()),
                   sy = static_cast<std::int64_t>(d->strideInPixelsY());
        const auto w = static_cast<std::int64_t>(width), h = static_cast<std::int64_t>(height);
        const std::int64_t perGroup = in / groups(), outPerGroup = out / groups();
        for (std::int64_t y = 0; y < outHeight; ++y)
            for (std::int64_t x = 0; x < outWidth; ++x)
                for (std::int64_t o = 0; o < out; ++o)
                    for (std::int64_t r = 0; r < kh; ++r)
                        for (std::int64_t q = 0; q < kw; ++q) {
                            const std::int64_t v = y + totalY - ((kh - 1) * dy + 1) / 2 + dy * r;
                            const std::int64_t u = x + totalX - ((kw - 1) * dx + 1) / 2 + dx * q;
                            // Between the pixels and outside are zeros.
                            if (v < 0 || u < 0 || v % sy || u % sx || v / sy >= h || u / sx >= w) continue;
                            for (std::int64_t c = 0; c < perGroup; ++c)
                                visit(static_cast<std::size_t>((y * outWidth + x) * out + o),
                                      static_cast<std::size_t>((v / sy * w + u / sx) * in +
                                                               o / outPerGroup * perGroup + c),
                                      static_cast<std::size_t>(((o * kh + r) * kw + q) * perGroup + c));
                        }
    }

    std::size_t sourceSize() const { return width * height * d->inputFeatureChannels(); }
    std::size_t resultSize() const {
        return static_cast<std::size_t>(outWidth * outHeight) * d->outputFeatureChannels();
    }

    Numbers forward(const Numbers& x, const Numbers& w, const Numbers& b, std::size_t images = 1) const {
        Numbers y(resultSize() * images);
        for (std::size_t n = 0; n < images; ++n) {
            each([&](std::size_t o, std::size_t i, std::size_t k) {
                y[n * resultSize() + o] += x[n * sourceSize() + i] * w[k];
            });
            for (std::size_t o = 0; o < resultSize() && !b.empty(); ++o)
                y[n * resultSize() + o] += b[o % d->outputFeatureChannels()];
        }
        return y;
    }
    Numbers dataGradient(const Numbers& e, const Numbers& w, std::size_t images = 1) const {
        Numbers dx(sourceSize() * images);
        for (std::size_t n = 0; n < images; ++n)
            each([&](std::size_t o, std::size_t i, std::size_t k) {
                dx[n * sourceSize() + i] += e[n * resultSize() + o] * w[k];
            });
        return dx;
    }
    Numbers weightGradient(const Numbers& e, const Numbers& x, std::size_t images = 1) const {
        Numbers dw(d->weightCount());
        for (std::size_t n = 0; n < images; ++n)
            each([&](std::size_t o, std::size_t i, std::size_t k) {
                dw[k] += e[n * resultSize() + o] * x[n * sourceSize() + i];
            });
        return dw;
    }
    Numbers biasGradient(const Numbers& e) const {
        Numbers db(d->outputFeatureChannels());
        for (std::size_t o = 0; o < e.size(); ++o) db[o % db.size()] += e[o];
        return db;
    }
};

}  // namespace pewter::test
