#include "backends/cuda/Stream.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "backends/cuda/gpu/Graphs.h"

namespace pewter::cuda {

CudaStream::CudaStream(int device) : device_(device) {
    use(device);
    for (auto* stream : {&native_, &aside_.native})
        check(cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    const auto create = [](NativeEvent& event) {
        check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
    };
    for (auto& event : events_) create(event);
    create(aside_.before);
    create(aside_.after);
    graphs_ = std::make_unique<Graphs>(*this);
}

CudaStream::~CudaStream() {
    cudaSetDevice(device_);
    cudaStreamSynchronize(native_);
    graphs_.reset();
    for (const auto* all : {&scratch_, &aside_.scratch})
        for (const auto& one : *all) cudaFree(one.memory);
    for (const auto& [content, memory] : constants_) cudaFree(memory);
    for (auto event : events_) cudaEventDestroy(event);
    for (auto event : {aside_.before, aside_.after}) cudaEventDestroy(event);
    for (auto stream : {native_, aside_.native}) cudaStreamDestroy(stream);
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
    join();
    if (graphs_->isPending())
        graphs_->add(std::move(later));
    else
        later->run(*this);
}

void CudaStream::flush() {
    join();
    settleLater();
    graphs_->runPending();
}

namespace {

bool mayBranch() {
    const char* value = std::getenv("PEWTER_CUDA_BRANCHES");
    return !value || std::strcmp(value, "off") != 0;
}

}  // namespace

void CudaStream::runAside(Footprint footprint, const std::function<void()>& work) {
    static const bool wanted = mayBranch();
    if (!wanted) return work();
    // Outside of a graph, too, scratch memory is that of the branch: it must have grown before the graph is made.
    struct Exchanged {
        CudaStream& stream;
        bool isCapturing = stream.isCapturing();
        void swap() const {
            std::swap(stream.scratch_, stream.aside_.scratch);
            if (isCapturing) std::swap(stream.native_, stream.aside_.native);
        }
        explicit Exchanged(CudaStream& s) : stream(s) { swap(); }
        Exchanged(const Exchanged&) = delete;
        ~Exchanged() { swap(); }
    };
    const bool branches = isCapturing();
    if (branches) {
        check(cudaEventRecord(aside_.before, native_), "cudaEventRecord");
        check(cudaStreamWaitEvent(aside_.native, aside_.before, 0), "cudaStreamWaitEvent");
        aside_.isRunning = true;
        aside_.footprint = std::move(footprint);
    }
    const Exchanged exchanged(*this);
    work();
    if (branches) check(cudaEventRecord(aside_.after, native_), "cudaEventRecord");
}

void CudaStream::flushBeside(const Footprint& footprint) {
    if (!aside_.isRunning || later_ || graphs_->isPending() || !footprint.isApartFrom(aside_.footprint)) flush();
}

void CudaStream::join() {
    if (!std::exchange(aside_.isRunning, false)) return;
    check(cudaStreamWaitEvent(native_, aside_.after, 0), "cudaStreamWaitEvent");
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
