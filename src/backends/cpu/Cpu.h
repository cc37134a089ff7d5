#pragma once

#include <memory>
#include <string>

#include "backends/cpu/Staging.h"
#include "ops/Backend.h"
#include "ops/ConvolutionChoice.h"

namespace pewter::cpu {

class ConvolutionChoices;
class PrimitiveCache;
struct ConvolutionOperands;
struct ConvolutionTask;
struct Prepared;
struct Problem;

/// What one queue keeps between two operations: scratch memory that grows to what the largest operation
/// needs.
class CpuStream final : public ops::Stream {
public:
    Scratch& scratch() { return scratch_; }

private:
    Scratch scratch_;
};

/// Scratch memory of a stream that Cpu::newStream made.
inline Scratch& scratchOf(ops::Stream& stream) { return dynamic_cast<CpuStream&>(stream).scratch(); }

/// The processor: oneDNN for convolutions and matrix products, own vector code for the rest. Images of every
/// element type but float64; anything that is not dense float32 is converted to it on the way in and back on
/// the way out.
class Cpu final : public ops::Backend, public ops::ConvolutionChooser {
public:
    /// Throws std::invalid_argument for environment variables that it does not understand (ConvolutionChoices.h).
    Cpu();
    ~Cpu() override;

    std::string name() const override { return "cpu"; }
    std::string description() const override;
    int threads() const override;
    void* allocate(std::size_t bytes) override;
    void deallocate(void* memory, std::size_t bytes) noexcept override;
    std::unique_ptr<ops::Stream> newStream() override;
    bool supports(ops::Type imageType) const override;

#define PEWTER_DECLARE(Op) void run(const ops::Op& op, ops::Stream& stream) override;
    PEWTER_OPS(PEWTER_DECLARE)
#undef PEWTER_DECLARE

    ops::ConvolutionChoice choiceOf(const ops::ConvolutionForward& op) override;
    ops::ConvolutionChoice choiceOf(const ops::ConvolutionDataGradient& op) override;
    ops::ConvolutionChoice choiceOf(const ops::ConvolutionWeightsGradient& op) override;
    std::string fileOfChoices() const override;

    bool hasLayouts() const override;
    using ops::Backend::layoutCost;
#define PEWTER_DECLARE(Op) ops::LayoutCost layoutCost(const ops::Op& op) override;
    PEWTER_DECLARE(ConvolutionForward)
    PEWTER_DECLARE(ConvolutionDataGradient)
    PEWTER_DECLARE(ConvolutionWeightsGradient)
    PEWTER_DECLARE(BatchNormalizationStatistics)
    PEWTER_DECLARE(BatchNormalizationForward)
    PEWTER_DECLARE(BatchNormalizationStatisticsGradient)
    PEWTER_DECLARE(BatchNormalizationGradient)
    PEWTER_DECLARE(NeuronForward)
    PEWTER_DECLARE(NeuronGradient)
    PEWTER_DECLARE(Arithmetic)
    PEWTER_DECLARE(ArithmeticGradient)
    PEWTER_DECLARE(GroupNormalizationForward)
    PEWTER_DECLARE(GroupNormalizationGradient)
    PEWTER_DECLARE(PoolingForward)
    PEWTER_DECLARE(PoolingGradient)
    PEWTER_DECLARE(ResampleForward)
    PEWTER_DECLARE(ResampleGradient)
#undef PEWTER_DECLARE

private:
    ops::LayoutCost convolutionCost(ConvolutionTask task, const ops::Tensor& src, const ops::Tensor& dst,
                                    ops::Exactness exactness);
    /// The task's primitive, chosen by measurement on these operands the first time.
    std::shared_ptr<const Prepared> prepared(const ConvolutionTask& task, ops::Exactness exactness,
                                             const ConvolutionOperands& operands, Scratch::Frame& frame);
    /// The source as dense float32 in memory of the frame where it has to be, with the border of `problem` written out
    /// (`problem` is then the one without).
    ops::Tensor convolutionSource(const ops::Tensor& src, const ops::Window& window, Problem& problem,
                                  ops::Stream& stream, Scratch::Frame& frame);
    void addDataGradient(const ops::ConvolutionDataGradient& op, ops::Stream& stream, Scratch::Frame& frame);

    /// Prepared oneDNN primitives by problem; safe to use from several streams at once.
    std::unique_ptr<PrimitiveCache> primitives_;
    std::unique_ptr<ConvolutionChoices> choices_;
};

}  // namespace pewter::cpu
