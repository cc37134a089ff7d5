#include "backends/cuda/gpu/Graphs.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "backends/cuda/Stream.h"

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

}  // namespace

Graphs::Variant::~Variant() {
    if (graph) cudaGraphExecDestroy(graph);
    cudaFree(numbers);
}

Graphs::~Graphs() = default;

void Graphs::run(const ops::Stream::Stretch& stretch, const std::function<void()>& work) {
    static const bool use = wanted();
    if (!use || capturing_) return work();
    auto& kept = kept_[{stretch.program.get(), stretch.first, stretch.last}];
    if (kept.program.expired()) {  // new, or another program where an old one lay
        kept = {};
        kept.program = stretch.program;
        std::erase_if(kept_, [](const auto& entry) { return entry.second.program.expired(); });
    }
    if (!kept.cannot.empty() || kept.runs++ == 0) return work();
    const auto found = std::find_if(kept.variants.begin(), kept.variants.end(),
                                    [&](const Variant& v) { return v.addresses == stretch.addresses; });
    if (found != kept.variants.end()) {
        kept.variants.splice(kept.variants.begin(), kept.variants, found);
        return launch(kept.variants.front());
    }
    capture(kept, stretch, work);
}

void Graphs::capture(Kept& kept, const ops::Stream::Stretch& stretch, const std::function<void()>& work) {
    auto& variant = kept.variants.emplace_front();
    variant.addresses = stretch.addresses;
    cudaGraph_t graph = nullptr;
    const auto abandon = [&] {
        capturing_ = nullptr;
        cudaStreamEndCapture(stream_, &graph);
        if (graph) cudaGraphDestroy(graph);
        cudaGetLastError();
        kept.variants.pop_front();
    };
    check(cudaMalloc(&variant.numbers, sizeof(Numbers)), "cudaMalloc");
    check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
    capturing_ = &variant;
    try {
        work();
    } catch (const CannotCapture& reason) {
        abandon();
        kept.cannot = reason.why;
        return work();
    } catch (const std::exception& reason) {
        // Something that a capture does not allow; what is wrong otherwise fails again.
        abandon();
        kept.cannot = reason.what();
        return work();
    }
    capturing_ = nullptr;
    const auto ended = cudaStreamEndCapture(stream_, &graph);
    if (ended != cudaSuccess || !graph) {
        cudaGetLastError();
        kept.variants.pop_front();
        kept.cannot = cudaGetErrorString(ended);
        return work();
    }
    const auto made = cudaGraphInstantiate(&variant.graph, graph, 0);
    cudaGraphDestroy(graph);
    if (made != cudaSuccess) {
        cudaGetLastError();
        kept.variants.pop_front();
        kept.cannot = cudaGetErrorString(made);
        return work();
    }
    if (kept.variants.size() > kMostVariants) {
        check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");  // it may still be running
        kept.variants.pop_back();
    }
    launch(variant);
}

void Graphs::launch(const Variant& variant) {
    if (const int count = static_cast<int>(variant.cells.size())) {
        Numbers numbers{};
        for (int i = 0; i < count; ++i) numbers.value[i] = *variant.cells[static_cast<std::size_t>(i)];
        writeNumbers<<<1, kMostNumbers, 0, stream_>>>(variant.numbers, numbers, count);
        check(cudaGetLastError(), "numbers of a graph");
    }
    check(cudaGraphLaunch(variant.graph, stream_), "cudaGraphLaunch");
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

// --- the stream ---

CudaStream::CudaStream(int device) : device_(device) {
    use(device);
    check(cudaStreamCreateWithFlags(&native_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    for (auto& event : events_) check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
    graphs_ = std::make_unique<Graphs>(native_);
}

CudaStream::~CudaStream() {
    cudaSetDevice(device_);
    cudaStreamSynchronize(native_);
    graphs_.reset();
    for (const auto& [memory, bytes] : scratch_) cudaFree(memory);
    for (const auto& [content, memory] : constants_) cudaFree(memory);
    for (auto event : events_) cudaEventDestroy(event);
    cudaStreamDestroy(native_);
}

void CudaStream::synchronize() {
    flush();
    if (graphs_->isCapturing()) throw CannotCapture{"the host has work to do between its commands"};
    use(device_);
    check(cudaStreamSynchronize(native_), "cudaStreamSynchronize");
}

bool CudaStream::isAsynchronous() const { return true; }

std::uint64_t CudaStream::mark() {
    flush();
    const std::uint64_t mark = marks_++;
    check(cudaEventRecord(events_[mark % std::size(events_)], native_), "cudaEventRecord");
    return mark;
}

void CudaStream::wait(std::uint64_t mark) {
    check(cudaEventSynchronize(events_[mark % std::size(events_)]), "cudaEventSynchronize");
}

void CudaStream::replay(const Stretch& stretch, const std::function<void()>& work) {
    flush();
    graphs_->run(stretch, [&] {
        work();
        flush();
    });
}

bool CudaStream::isCapturing() const { return graphs_->isCapturing(); }

const std::uint64_t* CudaStream::numberOnDevice(const std::uint64_t* cell) { return graphs_->numberOnDevice(cell); }

const void* CudaStream::constants(const void* host, std::size_t bytes) {
    auto& memory = constants_[std::string(static_cast<const char*>(host), bytes)];
    if (!memory) {
        if (graphs_->isCapturing()) throw CannotCapture{"a table of an operation came new"};
        check(cudaMalloc(&memory, bytes), "cudaMalloc");
        check(cudaMemcpyAsync(memory, host, bytes, cudaMemcpyHostToDevice, native_), "cudaMemcpyAsync");
        check(cudaStreamSynchronize(native_), "cudaStreamSynchronize");
    }
    return memory;
}

void* CudaStream::scratch(std::size_t bytes) {
    if (scratch_.empty() || scratch_.back().second < bytes) {
        if (graphs_->isCapturing()) throw CannotCapture{"scratch memory grew"};
        const std::size_t size = std::max<std::size_t>(bytes + bytes / 4, 1 << 20);
        void* memory = nullptr;
        check(cudaMalloc(&memory, size), "cudaMalloc");
        scratch_.emplace_back(memory, size);
    }
    return scratch_.back().first;
}

}  // namespace pewter::cuda
