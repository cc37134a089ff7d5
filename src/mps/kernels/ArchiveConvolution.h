#pragma once

#include <MPS/CNNConvolutionDataSource.hpp>

#include "mps/kernels/ArchiveValues.h"
#include "mps/kernels/ConvolutionAccess.h"
#include "mps/kernels/ConvolutionParameters.h"

namespace pewter::mps {

/// Writes the data source if it has secure coding; else the parameters in use, as the host sees them now, or
/// those of the source when the kernel has none yet. Within a graph (SharedSources) they stand in for the
/// data source of all its kernels, and parameters that a source with secure coding does not have are written
/// as well.
void encodeConvolutionSource(MPS::Coder& coder, const MPS::Kernel& kernel,
                             const std::shared_ptr<MPS::CNNConvolutionDataSource>& source,
                             const MPS::CNNConvolutionDescriptor& descriptor,
                             const std::shared_ptr<ConvolutionParameters>& parameters);
/// The data source that was written, or one over the parameters.
std::shared_ptr<MPS::CNNConvolutionDataSource> decodeConvolutionSource(MPS::Coder& coder);
/// Parameters that were written besides the data source.
void restoreParameters(MPS::Coder& coder, const MPS::Kernel& kernel,
                       const MPS::CNNConvolutionDescriptor& descriptor, ConvolutionParameters& parameters,
                       bool transposed);

/// Refuses a list that is not as long as the descriptor says, which may claim anything.
void checkStoredWeights(MPS::Coder& coder, const MPS::CNNConvolutionDescriptor& descriptor,
                        const std::vector<float>& weights);

/// A class of the convolution family: weights and descriptor here, what else it has in `write` and `restore`.
template <class K, class Write, class Restore>
void addConvolution(ArchivedClasses& classes, const char* name, Write write, Restore restore) {
    classes.addKernel<K>(
        name,
        [write](const K& kernel, MPS::Coder& coder) {
            const auto& parameters = ConvolutionAccess::sharedParameters(kernel);
            encodeConvolutionSource(coder, kernel, kernel.dataSource(), kernel.descriptor(), parameters);
            coder.encodeBool(parameters != nullptr, "hasParameters");
            write(kernel, coder);
        },
        [restore](MPS::Coder& coder, const Device& device) {
            constexpr bool transposed = std::is_same_v<K, MPS::CNNConvolutionTranspose> ||
                                        std::is_same_v<K, MPS::CNNConvolutionTransposeGradient>;
            auto kernel = std::make_shared<K>(device, decodeConvolutionSource(coder));
            // A gradient kernel without parameters takes them from the forward kernel of its first state.
            if (coder.decodeBool("hasParameters") && !ConvolutionAccess::sharedParameters(*kernel))
                kernel->reloadWeightsAndBiasesFromDataSource();
            if (const auto& parameters = ConvolutionAccess::sharedParameters(*kernel))
                restoreParameters(coder, *kernel, kernel->descriptor(), *parameters, transposed);
            restore(*kernel, coder);
            return kernel;
        });
}

}  // namespace pewter::mps
