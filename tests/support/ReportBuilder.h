#pragma once

#include <MPS/NNGraph.hpp>
#include <algorithm>
#include <string>
#include <vector>

namespace pewter::test {

/// Makes graph reports by hand: forward kernels one by one, then what a training graph adds to them, then a place for
/// everything.
class ReportBuilder {
public:
    using Report = MPS::NNGraphReport;
    static constexpr std::size_t npos = Report::npos;

    Report report;
    std::size_t batch = 4;

    std::size_t input(const std::string& label, std::size_t width, std::size_t height, std::size_t channels) {
        const auto image = addImage(label, width, height, channels);
        report.images[image].source = true;
        report.images[image].temporary = false;
        return image;
    }
    std::size_t inputState(const std::string& label) {
        Report::State state;
        state.label = label;
        state.className = "CNNLossLabels";
        state.count = batch;
        state.bytes = 40 * batch;
        state.source = true;
        report.states.push_back(state);
        return report.states.size() - 1;
    }

    /// A forward kernel; returns its result image. It keeps a state for its gradient when stateBytes is not 0.
    std::size_t kernel(const std::string& className, const std::string& label, std::vector<std::size_t> sources,
                       std::size_t width, std::size_t height, std::size_t channels, std::size_t stateBytes = 0,
                       bool hasWeights = false) {
        const std::string name = className + " '" + label + "'";
        const auto image = addImage("result of " + name, width, height, channels);
        const auto step = addStep(className, name, sources, image);
        if (stateBytes > 0) {
            Report::State state;
            state.label = "state of " + name;
            state.className = className + "GradientState";
            state.forwardKernel = name;
            state.count = 1;
            state.bytes = stateBytes;
            state.firstWriter = step;
            state.temporary = true;
            report.states.push_back(state);
            report.steps[step].resultState = report.states.size() - 1;
        }
        weights_.resize(step + 1);
        weights_[step] = hasWeights;
        return image;
    }

    /// A loss of the image and the gradient kernels of everything before it.
    void backward(std::size_t image) {
        const auto labels = inputState("labels");
        const auto& of = report.images[image];
        std::vector<std::size_t> gradients(report.images.size(), npos);
        gradients[image] = kernel("CNNLoss", "loss", {image}, of.width, of.height, of.featureChannels);
        report.steps.back().sourceStates.push_back(labels);
        for (std::size_t forward = report.steps.size() - 1; forward-- > 0;) {
            const auto step = report.steps[forward];
            if (gradients[step.resultImage] == npos) continue;
            for (const std::size_t source : step.sourceImages) {
                const auto extent = report.images[source];
                const auto made = addImage("gradient of " + extent.label, extent.width, extent.height, extent.featureChannels);
                const std::string className = step.className + "Gradient";
                const auto name = step.label;
                const auto at = addStep(className, className + name.substr(step.className.size(), name.size()),
                                        {gradients[step.resultImage], source}, made);
                if (step.resultState != npos) report.steps[at].sourceStates.push_back(step.resultState);
                report.steps[at].updatesWeights = weights_[forward];
                if (gradients[source] == npos) {
                    gradients[source] = made;
                } else {
                    const auto sum = addImage("sum for " + extent.label, extent.width, extent.height, extent.featureChannels);
                    addStep("NNAddition", "NNAddition 'sum'", {gradients[source], made}, sum);
                    gradients[source] = sum;
                }
            }
        }
    }

    /// Readers and read counts, then a place for every temporary: the lowest that is free, step by step.
    Report& place() {
        for (std::size_t i = 0; i < report.steps.size(); ++i) {
            for (const std::size_t image : report.steps[i].sourceImages) {
                report.images[image].lastReader = i;
                ++report.images[image].readCount;
            }
            for (const std::size_t state : report.steps[i].sourceStates) {
                report.states[state].lastReader = i;
                ++report.states[state].readCount;
                report.states[state].consumers.push_back(report.steps[i].label);
            }
        }
        for (std::size_t i = 0; i < report.steps.size(); ++i) {
            for (std::size_t j = 0; j < report.images.size(); ++j) put(report.images[j], i, j, npos);
            for (std::size_t j = 0; j < report.states.size(); ++j) put(report.states[j], i, npos, j);
            if (report.steps[i].updatesWeights) add(i, i, 4096, npos, npos);
            auto& step = report.steps[i];
            for (const auto& range : report.ranges) {
                if (range.firstStep > i || range.lastStep < i) continue;
                step.peakBytes += range.bytes;
                if (range.lastStep > i) step.liveBytes += range.bytes;
            }
            report.lowerBoundBytes = std::max(report.lowerBoundBytes, step.peakBytes);
        }
        return report;
    }

private:
    std::size_t addImage(const std::string& label, std::size_t width, std::size_t height, std::size_t channels) {
        Report::Image image;
        image.label = label;
        image.format = "float32";
        image.width = width;
        image.height = height;
        image.featureChannels = channels;
        image.count = batch;
        image.bytes = width * height * channels * batch * 4;
        image.temporary = true;
        report.images.push_back(image);
        return report.images.size() - 1;
    }

    std::size_t addStep(const std::string& className, const std::string& name, const std::vector<std::size_t>& sources,
                        std::size_t image) {
        Report::Step step;
        step.label = name;
        step.className = className;
        step.sourceImages = sources;
        step.resultImage = image;
        report.steps.push_back(step);
        report.images[image].firstWriter = report.steps.size() - 1;
        return report.steps.size() - 1;
    }

    template <class Slot>
    void put(Slot& slot, std::size_t step, std::size_t image, std::size_t state) {
        if (slot.firstWriter != step || !slot.temporary) return;
        slot.offset = add(step, slot.lastReader == npos ? step : slot.lastReader, slot.bytes, image, state);
    }

    std::size_t add(std::size_t first, std::size_t last, std::size_t bytes, std::size_t image, std::size_t state) {
        std::size_t offset = 0;
        for (bool moved = true; moved;) {
            moved = false;
            for (const auto& other : report.ranges)
                if (first <= other.lastStep && other.firstStep <= last && offset < other.offset + other.bytes &&
                    other.offset < offset + bytes) {
                    offset = other.offset + other.bytes;
                    moved = true;
                }
        }
        report.ranges.push_back({offset, bytes, first, last, image, state});
        report.peakBytes = std::max(report.peakBytes, offset + bytes);
        return offset;
    }

    std::vector<bool> weights_;
};

/// A chain of convolutions, poolings and neurons like Apple's sample network.
inline MPS::NNGraphReport chainReport() {
    ReportBuilder b;
    auto x = b.input("pictures", 28, 28, 1);
    x = b.kernel("CNNConvolution", "conv1", {x}, 28, 28, 32, 512, true);
    x = b.kernel("CNNNeuron", "relu1", {x}, 28, 28, 32, 8192);
    x = b.kernel("CNNPoolingMax", "pool1", {x}, 14, 14, 32, 25088);
    x = b.kernel("CNNConvolution", "conv2", {x}, 14, 14, 64, 204800, true);
    x = b.kernel("CNNNeuron", "relu2", {x}, 14, 14, 64, 8192);
    x = b.kernel("CNNPoolingMax", "pool2", {x}, 7, 7, 64, 12544);
    x = b.kernel("CNNFullyConnected", "fc1", {x}, 1, 1, 1024, 12845056 / 16, true);
    x = b.kernel("CNNFullyConnected", "fc2", {x}, 1, 1, 10, 40960, true);
    b.backward(x);
    return b.place();
}

/// Residual blocks: branches, joins, gradients that are added up.
inline MPS::NNGraphReport residualReport(std::size_t stages = 4) {
    ReportBuilder b;
    auto x = b.input("pictures", 32, 32, 3);
    const auto unit = [&](std::size_t from, const std::string& name, std::size_t size, std::size_t channels) {
        const auto y = b.kernel("CNNConvolution", name + ".conv", {from}, size, size, channels, 36 * channels * 16, true);
        return b.kernel("CNNBatchNormalization", name + ".norm", {y}, size, size, channels, 32 * channels, true);
    };
    x = b.kernel("CNNNeuron", "relu", {unit(x, "stem", 32, 64)}, 32, 32, 64, 256);
    for (std::size_t stage = 0; stage < stages; ++stage)
        for (std::size_t block = 0; block < 2; ++block) {
            const auto name = "layer" + std::to_string(stage + 1) + "." + std::to_string(block);
            const std::size_t size = std::max<std::size_t>(32 >> stage, 1), channels = 64u << std::min<std::size_t>(stage, 3);
            auto y = unit(x, name + ".1", size, channels);
            y = b.kernel("CNNNeuron", name + ".relu1", {y}, size, size, channels, 256);
            y = unit(y, name + ".2", size, channels);
            if (block == 0 && stage > 0) x = unit(x, name + ".down", size, channels);
            x = b.kernel("NNAddition", name + ".add", {x, y}, size, size, channels, 64);
            x = b.kernel("CNNNeuron", name + ".relu2", {x}, size, size, channels, 256);
        }
    x = b.kernel("CNNPoolingAverage", "pool", {x}, 1, 1, 512, 64);
    b.backward(b.kernel("CNNFullyConnected", "fc", {x}, 1, 1, 10, 20480, true));
    return b.place();
}

}  // namespace pewter::test
