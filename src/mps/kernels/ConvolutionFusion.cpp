#include <MPS/CNNFullyConnected.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>

#include "mps/kernels/ConvolutionAccess.h"
#include "mps/kernels/ConvolutionParameters.h"

namespace pewter::mps {

void ConvolutionAccess::fuseNeuron(MPS::CNNConvolution& convolution, const MPS::NNNeuronDescriptor& neuron) {
    auto descriptor = convolution.descriptor_->copy();
    descriptor->setFusedNeuronDescriptor(neuron);
    checkDescriptor(*descriptor, convolution.name());
    convolution.descriptor_ = std::move(descriptor);
}

bool ConvolutionAccess::canAddToDestination(const MPS::CNNConvolutionGradient& gradient) {
    return dynamic_cast<const MPS::CNNFullyConnectedGradient*>(&gradient) == nullptr;
}

bool ConvolutionAccess::addsToDestination(const MPS::CNNConvolutionGradient& gradient) {
    return gradient.addsToDestination_;
}

void ConvolutionAccess::addToDestination(MPS::CNNConvolutionGradient& gradient) {
    if (!canAddToDestination(gradient))
        throw MTL::Error(gradient.name(), "destination", "a kernel that can add to it", gradient.className());
    gradient.addsToDestination_ = true;
}

void ConvolutionAccess::addToDestination(MPS::CNNConvolutionTransposeGradient& gradient) {
    throw MTL::Error(gradient.name(), "destination", "a kernel that can add to it", gradient.className());
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
