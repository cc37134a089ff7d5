#include <MTL/Device.hpp>

#include "mps/kernels/ConvolutionAccess.h"
#include "mps/kernels/ConvolutionParameters.h"

namespace pewter::mps {

void ConvolutionAccess::fuseNeuron(MPS::CNNConvolution& convolution, const MPS::NNNeuronDescriptor& neuron) {
    auto descriptor = convolution.descriptor_->copy();
    descriptor->setFusedNeuronDescriptor(neuron);
    checkDescriptor(*descriptor, convolution.name());
    convolution.descriptor_ = std::move(descriptor);
}

void ConvolutionAccess::fold(MPS::CNNConvolution& convolution,
                             MPS::CNNConvolutionDescriptor::BatchNormalization normalization) {
    auto descriptor = convolution.descriptor_->copy();
    descriptor->setBatchNormalizationParametersForInference(normalization.mean, normalization.variance,
                                                            normalization.gamma, normalization.beta,
                                                            normalization.epsilon);
    checkDescriptor(*descriptor, convolution.name());
    convolution.parameters_->refold(convolution.device(), descriptor->batchNormalization());
    convolution.descriptor_ = std::move(descriptor);
}

}  // namespace pewter::mps
