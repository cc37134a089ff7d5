#include <fmt/format.h>

#include <MPS/ImageScale.hpp>
#include <MTL/Error.hpp>
#include <cmath>

#include "mps/core/Encoder.h"

namespace MPS {

using namespace pewter::mps;
namespace ops = pewter::ops;

namespace {

/// Pixels of the clip rectangle; of an image of `extent` over a destination of `whole`.
ops::ResampleAxis stretched(std::int64_t clip, std::size_t extent, std::size_t whole) {
    const auto n = static_cast<double>(extent), all = static_cast<double>(whole);
    return {(static_cast<double>(clip) + 0.5) * n / all - 0.5, n, all};
}

ops::ResampleAxis transformed(double scale, double translation) {
    return {(0.5 - translation) / scale - 0.5, 1, scale};
}

template <class Op>
void run(Encoder& encoder, const TensorRef& source, const TensorRef& destination,
         const ops::ResampleView& view) {
    encoder.run([source, destination, view] {
        Op op;
        op.src = source.tensor();
        op.dst = destination.tensor();
        if constexpr (requires { op.views; })
            op.views = &view;
        else
            op.view = view;
        return op;
    });
}

}  // namespace

ImageTransformProvider::~ImageTransformProvider() = default;

ImageScale::ImageScale(std::shared_ptr<MTL::Device> device) : CNNKernel(std::move(device)) {}

void ImageScale::check(const char* argument, const ScaleTransform& transform) const {
    for (const double scale : {transform.scaleX, transform.scaleY})
        if (!(std::fabs(scale) >= 0x1p-16 && std::fabs(scale) <= 0x1p20))
            throw Error(name(), argument, "scales from 2^-16 to 2^20 in size", fmt::format("{}", scale));
    for (const double translation : {transform.translateX, transform.translateY})
        if (!std::isfinite(translation))
            throw Error(name(), argument, "finite translations", fmt::format("{}", translation));
}

void ImageScale::setScaleTransform(const std::optional<ScaleTransform>& transform) {
    if (transform) check("scaleTransform", *transform);
    transform_ = transform;
}

void ImageScale::record(UnaryEncoding& encoding) {
    const auto scale = [&](const TensorRef& source, const TensorRef& destination,
                           const std::optional<ScaleTransform>& transform) {
        const Image& whole = *encoding.destinations[0];
        const ops::ResampleView view =
            transform ? ops::ResampleView{transformed(transform->scaleX, transform->translateX),
                                          transformed(transform->scaleY, transform->translateY)}
                      : ops::ResampleView{stretched(encoding.clip.x, encoding.sourceWidth, whole.width()),
                                          stretched(encoding.clip.y, encoding.sourceHeight, whole.height())};
        if (isLanczos())
            run<ops::LanczosForward>(*encoding.encoder, source, destination, view);
        else
            run<ops::ResampleForward>(*encoding.encoder, source, destination, view);
    };
    if (each_.size() < 2)
        return scale(encoding.source, encoding.destination,
                     each_.empty() ? transform_ : std::optional(each_[0]));
    for (std::size_t i = 0; i < each_.size(); ++i) {
        const auto n = static_cast<std::int64_t>(i);
        scale(encoding.source.images(n, 1), encoding.destination.images(n, 1), each_[i]);
    }
}

ImageBilinearScale::ImageBilinearScale(std::shared_ptr<MTL::Device> device) : ImageScale(std::move(device)) {}

std::shared_ptr<Kernel> ImageBilinearScale::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::make_shared<ImageBilinearScale>(*this);
    if (device) copy->setDevice(device);
    return copy;
}

ImageLanczosScale::ImageLanczosScale(std::shared_ptr<MTL::Device> device) : ImageScale(std::move(device)) {}

std::shared_ptr<Kernel> ImageLanczosScale::copy(const std::shared_ptr<MTL::Device>& device) const {
    auto copy = std::make_shared<ImageLanczosScale>(*this);
    if (device) copy->setDevice(device);
    return copy;
}

}  // namespace MPS
