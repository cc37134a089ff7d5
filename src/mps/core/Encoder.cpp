#include "mps/core/Encoder.h"

#include <fmt/format.h>

#include <MTL/Device.hpp>

#include "mps/core/ImageAccess.h"
#include "mtl/Diagnostics.h"

namespace pewter::mps {

namespace {

/// The images as one strided tensor, if they lie on one storage at equal distances.
bool asOne(const MPS::ImageBatch& images, std::size_t first, std::size_t count, TensorRef& ref) {
    if (images.size() == 1) {
        ref = ImageAccess::tensor(*images[0], first, count);
        return true;
    }
    const auto& storage = ImageAccess::storage(*images[0]);
    const auto start = static_cast<std::int64_t>(ImageAccess::offset(*images[0]));
    const std::int64_t step = static_cast<std::int64_t>(ImageAccess::offset(*images[1])) - start;
    for (std::size_t i = 1; i < images.size(); ++i)
        if (ImageAccess::storage(*images[i]) != storage ||
            static_cast<std::int64_t>(ImageAccess::offset(*images[i])) !=
                start + step * static_cast<std::int64_t>(i))
            return false;
    ref = ImageAccess::tensor(*images[0], 0, 1);
    ref.shape.n = static_cast<std::int64_t>(images.size());
    ref.shape.strideN = step;
    return true;
}


}  // namespace

ops::Edge edgeOf(MPS::ImageEdgeMode mode) {
    return mode == MPS::ImageEdgeMode::Clamp ? ops::Edge::Clamp : ops::Edge::Zero;
}

Encoder::Encoder(MTL::CommandBuffer& commandBuffer, const MPS::Kernel& kernel)
    : Encoder(commandBuffer, kernel.name(), kernel.device()) {
    if (kernel.options() & MPS::KernelOptionsInsertDebugGroups)
        label_.insert(0, (kernel.label().empty() ? std::string(kernel.className()) : kernel.label()) + "/");
    if (kernel.options() & MPS::KernelOptionsVerbose)
        mtl::diagnose(fmt::format("{} encodes on device {}: command {}, {} bytes of temporary memory in use",
                                  kernel.name(), kernel.device()->name(), mark_ + 1, root_.heap()->live()));
}

Encoder::Encoder(MTL::CommandBuffer& commandBuffer, const std::string& name,
                 const std::shared_ptr<MTL::Device>& device)
    : commandBuffer_(commandBuffer),
      root_(mtl::recordingBuffer(commandBuffer, name)),
      backend_(mtl::deviceOf(*device).backend()),
      label_(name),
      mark_(root_.commandCount()) {}

Encoder::~Encoder() {
    for (auto& range : scratch_) range->release();
    if (!finished_) root_.truncate(mark_);
}

void Encoder::runHost(std::function<void()> work) {
    mtl::append(commandBuffer_, label_, [work = std::move(work)](ops::Stream& stream) {
        stream.synchronize();
        work();
    });
}

ArrayRef Encoder::scratchArray(ops::Type type, std::int64_t size) {
    const std::size_t bytes = static_cast<std::size_t>(size) * ops::sizeOf(type);
    auto range = root_.heap()->take(bytes);
    scratch_.push_back(range);
    return {std::make_shared<mtl::Buffer>(root_.device(), range, bytes, MTL::ResourceStorageModePrivate), 0, type,
            size};
}

TensorRef Encoder::scratch(ops::Type type, std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c) {
    TensorRef ref;
    ref.shape = ops::Tensor::dense(nullptr, type, n, h, w, c);
    ref.buffer = scratchArray(type, ref.shape.count()).buffer;
    return ref;
}

TensorRef Encoder::source(const MPS::ImageBatch& images, std::size_t first, std::size_t count) {
    TensorRef ref;
    if (asOne(images, first, count, ref)) return ref;
    const auto shape = ImageAccess::shape(*images[0], 0, 1);
    ref = scratch(shape.type, static_cast<std::int64_t>(images.size()), shape.h, shape.w, shape.c);
    for (std::size_t i = 0; i < images.size(); ++i) {
        const auto from = ImageAccess::tensor(*images[i], 0, 1);
        const auto to = ref.images(static_cast<std::int64_t>(i), 1);
        run([from, to] {
            ops::Copy op;
            op.src = from.tensor();
            op.dst = to.tensor();
            return op;
        });
    }
    return ref;
}

TensorRef Encoder::destination(const MPS::ImageBatch& images, std::size_t first, std::size_t count, const Clip& clip,
                               std::size_t firstChannel, std::size_t channels) {
    const auto cut = [&](const TensorRef& whole) {
        return whole.region(clip.x, clip.y, clip.width, clip.height)
            .channels(static_cast<std::int64_t>(firstChannel), static_cast<std::int64_t>(channels));
    };
    const std::size_t end = firstChannel + channels, lanesEnd = std::min((end + 3) / 4 * 4,
                                                                         images[0]->featureChannels());
    const auto lanes = [&](const TensorRef& whole) {
        if (lanesEnd > end)
            zeroLanes_.push_back(whole.region(clip.x, clip.y, clip.width, clip.height)
                                     .channels(static_cast<std::int64_t>(end),
                                               static_cast<std::int64_t>(lanesEnd - end)));
    };
    TensorRef whole;
    if (asOne(images, first, count, whole)) {
        lanes(whole);
        return cut(whole);
    }
    WriteBack back;
    for (const auto& image : images) {
        const auto one = ImageAccess::tensor(*image, 0, 1);
        lanes(one);
        back.to.push_back(cut(one));
    }
    back.from = scratch(back.to[0].shape.type, static_cast<std::int64_t>(images.size()), clip.height, clip.width,
                        static_cast<std::int64_t>(channels));
    writeBacks_.push_back(back);
    return back.from;
}

TensorRef Encoder::region(const TensorRef& source, std::int64_t x, std::int64_t y, std::int64_t w, std::int64_t h,
                          ops::Edge edge) {
    if (x >= 0 && y >= 0 && x + w <= source.shape.w && y + h <= source.shape.h) return source.region(x, y, w, h);
    const auto copy = scratch(source.shape.type, source.shape.n, h, w, source.shape.c);
    run([source, copy, x, y, edge] {
        ops::Copy op;
        op.src = source.tensor();
        op.dst = copy.tensor();
        op.offsetX = x;
        op.offsetY = y;
        op.edge = edge;
        return op;
    });
    return copy;
}

TensorRef Encoder::wholeGradient(const TensorRef& destination, const Clip& clip, std::int64_t width,
                                 std::int64_t height) {
    if (clip.x == 0 && clip.y == 0 && destination.shape.w == width && destination.shape.h == height)
        return destination;
    const auto whole = scratch(destination.shape.type, destination.shape.n, height, width, destination.shape.c);
    cuts_.push_back({whole, destination, clip.x, clip.y});
    return whole;
}

void Encoder::finish() {
    for (const auto& cut : cuts_)
        run([cut] {
            ops::Copy op;
            op.src = cut.from.tensor();
            op.dst = cut.to.tensor();
            op.offsetX = cut.x;
            op.offsetY = cut.y;
            return op;
        });
    for (const auto& back : writeBacks_)
        for (std::size_t i = 0; i < back.to.size(); ++i) {
            const auto from = back.from.images(static_cast<std::int64_t>(i), 1);
            const auto to = back.to[i];
            run([from, to] {
                ops::Copy op;
                op.src = from.tensor();
                op.dst = to.tensor();
                return op;
            });
        }
    for (const auto& lane : zeroLanes_)
        run([lane] {
            ops::Fill op;
            op.dst = lane.tensor();
            return op;
        });
    finished_ = true;
}

}  // namespace pewter::mps
