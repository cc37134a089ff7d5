// cuDNN or the own kernels for few channels: whichever measures faster, with all that it takes.
#include <initializer_list>

#include "backends/cuda/ChannelSums.cuh"
#include "backends/cuda/FewChannels.cuh"
#include "backends/cuda/LibraryPaths.h"
#include "backends/cuda/gpu/CudnnConvolutions.h"
#include "backends/cuda/gpu/Libraries.h"
#include "backends/cuda/gpu/Timing.h"

namespace pewter::cuda {

namespace {

std::vector<std::int64_t> keyOf(const ops::Window& w, std::initializer_list<const ops::Tensor*> tensors,
                                std::initializer_list<std::int64_t> rest) {
    std::vector<std::int64_t> key{
        w.width, w.height, w.strideX, w.strideY, w.padLeft, w.padTop, static_cast<std::int64_t>(w.edge)};
    key.insert(key.end(), rest);
    for (const auto* t : tensors)
        key.insert(key.end(), {static_cast<std::int64_t>(t->type), t->n, t->h, t->w, t->c, t->strideN,
                               t->strideH, t->strideW, t->strideC});
    return key;
}

}  // namespace

bool CudnnConvolutions::isOwnFaster(CudaStream& stream, const Key& key, const std::function<void()>& own,
                                    const std::function<bool()>& theirs) {
    std::lock_guard lock(choicesMutex_);
    const auto known = choices_.find(key);
    if (known != choices_.end()) return known->second;
    if (stream.isCapturing()) return false;
    const double milliseconds = timeOf(stream, [&] {
        if (!theirs()) throw CudnnRefusal("no engine");
    });
    const bool isFaster = timeOf(stream, own) < milliseconds;
    stream.giveBackScratch();  // what was not chosen may have wanted more
    return choices_[key] = isFaster;
}

bool CudnnConvolutions::areSlowerThanOwn(CudaStream& stream, const ops::ConvolutionForward& op) {
    const Key key = keyOf(op.window, {&op.src, &op.weights, &op.dst},
                          {0, op.bias.isNull(), static_cast<std::int64_t>(op.neuron.type),
                           static_cast<std::int64_t>(op.exactness)});
    return isOwnFaster(
        stream, key, [&] { fewChannelsForward(stream, op); }, [&] { return forward(stream, op); });
}

bool CudnnConvolutions::areSlowerThanOwn(CudaStream& stream, const ops::ConvolutionWeightsGradient& op) {
    const Key key = keyOf(op.window, {&op.src, &op.diffDst, &op.diffWeights},
                          {1, op.diffBias.isNull(), op.accumulate, static_cast<std::int64_t>(op.exactness)});
    // Several runs must not add up in the results.
    std::unique_ptr<void, cudaError_t (*)(void*)> memory{nullptr, cudaFree};
    ops::ConvolutionWeightsGradient trial = op;
    const auto redirect = [&] {
        if (memory) return;
        const std::size_t weights =
            aligned(static_cast<std::size_t>(op.diffWeights.count()) * ops::sizeOf(op.diffWeights.type));
        memory.reset(
            newMemory(weights + static_cast<std::size_t>(op.diffBias.size) * ops::sizeOf(op.diffBias.type),
                      "a measurement"));
        trial.diffWeights.data = memory.get();
        if (!op.diffBias.isNull()) trial.diffBias.data = static_cast<char*>(memory.get()) + weights;
    };
    return isOwnFaster(
        stream, key,
        [&] {
            redirect();
            fewChannelsWeightsGradient(stream, trial);
        },
        [&] {
            redirect();
            if (!weightsGradient(stream, trial)) return false;
            if (!op.diffBias.isNull()) channelSums(stream, op.diffDst, trial.diffBias, op.accumulate);
            return true;
        });
}

bool areFewChannelsFaster(Libraries* libraries, CudaStream& stream, const ops::ConvolutionForward& op) {
    return libraries->convolutions().areSlowerThanOwn(stream, op);
}
bool areFewChannelsFaster(Libraries* libraries, CudaStream& stream,
                          const ops::ConvolutionWeightsGradient& op) {
    return libraries->convolutions().areSlowerThanOwn(stream, op);
}

}  // namespace pewter::cuda
