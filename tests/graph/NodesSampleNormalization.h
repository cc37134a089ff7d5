#pragma once

#include <MPS/CNNGroupNormalizationNode.hpp>
#include <MPS/CNNInstanceNormalizationNode.hpp>
#include <MPS/NNGraph.hpp>
#include <MPS/NNOptimizer.hpp>
#include <MPS/Vector.hpp>

#include "NormalizationKernels.h"
#include "TestKernel.h"

/// Nodes of instance and group normalisation behind one face.
namespace pewter::test::sample {

struct InstanceNodes {
    using Kind = InstanceKind;
    using Node = MPS::CNNInstanceNormalizationNode;
    using GradientNode = MPS::CNNInstanceNormalizationGradientNode;
    class Values : public NormalizationValues<MPS::CNNInstanceNormalizationDataSource> {
    public:
        Values(std::size_t channels, std::size_t) : NormalizationValues(channels) {}
        bool load() override { return calls.push_back("load"), true; }
        void purge() override { calls.push_back("purge"); }
        std::vector<std::string> calls;
    };
    static constexpr std::array<const char*, 4> kReload{"load", "gamma", "beta", "purge"};
    static constexpr const char* kName = "Instance";
    static constexpr const char* kNode = "CNNInstanceNormalizationNode";
    static constexpr const char* kProtocol = "CNNInstanceNormalizationDataSource";
    static constexpr const char* kGradientKernel = "CNNInstanceNormalizationGradient";
    static constexpr const char* kStates = "instanceNormalizationStateBatch";
};

struct GroupNodes {
    using Kind = GroupKind;
    using Node = MPS::CNNGroupNormalizationNode;
    using GradientNode = MPS::CNNGroupNormalizationGradientNode;
    class Values : public NormalizationValues<MPS::CNNGroupNormalizationDataSource> {
    public:
        Values(std::size_t channels, std::size_t groups) : NormalizationValues(channels), of(groups) {}
        std::size_t numberOfGroups() const override { return of; }
        void setNumberOfGroups(std::size_t groups) override { of = groups; }
        std::size_t of;
        std::vector<std::string> calls;
    };
    static constexpr std::array<const char*, 2> kReload{"gamma", "beta"};
    static constexpr const char* kName = "Group";
    static constexpr const char* kNode = "CNNGroupNormalizationNode";
    static constexpr const char* kProtocol = "CNNGroupNormalizationDataSource";
    static constexpr const char* kGradientKernel = "CNNGroupNormalizationGradient";
    static constexpr const char* kStates = "groupNormalizationStateBatch";
};

using SampleNormalizations = testing::Types<InstanceNodes, GroupNodes>;
struct CaseNames {
    template <class Case>
    static std::string GetName(int) {
        return Case::kName;
    }
};

constexpr auto kNone = MPS::NNTrainingStyle::UpdateDeviceNone;
constexpr auto kCPU = MPS::NNTrainingStyle::UpdateDeviceCPU;
constexpr auto kGPU = MPS::NNTrainingStyle::UpdateDeviceGPU;

/// How a data source answers an update.
enum class Answer {
    Own,        ///< a state of its own, the same every time
    Temporary,  ///< a new temporary state
    Nothing,    ///< null, reads given back
    Missing,    ///< the method is not there
    Forgetful,  ///< null, and reads not given back
};

/// Descends with rate 1/2 on the device or on the host, and notes what it is asked.
template <class Case>
class Descent : public Case::Values {
public:
    using State = typename Case::Kind::State;
    using StateBatch = typename Case::Kind::StateBatch;
    using Case::Values::calls;

    /// groups: of a group normalisation.
    Descent(const DevicePtr& device, const Numbers& gamma, const Numbers& beta, std::size_t groups = 1)
        : Case::Values(gamma.size(), groups), optimizer_(device, 0.5F) {
        this->g.assign(gamma.begin(), gamma.end());
        this->b.assign(beta.begin(), beta.end());
        this->eps = 0;
        const auto buffer = [&](const std::vector<float>& values) {
            return device->newBuffer(values.data(), values.size() * sizeof(float), 0);
        };
        state_ = std::make_shared<MPS::CNNNormalizationGammaAndBetaState>(buffer(this->g), buffer(this->b));
    }
    /// One channel: gamma 2, beta 5.
    static std::shared_ptr<Descent> one(const DevicePtr& device) {
        return std::make_shared<Descent>(device, Numbers{2}, Numbers{5});
    }

    const float* gamma() override { return calls.push_back("gamma"), this->g.data(); }
    const float* beta() override { return calls.push_back("beta"), this->b.data(); }

    std::shared_ptr<MPS::CNNNormalizationGammaAndBetaState> updateGammaAndBeta(
        const std::shared_ptr<MTL::CommandBuffer>& commandBuffer, const StateBatch& states) override {
        calls.push_back("update");
        asked = states;
        if (answer == Answer::Missing) return Case::Values::updateGammaAndBeta(commandBuffer, states);
        if (answer == Answer::Forgetful) return nullptr;
        const auto sum = State::batchGradient(commandBuffer, states);
        auto result = state_;
        if (answer == Answer::Temporary) {
            result = MPS::CNNNormalizationGammaAndBetaState::temporaryState(commandBuffer, this->count);
            descend(commandBuffer, *sum, *result);
        }
        if (answer != Answer::Nothing) descend(commandBuffer, *sum, *state_);
        sum->setReadCount(0);
        return answer == Answer::Nothing ? nullptr : result;
    }
    bool updateGammaAndBeta(const StateBatch& states) override {
        calls.push_back("host update");
        asked = states;
        if (answer == Answer::Missing) return Case::Values::updateGammaAndBeta(states);
        if (!accepts) return false;
        for (const auto& state : states)
            for (std::size_t c = 0; c < this->count; ++c) {
                this->g[c] -=
                    0.5F * static_cast<float>(contentsOf(*state->gradientForGamma(), this->count)[c]);
                this->b[c] -=
                    0.5F * static_cast<float>(contentsOf(*state->gradientForBeta(), this->count)[c]);
            }
        return true;
    }

    Answer answer = Answer::Own;
    bool accepts = true;
    /// The states of the last update.
    StateBatch asked;

private:
    std::shared_ptr<MPS::Vector> vector(const std::shared_ptr<MTL::Buffer>& buffer) const {
        return std::make_shared<MPS::Vector>(
            buffer, MPS::VectorDescriptor::vectorDescriptor(this->count, MPS::DataType::Float32));
    }
    void descend(const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                 MPS::CNNNormalizationGammaAndBetaState& sum, MPS::CNNNormalizationGammaAndBetaState& to) {
        optimizer_.encode(commandBuffer, vector(sum.gamma()), vector(state_->gamma()), nullptr,
                          vector(to.gamma()));
        optimizer_.encode(commandBuffer, vector(sum.beta()), vector(state_->beta()), nullptr,
                          vector(to.beta()));
    }

    MPS::NNOptimizerStochasticGradientDescent optimizer_;
    std::shared_ptr<MPS::CNNNormalizationGammaAndBetaState> state_;
};

/// A handle that is only a name.
class Label final : public MPS::Handle {
public:
    explicit Label(std::string text) : text_(std::move(text)) {}
    std::string label() const override { return text_; }

private:
    std::string text_;
};
inline std::shared_ptr<Label> label(const std::string& text) { return std::make_shared<Label>(text); }

// Two samples of four pixels and one channel, worked out by hand: x - mean is -d, d, -d, d with d = 1 and 2.
// The gradients of gamma are -1 and 3, those of beta 1 and 3: with rate 1/2 each step takes 1 from gamma and
// 2 from beta.
inline const Extents kExtents{2, 1, 4, 1};
inline const Numbers kX{-1, 1, -1, 1, -2, 2, -2, 2}, kG{1, 0, 0, 0, 0, 3, 0, 0};
/// The gradient of x under kG.
inline Numbers slopes(double gamma) {
    return {0.5 * gamma, 0, -0.5 * gamma, 0, 0, 0.75 * gamma, 0, -0.75 * gamma};
}
/// The result for kX.
inline Numbers scaled(double gamma, double beta) {
    Numbers values;
    for (const double x : kX) values.push_back(x < 0 ? beta - gamma : beta + gamma);
    return values;
}

/// Normalisations in a row with their training graph; forward results leave the graph too.
template <class Case>
class Net {
public:
    using Source = Descent<Case>;

    Net(const DevicePtr& device, std::vector<std::shared_ptr<Source>> all, MPS::NNTrainingStyle style,
        Format format = Format::Float32)
        : sources(std::move(all)), device_(device), format_(format) {
        auto image = x;
        for (const auto& source : sources) {
            nodes.push_back(Case::Node::node(image, source));
            nodes.back()->setTrainingStyle(style);
            image = nodes.back()->resultImage();
            image->setExportFromGraph(true);
            image->setImageAllocator(MPS::Image::defaultAllocator());
        }
        terminus = nodes.back()->trainingGraph(start).at(0);
    }

    /// Made when it is first asked for; the calls of its construction are forgotten.
    MPS::NNGraph& graph() {
        if (!graph_) {
            graph_ = std::make_shared<MPS::NNGraph>(device_, terminus->resultImage());
            graph_->setFormat(format_);
            for (const auto& source : sources) source->calls.clear();
        }
        return *graph_;
    }
    /// Batches in the order of the graph's handles.
    std::vector<MPS::ImageBatch> inputs(const Extents& extents, const Numbers& values,
                                        const Numbers& gradient) {
        std::vector<MPS::ImageBatch> all;
        for (const auto& handle : graph().sourceImageHandles())
            all.push_back(imagesOf(device_, extents, handle->label() == "x" ? values : gradient, format_));
        return all;
    }
    MPS::ImageBatch encode(const std::shared_ptr<MTL::CommandBuffer>& commands) {
        return graph().encodeBatch(commands, inputs(kExtents, kX, kG));
    }
    /// One completed training step; the gradient of x.
    Numbers step(const Extents& extents = kExtents, const Numbers& values = kX,
                 const Numbers& gradient = kG) {
        const auto commands = device_->newCommandQueue()->commandBuffer();
        std::vector<MPS::ImageBatch> exported;
        const auto result =
            graph().encodeBatch(commands, inputs(extents, values, gradient), {}, &exported, nullptr);
        finish(commands);
        results.clear();
        for (const auto& batch : exported) results.push_back(read(batch));
        return read(result);
    }
    /// The same through the single-image form, with both samples in one image.
    Numbers stepAsOneImage() {
        std::vector<std::shared_ptr<MPS::Image>> images;
        for (const auto& handle : graph().sourceImageHandles())
            images.push_back(imageOf(device_, kExtents.w, kExtents.h, kExtents.c,
                                     handle->label() == "x" ? kX : kG, format_, kExtents.n));
        const auto commands = device_->newCommandQueue()->commandBuffer();
        std::vector<std::shared_ptr<MPS::Image>> exported;
        const auto result = graph().encode(commands, images, {}, &exported, nullptr);
        finish(commands);
        results.clear();
        for (const auto& image : exported) results.push_back(read(*image));
        return read(*result);
    }

    std::vector<std::shared_ptr<Source>> sources;
    std::shared_ptr<MPS::NNImageNode> x = MPS::NNImageNode::node(label("x")),
                                      start = MPS::NNImageNode::node(label("g"));
    std::vector<std::shared_ptr<typename Case::Node>> nodes;
    std::shared_ptr<MPS::NNFilterNode> terminus;
    /// Results of the nodes in the last step.
    std::vector<Numbers> results;

private:
    DevicePtr device_;
    Format format_;
    std::shared_ptr<MPS::NNGraph> graph_;
};

}  // namespace pewter::test::sample
