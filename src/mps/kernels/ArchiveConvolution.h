#pragma once

#include <MPS/CNNConvolutionDataSource.hpp>

#include "mps/kernels/ArchiveValues.h"
#include "mps/kernels/ConvolutionAccess.h"
#include "mps/kernels/ConvolutionParameters.h"

namespace pewter::mps {

/// Writes the data source if it has secure coding; else the parameters in use, as the host sees them now, or
/// those of the source when the kernel has none yet.
void encodeConvolutionSource(MPS::Coder& coder, const MPS::Kernel& kernel,
                             const std::shared_ptr<MPS::CNNConvolutionDataSource>& source,
                             const MPS::CNNConvolutionDescriptor& descriptor,
                             const std::shared_ptr<ConvolutionParameters>& parameters);
/// The data source that was written, or one over the parameters. `who` is the class that is being made.
std::shared_ptr<MPS::CNNConvolutionDataSource> decodeConvolutionSource(MPS::Coder& coder, const char* who);

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
        [name, restore](MPS::Coder& coder, const Device& device) {
            auto kernel = std::make_shared<K>(device, decodeConvolutionSource(coder, name));
            // A gradient kernel without parameters takes them from the forward kernel of its first state.
            if (coder.decodeBool("hasParameters") && !ConvolutionAccess::sharedParameters(*kernel))
                kernel->reloadWeightsAndBiasesFromDataSource();
            restore(*kernel, coder);
            return kernel;
        });
}

}  // namespace pewter::mps
