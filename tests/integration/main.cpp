#include <MPS/MPS.hpp>
#include <Pewter/Train.hpp>
#include <cmath>
#include <cstdio>

// A program outside the project: it has the installed package and nothing else. Runs one kernel, one training step through a
// graph, and reads an error.
int main() {
    const auto device = MTL::createSystemDefaultDevice();
    const auto queue = device->newCommandQueue();
    const auto descriptor =
        MPS::ImageDescriptor::imageDescriptor(MPS::ImageFeatureChannelFormat::Float32, 2, 1, 1);
    const auto source = std::make_shared<MPS::Image>(device, descriptor);
    const auto result = std::make_shared<MPS::Image>(device, descriptor);
    const float in[2] = {-3, 5};
    float out[2] = {};
    source->writeBytes(in, MPS::DataLayout::HeightxWidthxFeatureChannels, 0);
    MPS::CNNNeuron relu(device, MPS::NNNeuronDescriptor::cnnNeuronDescriptor(MPS::CNNNeuronType::ReLU, 0.0f));
    const auto commands = queue->commandBuffer();
    relu.encode(commands, source, result);
    commands->commit();
    commands->waitUntilCompleted();
    result->readBytes(out, MPS::DataLayout::HeightxWidthxFeatureChannels, 0);
    if (out[0] != 0 || out[1] != 5) return 1;

    using namespace pewter::train;
    const auto digits = digitsSplit();
    TrainingNetwork classifier(network("digits"), device, {.batchSize = 8});
    Trainer trainer(classifier, digits.train);
    const auto& log = trainer.train(2);
    if (log.losses.size() != 2 || !std::isfinite(log.losses[1])) return 2;

    try {
        relu.encode(commands, source, result);
        return 3;
    } catch (const MPS::Error& error) {
        std::puts(error.what());
    }
    return 0;
}
