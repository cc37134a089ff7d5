// Optimizers over vectors and matrices. An update has no gradient of its own.

#include <MPS/Matrix.hpp>
#include <MPS/NNOptimizer.hpp>
#include <MPS/Vector.hpp>
#include <MTL/Device.hpp>
#include <Pewter/check/KernelCases.hpp>
#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "table/Table.h"

namespace pewter::optable {

namespace {

using namespace check;
using MPS::NNRegularizationType;

using Buffer = std::shared_ptr<MTL::Buffer>;
using VectorPtr = std::shared_ptr<MPS::Vector>;
using MatrixPtr = std::shared_ptr<MPS::Matrix>;
using Commands = std::shared_ptr<MTL::CommandBuffer>;

Buffer bufferOf(const Setting& setting, const Array& array) {
    const auto floats = floatsOf(array);
    auto buffer = setting.device->newBuffer(floats.size() * sizeof(float));
    std::memcpy(buffer->contents(), floats.data(), floats.size() * sizeof(float));
    return buffer;
}

/// A flat vector, or a matrix of the last extent's columns.
VectorPtr storage(VectorPtr*, const Buffer& buffer, const Shape& shape) {
    return std::make_shared<MPS::Vector>(
        buffer, MPS::VectorDescriptor::vectorDescriptor(shape.count(), MPS::DataType::Float32));
}
MatrixPtr storage(MatrixPtr*, const Buffer& buffer, const Shape& shape) {
    return std::make_shared<MPS::Matrix>(
        buffer, MPS::MatrixDescriptor::matrixDescriptor(shape.count() / shape.c, shape.c,
                                                        shape.c * sizeof(float), MPS::DataType::Float32));
}

/// encode(optimizer, commands, gradient, values, moments): one step in place. Outputs: the new values, the
/// new moments.
template <class Storage, class Optimizer, class Encode>
OpCase step(std::string name, const Shape& shape, std::vector<Operand> moments,
            std::function<std::shared_ptr<Optimizer>(const std::shared_ptr<MTL::Device>&)> make,
            Encode encode) {
    OpCase op;
    op.name = std::move(name);
    op.operands = {{"gradient", shape, Domain::Signed, Kind::Parameter, false},
                   {"values", shape, Domain::Signed, Kind::Parameter, false}};
    op.operands.insert(op.operands.end(), moments.begin(), moments.end());
    op.formats = {MPS::ImageFeatureChannelFormat::Float32};
    op.run = [make, encode](const Setting& setting, const std::vector<Array>& operands, const Incoming*) {
        std::vector<Buffer> buffers;
        std::vector<Storage> storages;
        for (const auto& operand : operands) {
            buffers.push_back(bufferOf(setting, operand));
            storages.push_back(storage(static_cast<Storage*>(nullptr), buffers.back(), operand.shape));
        }
        const auto optimizer = make(setting.device);
        const auto commands = setting.device->newCommandQueue()->commandBuffer();
        encode(*optimizer, commands, storages);
        finish(commands);
        Outcome outcome;
        outcome.gradients.resize(operands.size());
        for (std::size_t i = 1; i < operands.size(); ++i) {
            outcome.outputs.push_back(arrayOf(*buffers[i], operands[i].shape.count()));
            outcome.outputs.back().shape = operands[i].shape;
        }
        return outcome;
    };
    // A dozen roundings of numbers up to 1; quotients by roots of squares of at least 0.25, or epsilon 1e-3
    // beside them.
    op.sumLength = 16;
    op.magnitude = 4;
    return op;
}

MPS::NNOptimizerDescriptor settings(NNRegularizationType regularization = NNRegularizationType::None,
                                    bool clip = false) {
    return MPS::NNOptimizerDescriptor::optimizerDescriptor(0.125f, 1.5f, clip, 0.5f, -0.25f, regularization,
                                                           0.25f);
}

Operand moment(const std::string& name, const Shape& shape, Domain domain = Domain::Positive) {
    return {name, shape, domain, Kind::Parameter, false};
}

template <class Storage>
OpCase sgd(std::string name, const Shape& shape, const MPS::NNOptimizerDescriptor& d, bool momentum = false,
           bool nesterov = false) {
    using Optimizer = MPS::NNOptimizerStochasticGradientDescent;
    return step<Storage, Optimizer>(
        std::move(name), shape,
        momentum ? std::vector<Operand>{moment("momentum", shape, Domain::Signed)} : std::vector<Operand>{},
        [=](const auto& device) { return std::make_shared<Optimizer>(device, 0.5f, nesterov, d); },
        [=](Optimizer& optimizer, const Commands& commands, const std::vector<Storage>& s) {
            optimizer.encode(commands, s[0], s[1], momentum ? s[2] : Storage(), s[1]);
        });
}

template <class Storage>
OpCase rmsProp(std::string name, const Shape& shape, const MPS::NNOptimizerDescriptor& d) {
    using Optimizer = MPS::NNOptimizerRMSProp;
    return step<Storage, Optimizer>(
        std::move(name), shape, {moment("sum of squares", shape)},
        [=](const auto& device) { return std::make_shared<Optimizer>(device, 0.875, 1e-3f, d); },
        [](Optimizer& optimizer, const Commands& commands, const std::vector<Storage>& s) {
            optimizer.encode(commands, s[0], s[1], s[2], s[1]);
        });
}

template <class Storage>
OpCase adam(std::string name, const Shape& shape, const MPS::NNOptimizerDescriptor& d, bool maximum = false,
            std::size_t timeStep = 0) {
    using Optimizer = MPS::NNOptimizerAdam;
    std::vector<Operand> moments = {moment("momentum", shape, Domain::Signed), moment("velocity", shape)};
    if (maximum) moments.push_back(moment("maximum velocity", shape));
    return step<Storage, Optimizer>(
        std::move(name), shape, moments,
        [=](const auto& device) {
            return std::make_shared<Optimizer>(device, 0.875, 0.9375, 1e-3f, timeStep, d);
        },
        [=](Optimizer& optimizer, const Commands& commands, const std::vector<Storage>& s) {
            if (maximum)
                optimizer.encode(commands, s[0], s[1], s[2], s[3], s[4], s[1]);
            else
                optimizer.encode(commands, s[0], s[1], s[2], s[3], s[1]);
        });
}

using Formula = std::function<void(double g, double& v, double* moments)>;

/// Outputs by formula, element by element; the gradient is clipped, rescaled and regularised as in
/// settings().
std::function<std::vector<Array>(const std::vector<Array>&)> formula(const MPS::NNOptimizerDescriptor& d,
                                                                     Formula update) {
    return [d, update](const std::vector<Array>& operands) {
        std::vector<Array> outputs(operands.begin() + 1, operands.end());
        for (std::size_t i = 0; i < operands[0].values.size(); ++i) {
            double& v = outputs[0].values[i];
            double g = operands[0].values[i];
            if (d.applyGradientClipping)
                g = std::min(std::max(g, static_cast<double>(d.gradientClipMin)),
                             static_cast<double>(d.gradientClipMax));
            g *= d.gradientRescale;
            if (d.regularizationType == NNRegularizationType::L2) g += d.regularizationScale * v;
            if (d.regularizationType == NNRegularizationType::L1)
                g += d.regularizationScale * ((v > 0) - (v < 0));
            double moments[3] = {};
            for (std::size_t m = 1; m < outputs.size(); ++m) moments[m - 1] = outputs[m].values[i];
            update(g, v, moments);
            for (std::size_t m = 1; m < outputs.size(); ++m) outputs[m].values[i] = moments[m - 1];
        }
        return outputs;
    };
}

std::vector<ErrorCase> errors() {
    const auto vectorOf = [](const std::shared_ptr<MTL::Device>& device, std::size_t length,
                             MPS::DataType type = MPS::DataType::Float32) {
        return std::make_shared<MPS::Vector>(device, MPS::VectorDescriptor::vectorDescriptor(length, type));
    };
    const auto encodes =
        [](std::function<void(MPS::NNOptimizerAdam&, const Commands&, const std::shared_ptr<MTL::Device>&)>
               fn) {
            return [fn](const std::shared_ptr<MTL::Device>& device) {
                MPS::NNOptimizerAdam adam(device, 1);
                fn(adam, device->newCommandQueue()->commandBuffer(), device);
            };
        };
    return {
        {"unknown regularisation",
         [](const auto& device) {
             MPS::NNOptimizerAdam(device, 0.9, 0.999, 1e-8f, 0,
                                  settings(static_cast<NNRegularizationType>(7)));
         },
         "regularizationType: expected None, L1 or L2"},
        {"a null gradient", encodes([=](auto& adam, const auto& commands, const auto& device) {
             const auto v = vectorOf(device, 3);
             adam.encode(commands, VectorPtr(), v, v, v, v);
         }),
         "inputGradient: expected a vector, found null"},
        {"a gradient of another length", encodes([=](auto& adam, const auto& commands, const auto& device) {
             const auto v = vectorOf(device, 3);
             adam.encode(commands, vectorOf(device, 2), v, v, v, v);
         }),
         "inputGradient: expected 3 elements, as in the values, found 2"},
        {"no velocity", encodes([=](auto& adam, const auto& commands, const auto& device) {
             const auto v = vectorOf(device, 3);
             adam.encode(commands, v, v, v, VectorPtr(), v);
         }),
         "inputVelocity: expected a vector, found null"},
        {"integers", encodes([=](auto& adam, const auto& commands, const auto& device) {
             const auto v = vectorOf(device, 3);
             adam.encode(commands, vectorOf(device, 3, MPS::DataType::Int32), v, v, v, v);
         }),
         "inputGradient: expected Float32 or Float16 elements"},
        {"a momentum of halves", encodes([=](auto& adam, const auto& commands, const auto& device) {
             const auto v = vectorOf(device, 3);
             adam.encode(commands, v, v, vectorOf(device, 3, MPS::DataType::Float16), v, v);
         }),
         "inputMomentum: expected Float32 elements"}};
}

}  // namespace

OpRow Optimizer() {
    OpRow row;
    row.family = "optimizer";
    row.classes = {"MPSNNOptimizer", "MPSNNOptimizerDescriptor", "MPSNNOptimizerStochasticGradientDescent",
                   "MPSNNOptimizerRMSProp", "MPSNNOptimizerAdam"};
    row.pytorch = "torch.optim.SGD, torch.optim.RMSprop, torch.optim.Adam";
    const Shape run{1, 1, 1, 37}, matrix{1, 1, 5, 7};
    const Formula plain = [](double g, double& v, double*) { v -= 0.125 * g; };
    const Formula momentum = [](double g, double& v, double* m) {
        m[0] = 0.5 * m[0] + 0.125 * g;
        v -= m[0];
    };
    const Formula nesterov = [](double g, double& v, double* m) {
        m[0] = 0.5 * m[0] + g;
        v -= 0.125 * (g + 0.5 * m[0]);
    };
    const auto exactly = [&](OpCase op, const MPS::NNOptimizerDescriptor& d, const Formula& update) {
        op.exactOnIntegers = true;
        op.closedForm = formula(d, update);
        row.cases.push_back(op);
    };
    for (const bool clip : {false, true})
        for (const auto regularization :
             {NNRegularizationType::None, NNRegularizationType::L1, NNRegularizationType::L2}) {
            const auto d = settings(regularization, clip);
            constexpr const char* kNames[] = {"", ", L1", ", L2"};
            const std::string end =
                std::string(kNames[static_cast<std::size_t>(regularization)]) + (clip ? ", clipped" : "");
            exactly(sgd<VectorPtr>("plain descent" + end, run, d), d, plain);
            exactly(sgd<VectorPtr>("momentum" + end, run, d, true), d, momentum);
            exactly(sgd<MatrixPtr>("Nesterov, matrices" + end, matrix, d, true, true), d, nesterov);
            row.cases.push_back(rmsProp<VectorPtr>("RMSProp" + end, run, d));
            row.cases.push_back(adam<VectorPtr>("Adam" + end, run, d));
            row.cases.push_back(adam<MatrixPtr>("AMSGrad, matrices, step 9" + end, matrix, d, true, 8));
        }
    const Shape many{1, 1, 1, std::size_t{1} << 22};
    row.large = {sgd<VectorPtr>("momentum, 4 million", many, settings(NNRegularizationType::L2), true),
                 rmsProp<VectorPtr>("RMSProp, 4 million", many, settings()),
                 adam<VectorPtr>("Adam, 4 million", many, settings(NNRegularizationType::L2, true))};
    row.errors = errors();
    return row;
}

}  // namespace pewter::optable
