#include "backends/cuda/Stream.h"

#include <algorithm>

#include "backends/cuda/gpu/Graphs.h"

namespace pewter::cuda {

CudaStream::CudaStream(int device) : device_(device) {
    use(device);
    check(cudaStreamCreateWithFlags(&native_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    for (auto& event : events_) check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
    graphs_ = std::make_unique<Graphs>(*this);
}

CudaStream::~CudaStream() {
    cudaSetDevice(device_);
    cudaStreamSynchronize(native_);
    graphs_.reset();
    for (const auto& one : scratch_) cudaFree(one.memory);
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

void CudaStream::settleLater() {
    auto later = std::move(later_);
    if (!later) return;
    if (graphs_->isPending())
        graphs_->add(std::move(later));
    else
        later->run(*this);
}

void CudaStream::flush() {
    settleLater();
    graphs_->runPending();
}

void CudaStream::replay(const Stretch& stretch, const std::function<void()>& work) {
    settleLater();
    graphs_->add(stretch, [this, work] {
        work();
        settleLater();
    });
}

bool CudaStream::isCapturing() const { return graphs_->isCapturing(); }

const std::uint64_t* CudaStream::numberOnDevice(const std::uint64_t* cell) { return graphs_->numberOnDevice(cell); }

bool CudaStream::renewLaunch(const void* kernel, unsigned blocks, unsigned threads, void** arguments) {
    return graphs_->renewLaunch(kernel, blocks, threads, arguments);
}

void CudaStream::noteWritten(const void* values, bool isTraining) { graphs_->noteWritten(values, isTraining); }

void CudaStream::noteLaunch() { graphs_->noteLaunch(); }

std::vector<std::string> CudaStream::describeReplays() const { return graphs_->describe(); }

const void* CudaStream::constants(const void* host, std::size_t bytes) {
    auto& memory = constants_[std::string(static_cast<const char*>(host), bytes)];
    if (!memory) {
        if (graphs_->isCapturing()) throw CannotCapture{"a table of an operation came new"};
        memory = newMemory(bytes, "a table of an operation");
        check(cudaMemcpyAsync(memory, host, bytes, cudaMemcpyHostToDevice, native_), "cudaMemcpyAsync");
        check(cudaStreamSynchronize(native_), "cudaStreamSynchronize");
    }
    return memory;
}

void* CudaStream::scratch(std::size_t bytes) {
    const bool isCapturing = graphs_->isCapturing();
    if (scratch_.empty() || scratch_.back().bytes < bytes) {
        if (isCapturing) throw CannotCapture{"scratch memory grew"};
        giveBackScratch();
        constexpr std::size_t kPiece = std::size_t{2} << 20;  // what the device hands out at least
        const std::size_t size = (bytes + kPiece - 1) / kPiece * kPiece;
        scratch_.push_back({newMemory(size, "scratch memory"), size, false});
    }
    scratch_.back().isKept |= isCapturing;
    return scratch_.back().memory;
}

void CudaStream::giveBackScratch() {
    if (scratch_.empty() || scratch_.back().isKept) return;
    check(cudaStreamSynchronize(native_), "cudaStreamSynchronize");
    cudaFree(scratch_.back().memory);
    scratch_.pop_back();
}

}  // namespace pewter::cuda
