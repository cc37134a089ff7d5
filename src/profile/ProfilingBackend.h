#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "profile/ForwardingBackend.h"
#include "profile/Work.h"

namespace pewter::profile {

/// What one kind of operation on one set of extents took.
struct ProfileRow {
    std::string operation, extents;
    std::uint64_t calls = 0;
    double seconds = 0;
    Work work;  ///< of all calls together
};

/// A device that hands every operation to another one and keeps the time. Operations of one queue run one
/// after the other, so the times add up to the time of the step.
class ProfilingBackend : public ForwardingBackend {
public:
    /// Null: nothing is computed, and only the work is counted.
    using Clock = double (*)();
    ProfilingBackend(std::shared_ptr<ops::Backend> inner, Clock clock)
        : ForwardingBackend(std::move(inner)), clock_(clock) {}

    // Memory is kept for the next taker, so that no operation is charged with the first touch of fresh pages: a training
    // loop has its memory from the first step on.
    void* allocate(std::size_t bytes) override {
        std::lock_guard lock(mutex_);
        auto& kept = kept_[bytes];
        if (kept.empty()) return inner().allocate(bytes);
        void* memory = kept.back();
        kept.pop_back();
        return memory;
    }
    void deallocate(void* memory, std::size_t bytes) noexcept override {
        std::lock_guard lock(mutex_);
        kept_[bytes].push_back(memory);
    }
    ~ProfilingBackend() override {
        for (const auto& [bytes, kept] : kept_)
            for (void* memory : kept) inner().deallocate(memory, bytes);
    }

#define PEWTER_DECLARE(Op) \
    void run(const ops::Op& op, ops::Stream& stream) override { timed(#Op, op, stream); }
    PEWTER_OPS(PEWTER_DECLARE)
#undef PEWTER_DECLARE

    void clear() {
        std::lock_guard lock(mutex_);
        rows_.clear();
    }
    std::vector<ProfileRow> rows() const {
        std::lock_guard lock(mutex_);
        std::vector<ProfileRow> out;
        for (const auto& [key, row] : rows_) out.push_back(row);
        return out;
    }

private:
    /// A queue's thread has a team of its own, which the first parallel loop starts: no operation is charged with that
    /// (some 0.3 ms), nor with a worker that has gone to sleep since.
    static void startTeam() {
#ifdef _OPENMP
#pragma omp parallel
        {
        }
#endif
    }
    template <class Op>
    void timed(const char* name, const Op& op, ops::Stream& stream) {
        startTeam();
        double seconds = 0;
        if (clock_) {
            const double start = clock_();
            inner().run(op, stream);
            stream.synchronize();
            seconds = clock_() - start;
        }
        const Work work = workOf(op);
        std::lock_guard lock(mutex_);
        auto& row = rows_[{name, extentsOf(op)}];
        if (row.calls == 0) row.operation = name, row.extents = extentsOf(op);
        ++row.calls;
        row.seconds += seconds;
        row.work.flops += work.flops;
        row.work.bytes += work.bytes;
    }

    Clock clock_;
    mutable std::mutex mutex_;
    std::map<std::size_t, std::vector<void*>> kept_;
    std::map<std::pair<std::string, std::string>, ProfileRow> rows_;
};

}  // namespace pewter::profile
