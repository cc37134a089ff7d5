// Every optimizer through vectors, matrices and convolution states against PyTorch.

#include <gtest/gtest.h>

#include <MPS/Matrix.hpp>
#include <MPS/NNOptimizer.hpp>
#include <MPS/Vector.hpp>

#include "Fixtures.h"
#include "WeightedKernels.h"

using namespace pewter::test;

namespace {

using VectorPtr = std::shared_ptr<MPS::Vector>;

MPS::NNOptimizerDescriptor common(const Json& one) {
    MPS::NNOptimizerDescriptor d;
    d.gradientRescale = one.at("gradientRescale");
    d.applyGradientClipping = one.at("applyGradientClipping");
    if (d.applyGradientClipping) {
        d.gradientClipMin = one.at("gradientClipMin");
        d.gradientClipMax = one.at("gradientClipMax");
    }
    const auto type = one.at("regularizationType").get<std::string>();
    d.regularizationType = type == "L1"   ? MPS::NNRegularizationType::L1
                           : type == "L2" ? MPS::NNRegularizationType::L2
                                          : MPS::NNRegularizationType::None;
    d.regularizationScale = one.at("regularizationScale");
    return d;
}

/// The optimizer of a case, and how to hand it its arguments in whatever storage.
class Case {
public:
    Case(const DevicePtr& device, const Json& one) : type_(one.at("type")) {
        const auto d = common(one);
        if (type_ == "SGD") {
            momentum_ = one.at("momentumScale").get<float>() != 0;
            sgd_ = std::make_unique<MPS::NNOptimizerStochasticGradientDescent>(
                device, one.at("momentumScale"), one.at("useNesterovMomentum"), d);
        } else if (type_ == "RMSProp") {
            rms_ = std::make_unique<MPS::NNOptimizerRMSProp>(device, one.at("decay"), one.at("epsilon"), d);
        } else {
            ams_ = one.at("amsgrad");
            adam_ = std::make_unique<MPS::NNOptimizerAdam>(device, one.at("beta1"), one.at("beta2"),
                                                           one.at("epsilon"), one.at("timeStep"), d);
        }
    }
    void setRate(float rate) {
        if (sgd_) sgd_->setLearningRate(rate);
        if (rms_) rms_->setLearningRate(rate);
        if (adam_) adam_->setLearningRate(rate);
    }
    std::vector<std::string> moments() const {
        if (rms_) return {"sumOfSquares"};
        if (adam_)
            return ams_ ? std::vector<std::string>{"momentum", "velocity", "maximumVelocity"}
                        : std::vector<std::string>{"momentum", "velocity"};
        return momentum_ ? std::vector<std::string>{"momentum"} : std::vector<std::string>{};
    }
    template <class Storage>
    void encode(const std::shared_ptr<MTL::CommandBuffer>& c, const Storage& gradient, const Storage& values,
                const std::vector<Storage>& m, const Storage& result) {
        if (sgd_) sgd_->encode(c, gradient, values, m.empty() ? Storage() : m[0], result);
        if (rms_) rms_->encode(c, gradient, values, m[0], result);
        if (adam_ && ams_) adam_->encode(c, gradient, values, m[0], m[1], m[2], result);
        if (adam_ && !ams_) adam_->encode(c, gradient, values, m[0], m[1], result);
    }
    void encode(const std::shared_ptr<MTL::CommandBuffer>& c,
                const std::shared_ptr<MPS::CNNConvolutionGradientState>& gradient,
                const std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>& source,
                const std::vector<MPS::OptimizerVectors>& m,
                const std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>& result) {
        if (sgd_) sgd_->encode(c, gradient, source, m.empty() ? MPS::OptimizerVectors() : m[0], result);
        if (rms_) rms_->encode(c, gradient, source, m[0], result);
        if (adam_ && ams_) adam_->encode(c, gradient, source, m[0], m[1], m[2], result);
        if (adam_ && !ams_) adam_->encode(c, gradient, source, m[0], m[1], result);
    }

private:
    std::string type_;
    bool momentum_ = false, ams_ = false;
    std::unique_ptr<MPS::NNOptimizerStochasticGradientDescent> sgd_;
    std::unique_ptr<MPS::NNOptimizerRMSProp> rms_;
    std::unique_ptr<MPS::NNOptimizerAdam> adam_;
};

VectorPtr vectorOf(const DevicePtr& device, const Numbers& values) {
    return std::make_shared<MPS::Vector>(
        bufferOf(device, values),
        MPS::VectorDescriptor::vectorDescriptor(values.size(), MPS::DataType::Float32));
}

/// Two rows of three with a gap between them.
std::shared_ptr<MPS::Matrix> matrixOf(const DevicePtr& device, const Numbers& v) {
    return std::make_shared<MPS::Matrix>(
        bufferOf(device, {v[0], v[1], v[2], 55, v[3], v[4], v[5], 55}),
        MPS::MatrixDescriptor::matrixDescriptor(2, 3, 16, MPS::DataType::Float32));
}
Numbers valuesOf(MPS::Matrix& matrix) {
    auto all = floatsOf(*matrix.data());
    EXPECT_EQ(all[3], 55);
    EXPECT_EQ(all[7], 55);
    return {all[0], all[1], all[2], all[4], all[5], all[6]};
}
Numbers valuesOf(MPS::Vector& vector) {
    auto all = floatsOf(*vector.data());
    all.resize(vector.length());
    return all;
}

/// Each step rounds to float32 a dozen times; values are of size 1.
void expectClose(const Numbers& actual, const Json& expected, std::size_t step, const std::string& what) {
    const auto goal = numbers(expected);
    ASSERT_EQ(actual.size(), goal.size()) << what;
    const double tolerance = 12.0 * static_cast<double>(step + 1) * std::numeric_limits<float>::epsilon();
    for (std::size_t i = 0; i < goal.size(); ++i)
        EXPECT_NEAR(actual[i], goal[i], tolerance * (1 + std::abs(goal[i]))) << what << ", step " << step;
}

template <class Visit>
void eachCase(Visit visit) {
    const auto cases = fixture("optimizer").at("cases");
    ASSERT_FALSE(cases.empty());
    for (const auto& one : cases)
        for (const auto& device : weightedDevices())
            visit(one, device, one.at("name").template get<std::string>() + ", " + device->name());
}

template <class Storage, class Make>
void checkStorage(Make make) {
    eachCase([&](const Json& one, const DevicePtr& device, const std::string& name) {
        Case optimizer(device, one);
        auto values = make(device, numbers(one.at("v")));
        std::vector<Storage> moments;
        for (std::size_t i = 0; i < optimizer.moments().size(); ++i)
            moments.push_back(make(device, Numbers(6)));
        for (std::size_t step = 0; step < one.at("steps").size(); ++step) {
            const auto& expected = one.at("steps")[step];
            optimizer.setRate(one.at("learningRates")[step]);
            // In place, and into another one.
            const auto result = step % 2 == 0 ? values : make(device, Numbers(6));
            const auto c = device->newCommandQueue()->commandBuffer();
            optimizer.encode(c, make(device, numbers(expected.at("gradient"))), values, moments, result);
            finish(c);
            values = result;
            expectClose(valuesOf(*values), expected.at("v"), step, name);
            for (std::size_t i = 0; i < moments.size(); ++i)
                expectClose(valuesOf(*moments[i]), expected.at(optimizer.moments()[i]), step,
                            name + " " + optimizer.moments()[i]);
        }
    });
}

}  // namespace

TEST(OptimizerFixtures, VectorsFollowPyTorch) { checkStorage<VectorPtr>(vectorOf); }

TEST(OptimizerFixtures, MatricesWithGapsFollowPyTorch) {
    checkStorage<std::shared_ptr<MPS::Matrix>>(matrixOf);
}

TEST(OptimizerFixtures, WeightsAndBiasesOfConvolutionStatesFollowPyTorchInOneStep) {
    eachCase([&](const Json& one, const DevicePtr& device, const std::string& name) {
        Case optimizer(device, one);
        const auto start = numbers(one.at("v"));
        // Six weights and six biases with the same history: six outputs of one weight each.
        const auto values = std::make_shared<MPS::CNNConvolutionWeightsAndBiasesState>(
            bufferOf(device, start), bufferOf(device, start));
        std::vector<MPS::OptimizerVectors> moments;
        for (std::size_t i = 0; i < optimizer.moments().size(); ++i)
            moments.push_back({vectorOf(device, Numbers(6)), vectorOf(device, Numbers(6))});
        for (std::size_t step = 0; step < one.at("steps").size(); ++step) {
            const auto& expected = one.at("steps")[step];
            optimizer.setRate(one.at("learningRates")[step]);
            const auto gradient = std::make_shared<MPS::CNNConvolutionGradientState>(
                MPS::StateOwner::of(device), 6, 6, nullptr);
            writeFloats(*gradient->gradientForWeights(), numbers(expected.at("gradient")));
            writeFloats(*gradient->gradientForBiases(), numbers(expected.at("gradient")));
            const auto c = device->newCommandQueue()->commandBuffer();
            optimizer.encode(c, gradient, values, moments, values);
            finish(c);
            expectClose(floatsOf(*values->weights()), expected.at("v"), step, name + " weights");
            expectClose(floatsOf(*values->biases()), expected.at("v"), step, name + " biases");
        }
    });
}
