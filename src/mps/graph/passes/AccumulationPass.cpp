#include <MPS/CNNArithmetic.hpp>
#include <algorithm>

#include "mps/graph/SharedMemory.h"
#include "mps/graph/passes/Fusion.h"
#include "mps/graph/passes/Passes.h"
#include "mps/graph/steps/ArithmeticStep.h"
#include "mps/graph/steps/ConvolutionStep.h"
#include "mps/graph/steps/NormalizationSumGradientStep.h"

namespace pewter::mps {

namespace {

class Pass {
public:
    explicit Pass(GraphProgram& program) : program_(program), fusion_(program) {}

    void run() {
        for (std::size_t index = 0; index < program_.steps.size(); ++index) sum(index);
    }

private:
    const ImageSlot& image(std::size_t slot) const { return program_.images[slot]; }

    /// The forward image whose gradient the step makes, and which therefore has its extents; kNone: not known.
    std::size_t forwardImage(const ProgramStep& step) const {
        if (dynamic_cast<const NormalizationSumGradientStep*>(step.step.get())) {
            const std::size_t forward = fusion_.maker(step.states[0]);
            return forward == kNone ? kNone : program_.steps[forward].images.at(1);
        }
        if (!step.isGradient || step.images.size() < 2 || step.states.size() != 1 || !step.step->isReplayable())
            return kNone;
        auto& kernel = step.step->kernel();
        if (!dynamic_cast<const MPS::CNNGradientKernel*>(&kernel)) return kNone;
        const auto* arithmetic = dynamic_cast<const MPS::CNNArithmeticGradient*>(&kernel);
        if (!arithmetic) return step.images[1];
        const std::size_t forward = fusion_.maker(step.states[0]);
        return forward == kNone ? kNone : program_.steps[forward].images.at(arithmetic->isSecondarySourceFilter() ? 1 : 0);
    }

    void sum(std::size_t index) {
        auto& step = program_.steps[index];
        if (!dynamic_cast<const ArithmeticStep*>(step.step.get()) || !step.made.empty() || step.images[0] == step.images[1] ||
            !step.step->isReplayable() || !isPlainSum(step.step->kernel()))
            return;
        std::size_t there = step.images[0], added = step.images[1];
        if (!isPlain(there) || !isPlain(added) || !isPlain(step.result)) return;
        if (image(there).format != image(added).format || image(there).format != image(step.result).format) return;
        if (fusion_.writer(there) > fusion_.writer(added)) std::swap(there, added);
        const std::size_t first = fusion_.writer(there), last = fusion_.writer(added);
        const std::size_t forward = forwardImage(program_.steps[first]);
        if (forward == kNone || forward != forwardImage(program_.steps[last])) return;
        auto* adding = dynamic_cast<ConvolutionGradientStep*>(program_.steps[last].step.get());
        if (!adding || !adding->canAddToResult() || !isReadBefore(there, last, index) || !fusion_.isReadBy(added, {index}))
            return;
        adding->addToResult();
        fusion_.rewrite(last, there);
        const auto behind = fusion_.readers(step.result);
        fusion_.take(index, last);
        for (const std::size_t reader : behind)
            for (std::size_t position = 0; position < program_.steps[reader].images.size(); ++position)
                if (program_.steps[reader].images[position] == step.result) fusion_.reread(reader, position, there);
    }

    /// Whether step `sum` alone reads the image from step `end` on.
    bool isReadBefore(std::size_t slot, std::size_t end, std::size_t sum) const {
        const auto& readers = fusion_.readers(slot);
        return std::count(readers.begin(), readers.end(), sum) == 1 &&
               std::all_of(readers.begin(), readers.end(), [&](std::size_t one) { return one == sum || one < end; });
    }

    /// One piece of memory of the graph's own.
    bool isPlain(std::size_t slot) const {
        return isInner(image(slot)) && image(slot).allocator == MPS::TemporaryImage::defaultAllocator();
    }

    GraphProgram& program_;
    Fusion fusion_;
};

}  // namespace

void accumulateGradients(GraphProgram& program) { Pass(program).run(); }

}  // namespace pewter::mps
