#include "backends/cpu/vector/Optimizer.h"

#include "backends/cpu/Cpu.h"
#include "backends/cpu/Runs.h"

namespace pewter::cpu {

namespace {

ops::Tensor viewOf(const ops::Array& array) {
    return ops::Tensor::dense(array.data, array.type, 1, 1, 1, array.size);
}

/// An array that is read and written a run at a time; nothing when it is absent.
class Moment {
public:
    explicit Moment(const ops::Array& array) {
        if (array.isNull()) return;
        source_ = Source(viewOf(array));
        sink_ = Sink(viewOf(array));
    }
    float* read(std::int64_t first, std::int64_t count, float* buffer) const {
        if (source_.isNull()) return nullptr;
        const float* values = source_.read(first, count, buffer);
        // Its own place, or the buffer: both may be written.
        return const_cast<float*>(values);
    }
    void write(std::int64_t first, std::int64_t count, const float* values) const {
        if (!sink_.isNull()) sink_.write(first, count, values);
    }

private:
    Source source_;
    Sink sink_;
};

}  // namespace

void Cpu::run(const ops::OptimizerStep& op, ops::Stream&) {
    const Source gradient(viewOf(op.gradient)), values(viewOf(op.values));
    const Sink result(viewOf(op.result));
    const Moment moments[3] = {Moment(op.first), Moment(op.second), Moment(op.third)};
    const auto step = PEWTER_VECTOR(optimizerStep);
    forRuns(op.values.size, [&](std::int64_t first, std::int64_t count) {
        alignas(64) float buffers[6][kRun];
        OptimizerRun run;
        run.count = count;
        run.gradient = gradient.read(first, count, buffers[0]);
        run.values = values.read(first, count, buffers[1]);
        run.result = result.room(first, count, buffers[2]);
        run.first = moments[0].read(first, count, buffers[3]);
        run.second = moments[1].read(first, count, buffers[4]);
        run.third = moments[2].read(first, count, buffers[5]);
        step(op, run);
        result.write(first, count, run.result);
        moments[0].write(first, count, run.first);
        moments[1].write(first, count, run.second);
        moments[2].write(first, count, run.third);
    });
}

}  // namespace pewter::cpu
