#include "mps/graph/passes/Passes.h"

namespace pewter::mps {

void runPasses(GraphProgram& program, const MPS::NNGraphOptions& options) {
    if (options.foldBatchNormalization) foldBatchNormalization(program);
    if (options.fuseNeurons) fuseNeurons(program);
    if (options.fuseNeuronGradients) fuseNeuronGradients(program);
    if (options.fuseSums) fuseSums(program);
    if (options.accumulateGradients) accumulateGradients(program);
    program.inPlace = options.inPlace;
    program.concatenateInPlace = options.concatenateInPlace;
    program.chooseLayouts = options.chooseLayouts;
    program.joinUpdates = options.joinUpdates;
}

}  // namespace pewter::mps
