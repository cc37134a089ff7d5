#include "backends/cuda/gpu/Graphs.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>

namespace pewter::cuda {

namespace {

/// More sets of addresses than that are not worth their memory: batches in flight use two or three.
constexpr std::size_t kMostVariants = 8;
constexpr int kMostNumbers = 64;

struct Numbers {
    std::uint64_t value[kMostNumbers];
};

__global__ void writeNumbers(std::uint64_t* to, Numbers numbers, int count) {
    if (threadIdx.x < count) to[threadIdx.x] = numbers.value[threadIdx.x];
}

bool wanted() {
    const char* value = std::getenv("PEWTER_CUDA_GRAPHS");
    return !value || std::strcmp(value, "off") != 0;
}

/// The node that was captured last; null if there is no single one.
cudaGraphNode_t lastNode(cudaStream_t stream) {
    cudaStreamCaptureStatus status{};
    const cudaGraphNode_t* nodes = nullptr;
    std::size_t count = 0;
#if CUDART_VERSION >= 13000
    check(cudaStreamGetCaptureInfo(stream, &status, nullptr, nullptr, &nodes, nullptr, &count), "cudaStreamGetCaptureInfo");
#else
    check(cudaStreamGetCaptureInfo_v2(stream, &status, nullptr, nullptr, &nodes, &count), "cudaStreamGetCaptureInfo");
#endif
    return status == cudaStreamCaptureStatusActive && count == 1 ? nodes[0] : nullptr;
}

}  // namespace

Graphs::Variant::~Variant() {
    if (executable) cudaGraphExecDestroy(executable);
    if (graph) cudaGraphDestroy(graph);
    cudaFree(numbers);
}

void Graphs::add(const ops::Stream::Stretch& stretch, const std::function<void()>& work) {
    static const bool use = wanted();
    if (!use || capturing_) return work();
    if (isPending() && pending_.front().stretch.program != stretch.program) runPending();
    pending_.push_back({stretch, work, nullptr});
}

void Graphs::add(std::unique_ptr<CudaStream::Later> later) { pending_.push_back({{}, nullptr, std::move(later)}); }

void Graphs::runPending() {
    if (isPending()) run(std::exchange(pending_, {}));
}

Graphs::Kept& Graphs::keptOf(const Items& items) {
    Key key{items.front().stretch.program.get(), {}};
    for (const Item& item : items) key.second.emplace_back(item.stretch.first, item.stretch.last);
    Kept& kept = kept_[key];
    if (kept.program.expired()) {  // new, or another program where an old one lay
        kept = {};
        kept.program = items.front().stretch.program;
        for (const Item& item : items) {
            ++(item.later ? kept.others : kept.stretches);
            kept.commands += item.stretch.last - item.stretch.first;
        }
        std::erase_if(kept_, [](const auto& entry) { return entry.second.program.expired(); });
    }
    return kept;
}

void Graphs::runPlainly(Kept& kept, Items& items) {
    struct Active {
        KeptWeights*& place;
        ~Active() { place = nullptr; }
    } active{weights_};
    weights_ = &kept.weights;
    weights_->begin(stream_, isCapturing());
    for (Item& item : items) item.later ? item.later->run(stream_) : item.work();
}

const void* Graphs::keptWeights(const ops::Tensor& weights, const WeightsForm& form) {
    return weights_ && trained_.contains(weights.data) ? weights_->find(stream_, weights, form, isCapturing()) : nullptr;
}

void Graphs::noteWritten(const void* values, bool isTraining) {
    if (isTraining) trained_.insert(values);
    if (weights_) weights_->noteWritten(values);
}

void Graphs::run(Items items) {
    Kept& kept = keptOf(items);
    if (!kept.cannot.empty()) {
        if (items.size() == 1) return runPlainly(kept, items);
        for (Item& item : items) {
            if (item.later) {
                item.later->run(stream_);
                continue;
            }
            Items alone;
            alone.push_back(std::move(item));
            run(std::move(alone));
        }
        return;
    }
    if (kept.runs++ < kPlainRuns) return runPlainly(kept, items);
    std::vector<const void*> addresses;
    const std::vector<const void*>* before = nullptr;
    for (const Item& item : items) {
        if (item.later) {
            item.later->describe(addresses);
        } else if (!before || *before != item.stretch.addresses) {  // those of one run are the same
            before = &item.stretch.addresses;
            addresses.insert(addresses.end(), before->begin(), before->end());
        }
    }
    const auto found =
        std::find_if(kept.variants.begin(), kept.variants.end(), [&](const Variant& v) { return v.addresses == addresses; });
    if (found == kept.variants.end()) return capture(kept, items, std::move(addresses));
    kept.variants.splice(kept.variants.begin(), kept.variants, found);
    launch(kept.variants.front(), items);
}

void Graphs::capture(Kept& kept, Items& items, std::vector<const void*> addresses) {
    const cudaStream_t native = stream_.native();
    auto* const numbers = static_cast<std::uint64_t*>(newMemory(sizeof(Numbers), "numbers of a graph"));
    Variant& variant = kept.variants.emplace_front();
    variant.numbers = numbers;
    variant.addresses = std::move(addresses);
    const auto giveUp = [&](std::string why) {
        capturing_ = nullptr;
        cudaGetLastError();
        kept.variants.pop_front();
        kept.cannot = std::move(why);
        ++kept.runs;
        run(std::move(items));  // in parts, or plainly
    };
    const auto abandon = [&] {
        cudaGraph_t graph = nullptr;
        cudaStreamEndCapture(native, &graph);
        if (graph) cudaGraphDestroy(graph);
    };
    if (const auto begun = cudaStreamBeginCapture(native, cudaStreamCaptureModeThreadLocal); begun != cudaSuccess) {
        kept.variants.pop_front();
        check(begun, "cudaStreamBeginCapture");
    }
    capturing_ = &variant;
    try {
        runPlainly(kept, items);
    } catch (const CannotCapture& reason) {
        abandon();
        return giveUp(reason.why);
    } catch (const std::exception& reason) {
        // Something that a capture does not allow; what is wrong otherwise fails again.
        abandon();
        return giveUp(reason.what());
    }
    capturing_ = nullptr;
    if (const auto ended = cudaStreamEndCapture(native, &variant.graph); ended != cudaSuccess || !variant.graph)
        return giveUp(cudaGetErrorString(ended));
    if (const auto made = cudaGraphInstantiate(&variant.executable, variant.graph, 0); made != cudaSuccess)
        return giveUp(cudaGetErrorString(made));
    if (kept.variants.size() > kMostVariants) {
        check(cudaStreamSynchronize(native), "cudaStreamSynchronize");  // it may still be running
        kept.variants.pop_back();
    }
    launchAsIs(variant);
}

void Graphs::launch(Variant& variant, Items& items) {
    renewing_ = &variant;
    nextRenewed_ = 0;
    try {
        for (Item& item : items)
            if (item.later) item.later->renew(stream_);
    } catch (...) {
        renewing_ = nullptr;
        throw;
    }
    renewing_ = nullptr;
    launchAsIs(variant);
}

void Graphs::launchAsIs(Variant& variant) {
    if (const int count = static_cast<int>(variant.cells.size())) {
        Numbers numbers{};
        for (int i = 0; i < count; ++i) numbers.value[i] = *variant.cells[static_cast<std::size_t>(i)];
        writeNumbers<<<1, kMostNumbers, 0, stream_.native()>>>(variant.numbers, numbers, count);
        check(cudaGetLastError(), "numbers of a graph");
    }
    check(cudaGraphLaunch(variant.executable, stream_.native()), "cudaGraphLaunch");
}

const std::uint64_t* Graphs::numberOnDevice(const std::uint64_t* cell) {
    if (!capturing_) return nullptr;
    auto& cells = capturing_->cells;
    auto at = std::find(cells.begin(), cells.end(), cell);
    if (at == cells.end()) {
        if (cells.size() == kMostNumbers) throw CannotCapture{"more numbers change from run to run than a graph takes"};
        at = cells.insert(at, cell);
    }
    return capturing_->numbers + (at - cells.begin());
}

bool Graphs::renewLaunch(const void* kernel, unsigned blocks, unsigned threads, void** arguments) {
    if (!renewing_) return false;
    cudaKernelNodeParams parameters{};
    parameters.func = const_cast<void*>(kernel);
    parameters.gridDim = {blocks, 1, 1};
    parameters.blockDim = {threads, 1, 1};
    parameters.kernelParams = arguments;
    check(cudaGraphExecKernelNodeSetParams(renewing_->executable, renewing_->renewed.at(nextRenewed_++), &parameters),
          "cudaGraphExecKernelNodeSetParams");
    return true;
}

void Graphs::noteLaunch() {
    if (!capturing_) return;
    const cudaGraphNode_t node = lastNode(stream_.native());
    if (!node) throw CannotCapture{"a launch with changing numbers is not found in the graph"};
    capturing_->renewed.push_back(node);
}

std::vector<std::string> Graphs::describe() const {
    std::vector<std::string> lines;
    for (const auto& [key, kept] : kept_) {
        if (kept.program.expired()) continue;
        std::string line = std::to_string(kept.commands) + " commands in " + std::to_string(kept.stretches) + " stretches, " +
                           std::to_string(kept.others) + " groups of updates or copies between them: ";
        if (!kept.cannot.empty())
            line += (key.second.size() > 1 ? "not one graph, since " : "run one by one, since ") + kept.cannot;
        else if (kept.variants.empty())
            line += "not repeated yet";
        else
            line += "one CUDA graph, " + std::to_string(kept.variants.size()) + " sets of addresses";
        lines.push_back(std::move(line));
    }
    return lines;
}

}  // namespace pewter::cuda
