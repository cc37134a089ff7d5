#include "mps/kernels/OptimizerUpdate.h"

#include <fmt/format.h>

#include <MPS/CNNBatchNormalization.hpp>
#include <MPS/CNNConvolutionState.hpp>
#include <MPS/Matrix.hpp>
#include <MPS/Vector.hpp>
#include <MTL/Device.hpp>
#include <MTL/Error.hpp>
#include <algorithm>

#include "mps/core/Checks.h"
#include "mps/core/Encoder.h"
#include "mps/core/StateAccess.h"
#include "mps/kernels/BatchNormalizationAccess.h"
#include "mps/kernels/ConvolutionAccess.h"

namespace pewter::mps {

using MPS::DataType;
using MTL::Error;

namespace {

ops::Type elementType(const MPS::Kernel& kernel, const std::string& argument, DataType type, bool halves) {
    if (type == DataType::Float32) return ops::Type::Float32;
    if (type == DataType::Float16 && halves) return ops::Type::Float16;
    throw Error(kernel.name(), argument, halves ? "Float32 or Float16 elements" : "Float32 elements",
                fmt::format("DataType {:#x}", static_cast<std::uint32_t>(type)));
}

void checkDevice(const MPS::Kernel& kernel, const std::string& argument,
                 const std::shared_ptr<MTL::Device>& device) {
    if (device != kernel.device())
        throw Error(kernel.name(), argument, fmt::format("one of device {}", kernel.device()->name()),
                    fmt::format("one of device {}", device->name()));
}

/// Runs of `columns` elements, `rows` of them in each of `outer` blocks.
OptimizerRuns split(const std::shared_ptr<MTL::Buffer>& buffer, std::size_t offset, ops::Type type,
                    std::size_t outer, std::size_t outerBytes, std::size_t rows, std::size_t rowBytes,
                    std::size_t columns) {
    OptimizerRuns runs;
    runs.count = outer * rows * columns;
    runs.columns = columns;
    const std::size_t dense = columns * ops::sizeOf(type);
    runs.dense = (rows == 1 || rowBytes == dense) && (outer == 1 || outerBytes == rows * dense);
    for (std::size_t k = 0; k < outer; ++k)
        for (std::size_t i = 0; i < rows; ++i)
            runs.rows.push_back(
                {buffer, offset + k * outerBytes + i * rowBytes, type, static_cast<std::int64_t>(columns)});
    return runs;
}

}  // namespace

ArrayRef OptimizerRuns::whole() const {
    if (rows.empty()) return {};
    ArrayRef all = rows.front();
    all.size = static_cast<std::int64_t>(count);
    return all;
}

std::string OptimizerRuns::text() const {
    if (count == columns) return fmt::format("{} elements", count);
    return fmt::format("{} rows of {} elements", count / std::max<std::size_t>(columns, 1), columns);
}

OptimizerRuns runsOf(const MPS::Kernel& kernel, const std::string& argument,
                     const std::shared_ptr<MPS::Vector>& vector, bool halves) {
    if (!vector) throw Error(kernel.name(), argument, "a vector", "null");
    checkDevice(kernel, argument, vector->device());
    const auto type = elementType(kernel, argument, vector->dataType(), halves);
    return split(vector->data(), vector->offset(), type, 1, 0, vector->vectors(), vector->vectorBytes(),
                 vector->length());
}

OptimizerRuns runsOf(const MPS::Kernel& kernel, const std::string& argument,
                     const std::shared_ptr<MPS::Matrix>& matrix, bool halves) {
    if (!matrix) throw Error(kernel.name(), argument, "a matrix", "null");
    checkDevice(kernel, argument, matrix->device());
    const auto type = elementType(kernel, argument, matrix->dataType(), halves);
    return split(matrix->data(), matrix->offset(), type, matrix->matrices(), matrix->matrixBytes(),
                 matrix->rows(), matrix->rowBytes(), matrix->columns());
}

OptimizerRuns runsOf(const ArrayRef& array) {
    OptimizerRuns runs;
    runs.rows = {array};
    runs.count = runs.columns = static_cast<std::size_t>(array.size);
    return runs;
}

bool momentsOf(const MPS::Kernel& kernel, const OptimizerUpdate& update,
               const std::array<const MPS::OptimizerVectors*, 3>& lists, std::size_t index,
               OptimizerOperands& operands) {
    const std::size_t entries = lists[0] ? lists[0]->size() : 0;
    for (std::size_t i = 0; i < lists.size(); ++i) {
        if (!update.moments[i]) continue;
        const bool optional = i == 2 || (i == 0 && update.optionalFirst);
        const std::size_t size = lists[i] ? lists[i]->size() : 0;
        if (size == 0 && optional) continue;
        const auto argument = std::string(update.moments[i]) + "Vectors";
        if (size == 0 || size > 2)
            throw Error(kernel.name(), argument, "1 or 2 vectors", fmt::format("{}", size));
        if (size != entries)
            throw Error(kernel.name(), argument, fmt::format("{} vectors, as in the other lists", entries),
                        fmt::format("{}", size));
        if (index < size)
            operands.moments[i] =
                runsOf(kernel, fmt::format("{}[{}]", argument, index), (*lists[i])[index], false);
    }
    return index < entries || (entries == 0 && update.optionalFirst);
}

void encodeUpdate(const MPS::Kernel& kernel, const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                  const OptimizerUpdate& update, const std::vector<OptimizerOperands>& parameters) {
    checkCommandBuffer(kernel, commandBuffer);
    for (const auto& p : parameters) {
        const auto agree = [&](const char* argument, const OptimizerRuns& other) {
            if (!other.rows.empty() && (other.count != p.values.count || other.columns != p.values.columns))
                throw Error(kernel.name(), argument, p.values.text() + ", as in the values", other.text());
        };
        agree("inputGradient", p.gradient);
        agree("resultValues", p.result);
        for (std::size_t i = 0; i < 3; ++i)
            if (update.moments[i]) agree(update.moments[i], p.moments[i]);
    }
    Encoder encoder(*commandBuffer, kernel);
    const auto run = [&](const std::array<ArrayRef, 6>& arrays) {
        encoder.run([step = update.step, arrays] {
            ops::OptimizerStep op = step;
            op.gradient = arrays[0].array();
            op.values = arrays[1].array();
            op.result = arrays[2].array();
            op.first = arrays[3].array();
            op.second = arrays[4].array();
            op.third = arrays[5].array();
            return op;
        });
    };
    for (const auto& p : parameters) {
        const std::array<const OptimizerRuns*, 6> all = {&p.gradient,   &p.values,     &p.result,
                                                         &p.moments[0], &p.moments[1], &p.moments[2]};
        std::array<ArrayRef, 6> arrays;
        if (std::all_of(all.begin(), all.end(), [](const auto* runs) { return runs->dense; })) {
            std::transform(all.begin(), all.end(), arrays.begin(),
                           [](const auto* runs) { return runs->whole(); });
            run(arrays);
            continue;
        }
        for (std::size_t row = 0; row < p.values.rows.size(); ++row) {
            std::transform(all.begin(), all.end(), arrays.begin(), [row](const auto* runs) {
                return runs->rows.empty() ? ArrayRef() : runs->rows[row];
            });
            run(arrays);
        }
    }
    encoder.finish();
}

void encodeConvolution(const MPS::Kernel& kernel, const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                       const OptimizerUpdate& update,
                       const std::shared_ptr<MPS::CNNConvolutionGradientState>& gradientState,
                       const std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>& sourceState,
                       const std::array<const MPS::OptimizerVectors*, 3>& moments,
                       const std::shared_ptr<MPS::CNNConvolutionWeightsAndBiasesState>& resultState) {
    checkCommandBuffer(kernel, commandBuffer);
    const auto require = [&](const char* argument, MPS::State* state, std::size_t reads) {
        if (!state) throw Error(kernel.name(), argument, "a state", "null");
        requireState(*state, kernel.name(), argument, *commandBuffer, reads);
    };
    require("convolutionGradientState", gradientState.get(), 1);
    require("convolutionSourceState", sourceState.get(), 1);
    require("resultState", resultState.get(), 0);
    const auto agree = [&](const char* argument, std::size_t weights, std::size_t biases) {
        if (weights != gradientState->weightCount() || (biases != 0 && biases != gradientState->biasCount()))
            throw Error(kernel.name(), argument,
                        fmt::format("{} weights and {} biases, as in the gradient state",
                                    gradientState->weightCount(), gradientState->biasCount()),
                        fmt::format("{} and {}", weights, biases));
    };
    agree("convolutionSourceState", sourceState->weightCount(), sourceState->biasCount());
    agree("resultState", resultState->weightCount(), resultState->biasCount());

    std::vector<OptimizerOperands> parameters(1);
    momentsOf(kernel, update, moments, 0, parameters[0]);
    parameters[0].gradient = runsOf(ConvolutionAccess::gradientForWeights(*gradientState));
    parameters[0].values = runsOf(ConvolutionAccess::weights(*sourceState));
    parameters[0].result = runsOf(ConvolutionAccess::weights(*resultState));
    OptimizerOperands bias;
    if (momentsOf(kernel, update, moments, 1, bias) && sourceState->biasCount() > 0 &&
        resultState->biasCount() > 0) {
        bias.gradient = runsOf(ConvolutionAccess::gradientForBiases(*gradientState));
        bias.values = runsOf(ConvolutionAccess::biases(*sourceState));
        bias.result = runsOf(ConvolutionAccess::biases(*resultState));
        parameters.push_back(std::move(bias));
    }
    encodeUpdate(kernel, commandBuffer, update, parameters);
    consumeStates({gradientState, sourceState}, kernel.name());
}

void encodeNormalization(const MPS::Kernel& kernel, const std::shared_ptr<MTL::CommandBuffer>& commandBuffer,
                         const OptimizerUpdate& update,
                         const std::shared_ptr<MPS::CNNBatchNormalizationState>& gradientState,
                         const std::shared_ptr<MPS::CNNBatchNormalizationState>& sourceState,
                         const std::array<const MPS::OptimizerVectors*, 3>& moments,
                         const std::shared_ptr<MPS::CNNNormalizationGammaAndBetaState>& resultState) {
    checkCommandBuffer(kernel, commandBuffer);
    const char* gradientName =
        gradientState == sourceState ? "batchNormalizationState" : "batchNormalizationGradientState";
    const auto require = [&](const char* argument, MPS::State* state, std::size_t reads) {
        if (!state) throw Error(kernel.name(), argument, "a state", "null");
        requireState(*state, kernel.name(), argument, *commandBuffer, reads);
    };
    require(gradientName, gradientState.get(), 1);
    require("batchNormalizationSourceState", sourceState.get(), 1);
    require("resultState", resultState.get(), 0);
    if (BatchNormalizationAccess::gradientCount(*gradientState) == 0)
        throw Error(kernel.name(), gradientName, "a state that a statistics gradient encode has filled",
                    "one without gradients");
    // Result buffers may be longer than the layer has channels.
    const std::size_t channels = sourceState->gamma()->length() / sizeof(float);
    const auto floats = [&](const char* argument, std::shared_ptr<MTL::Buffer> buffer) {
        if (buffer->length() < channels * sizeof(float))
            throw Error(kernel.name(), argument, fmt::format("{} channels, as in the source state", channels),
                        fmt::format("{}", buffer->length() / sizeof(float)));
        return runsOf(
            ArrayRef{std::move(buffer), 0, ops::Type::Float32, static_cast<std::int64_t>(channels)});
    };
    // In double when the state was made for a Float64 image.
    const auto gradient = [&](BatchNormalizationAccess::Slot slot) {
        const auto array = BatchNormalizationAccess::own(*gradientState, slot);
        if (array.size != static_cast<std::int64_t>(channels))
            throw Error(kernel.name(), gradientName,
                        fmt::format("{} channels, as in the source state", channels),
                        fmt::format("{}", array.size));
        return runsOf(array);
    };
    std::vector<OptimizerOperands> parameters(1);
    momentsOf(kernel, update, moments, 0, parameters[0]);
    parameters[0].gradient = gradient(BatchNormalizationAccess::GradientForGamma);
    parameters[0].values = floats("batchNormalizationSourceState", sourceState->gamma());
    parameters[0].result = floats("resultState", resultState->gamma());
    OptimizerOperands beta;
    if (momentsOf(kernel, update, moments, 1, beta)) {
        beta.gradient = gradient(BatchNormalizationAccess::GradientForBeta);
        beta.values = floats("batchNormalizationSourceState", sourceState->beta());
        beta.result = floats("resultState", resultState->beta());
        parameters.push_back(std::move(beta));
    }
    encodeUpdate(kernel, commandBuffer, update, parameters);
    consumeStates({gradientState, sourceState}, kernel.name());
}

}  // namespace pewter::mps
