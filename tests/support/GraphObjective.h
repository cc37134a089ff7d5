#pragma once

#include "Compare.h"
#include "GraphNets.h"

/// Derivatives of the loss through whole graphs: central differences in double on `reference`. Pictures,
/// labels and all images of the graph are float64; weights are float32 multiples of 2^-10, so that a step of
/// 2^-17 is exact.
namespace pewter::test {

inline constexpr double kStep = 0x1p-17;
/// h^2 f'''/6 and 2^-52 f / h of the difference, and for parameters the float32 of the gradient buffers.
inline constexpr double kImageTolerance = 1e-7, kParameterTolerance = 3e-7;

/// Rebuilds a network for every evaluation: dropout then draws the mask of its first encode again.
class Objective {
public:
    explicit Objective(std::function<void(Net&)> build, std::size_t count = 2)
        : build_(std::move(build)), count_(count) {
        Net net;
        build_(net);
        images_ = net.images(count_, 3, Format::Float64);
        labels_ = net.labels(count_, 5, Format::Float64);
        for (const auto& layer : net.layers) parameters_.push_back({layer->values, layer->biases});
        for (const auto& norm : net.norms) parameters_.push_back({norm->gammas, norm->betas});
        layers_ = net.layers.size();
    }

    double loss() {
        Net net;
        return evaluate(net, false);
    }

    void checkImages() {
        Net net;
        evaluate(net, true);
        const auto gradients = net.result;
        ASSERT_EQ(gradients.size(), count_);
        for (std::size_t n = 0; n < count_; ++n) {
            auto start = valuesOf(*images_[n]), numeric = start;
            for (std::size_t i = 0; i < start.size(); ++i) {
                auto values = start;
                values[i] = start[i] + kStep;
                fillImage(*images_[n], values);
                const double above = loss();
                values[i] = start[i] - kStep;
                fillImage(*images_[n], values);
                numeric[i] = (above - loss()) / (2 * kStep);
            }
            fillImage(*images_[n], start);
            EXPECT_TRUE(allNear(valuesOf(*gradients[n]), numeric, kImageTolerance)) << "picture " << n;
            EXPECT_NE(numeric, std::vector<double>(numeric.size())) << "picture " << n;
        }
    }

    /// Every parameter of every layer.
    void checkParameters() {
        Net net;
        evaluate(net, true);
        for (std::size_t p = 0; p < parameters_.size(); ++p)
            for (const bool second : {false, true}) {
                auto& values = second ? parameters_[p].second : parameters_[p].first;
                // Plain descent: the step taken over the rate is the gradient the data source was given.
                std::vector<double> numeric, given;
                const auto gradient = gradients_.at(2 * p + second);
                for (std::size_t i = 0; i < values.size(); ++i) {
                    const float start = values[i];
                    values[i] = start + static_cast<float>(kStep);
                    const double above = loss();
                    values[i] = start - static_cast<float>(kStep);
                    const double below = loss();
                    values[i] = start;
                    numeric.push_back((above - below) / (2 * kStep));
                    given.push_back(gradient[i]);
                }
                EXPECT_TRUE(allNear(given, numeric, kParameterTolerance)) << "layer " << p << ", " << second;
            }
    }

private:
    double evaluate(Net& net, bool gradients) {
        build_(net);
        for (std::size_t p = 0; p < parameters_.size(); ++p)
            if (p < layers_) {
                net.layers[p]->values = parameters_[p].first;
                net.layers[p]->biases = parameters_[p].second;
            } else {
                net.norms[p - layers_]->gammas = parameters_[p].first;
                net.norms[p - layers_]->betas = parameters_[p].second;
            }
        if (!gradients) {
            // Without backward filters, with the statistics of the batch nevertheless: the state is used.
            net.train(nullptr, false, Format::Float64);
        } else {
            net.train(
                [&](const auto& gradient, const auto&, const auto&, const auto&) {
                    for (const auto& state : gradient->sourceStates()) state->setExportFromGraph(true);
                },
                true, Format::Float64);
        }
        const auto commands = net.queue->commandBuffer();
        std::vector<MPS::StateBatch> states;
        net.result = net.graph->encodeBatch(commands, {images_}, {labels_}, nullptr, &states);
        run(commands);
        if (gradients) collect(net, states);
        return lossOf(labels_);
    }

    void collect(const Net& net, const std::vector<MPS::StateBatch>& states) {
        gradients_.assign(2 * parameters_.size(), {});
        std::size_t found = 0;
        for (const auto& batch : states) {
            if (auto* conv = dynamic_cast<MPS::CNNConvolutionGradientState*>(batch[0].get())) {
                for (std::size_t p = 0; p < layers_; ++p)
                    if (conv->convolution()->dataSource() == net.layers[p]) {
                        keep(2 * p, *conv->gradientForWeights());
                        keep(2 * p + 1, *conv->gradientForBiases());
                        ++found;
                    }
            } else if (auto* norm = dynamic_cast<MPS::CNNBatchNormalizationState*>(batch[0].get())) {
                keep(2 * layers_, *norm->gradientForGamma());
                keep(2 * layers_ + 1, *norm->gradientForBeta());
                ++found;
            }
        }
        EXPECT_EQ(found, parameters_.size());
    }
    /// float32, or float64 of a state made for float64 images.
    void keep(std::size_t at, MTL::Buffer& buffer) {
        const auto& parameters = at % 2 ? parameters_[at / 2].second : parameters_[at / 2].first;
        const std::size_t bytes = buffer.length() / parameters.size();
        for (std::size_t i = 0; i < parameters.size(); ++i)
            gradients_[at].push_back(bytes == sizeof(double)
                                         ? static_cast<const double*>(buffer.contents())[i]
                                         : static_cast<const float*>(buffer.contents())[i]);
    }

    std::function<void(Net&)> build_;
    std::size_t count_, layers_ = 0;
    MPS::ImageBatch images_;
    MPS::StateBatch labels_;
    std::vector<std::pair<std::vector<float>, std::vector<float>>> parameters_;
    std::vector<std::vector<double>> gradients_;
};

}  // namespace pewter::test
