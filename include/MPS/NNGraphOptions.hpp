#pragma once

#include <functional>
#include <string>

#include <MTL/Export.hpp>

namespace MPS {

/// How a graph is compiled (extension). The rewrites change how much is computed and stored, not what: each can be
/// switched off to compare.
struct PEWTER_API NNGraphOptions {
    /// A neuron becomes part of the convolution before it, when nothing else reads the convolution's result.
    bool fuseNeurons = true;
    /// A batch normalisation with stored statistics becomes part of the convolution before it.
    bool foldBatchNormalization = true;
    /// In training, the gradient of a neuron becomes part of the gradient kernel of the convolution or batch normalisation
    /// before it; so does the neuron itself, of a batch normalisation, and of a convolution if its derivative can be told
    /// from its result. The image between the two is then not made.
    bool fuseNeuronGradients = true;
    /// The sum of a batch normalisation's result and another image of its size, with the neuron that only reads it, becomes
    /// part of the batch normalisation; in training, the gradients of neuron and sum become one kernel with the statistics
    /// gradient. Neither the normalised image nor the sum is then made. Images of different sizes are an error then.
    bool fuseSums = true;
    /// A sum of gradients is added up where the first one lies, by the convolution gradient kernel that makes the second.
    /// (With inPlace any sum lies where one of its operands did.)
    bool accumulateGradients = true;
    /// Neurons, dropout and arithmetic write where a source lies that nobody reads again.
    bool inPlace = true;
    /// What makes a source of a concatenation writes into the channels of the concatenation's result, and gradient kernels
    /// read theirs out of the gradient of the whole, where nothing else needs an image of its own: no copies.
    bool concatenateInPlace = true;
    /// Images inside the graph lie in blocks of 16 channels where that makes the whole of convolutions, and of the
    /// reorders between the two layouts, faster: found by measurement, by the first encode of a shape, on devices whose
    /// convolutions have both (cpu).
    bool chooseLayouts = true;
    /// Data sources whose gradients are small are asked for their updates together, as late as possible, on devices where the
    /// start of an operation is dear (cuda): in the order of their gradients, before anything else reads their weights.
    bool joinUpdates = true;
    /// What no needed result, export or update depends on is left out.
    bool deadCode = true;

    /// All rewrites off.
    static NNGraphOptions none() { return {false, false, false, false, false, false, false, false, false, false, {}}; }

    /// Told, while a graph is made, of what is legal but seldom meant: a trainable node that no result reaches, two inputs
    /// with one handle, a data source of several nodes. One sentence each. Empty: the diagnostics of the library (a line
    /// on stderr unless MTL::setDiagnosticHandler says otherwise).
    std::function<void(const std::string& warning)> warningHandler;
};

}  // namespace MPS
