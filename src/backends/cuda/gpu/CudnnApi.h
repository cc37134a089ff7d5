#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

/// The part of cuDNN's backend interface (https://docs.nvidia.com/deeplearning/cudnn, "Backend API") that this device uses,
/// declared here because the library is looked for at run time: a build needs no cuDNN. The numbers are cuDNN 9's.
namespace pewter::cuda::dnn {

using Handle = struct HandleOfCudnn*;
using Descriptor = void*;
using Status = int;  // 0 is success

enum DescriptorKind : int {
    kPointwise = 0,
    kConvolution = 1,
    kEngineConfiguration = 3,
    kEngineHeuristics = 4,
    kExecutionPlan = 5,
    kEngine = 2,
    kConvolutionForward = 10,
    kConvolutionWeightsGradient = 11,
    kConvolutionDataGradient = 12,
    kPointwiseOperation = 13,
    kOperationGraph = 15,
    kVariantPack = 16,
    kTensor = 17,
};

enum Attribute : int {
    kPointwiseMode = 0,
    kPointwisePrecision = 1,
    kPointwiseReluSlope = 5,
    kConvolutionComputeType = 100,
    kConvolutionMode = 101,
    kConvolutionDilations = 102,
    kConvolutionStrides = 103,
    kConvolutionPostPaddings = 104,
    kConvolutionPrePaddings = 105,
    kConvolutionSpatialDimensions = 106,
    kHeuristicsMode = 200,
    kHeuristicsGraph = 201,
    kHeuristicsResults = 202,
    kConfigurationEngine = 300,
    kPlanHandle = 400,
    kPlanConfiguration = 401,
    kPlanWorkspace = 402,
    kForwardAlpha = 700,
    kForwardBeta = 701,
    kForwardConvolution = 702,
    kForwardW = 703,
    kForwardX = 704,
    kForwardY = 705,
    kDataAlpha = 706,
    kDataBeta = 707,
    kDataConvolution = 708,
    kDataW = 709,
    kDataDx = 710,
    kDataDy = 711,
    kWeightsAlpha = 712,
    kWeightsBeta = 713,
    kWeightsConvolution = 714,
    kWeightsDw = 715,
    kWeightsX = 716,
    kWeightsDy = 717,
    kPointwiseDescriptor = 750,
    kPointwiseX = 751,
    kPointwiseB = 752,
    kPointwiseY = 753,
    kGraphHandle = 800,
    kGraphOperations = 801,
    kTensorAlignment = 900,
    kTensorType = 901,
    kTensorDimensions = 902,
    kTensorStrides = 903,
    kTensorId = 906,
    kTensorIsVirtual = 907,
    kPackIds = 1000,
    kPackPointers = 1001,
    kPackWorkspace = 1003,
    kEngineNumber = 1301,
    kEngineNotes = 1303,
};

enum AttributeType : int {
    kHandleType = 0,
    kDataTypeType = 1,
    kBooleanType = 2,
    kInt64Type = 3,
    kFloatType = 4,
    kDoubleType = 5,
    kPointerType = 6,
    kConvolutionModeType = 7,
    kHeuristicsModeType = 8,
    kNotesType = 11,
    kPointwiseModeType = 14,
    kDescriptorType = 15,
};

enum DataType : int { kFloat = 0, kHalf = 2, kBFloat16 = 9 };
enum Note : int {
    kTensorCore = 0,
    kDownConvertsInputs = 1,
    kReducedPrecisionReduction = 2,
    kFft = 3,
    kNondeterministic = 4,
    kWinograd = 5,
    kWinograd4 = 6,
    kWinograd6 = 7,
    kWinograd13 = 8,
    kNoteCount = 10,
};
inline constexpr int kCrossCorrelation = 1, kHeuristicsA = 3, kHeuristicsFallback = 2, kAdd = 0, kRelu = 100;

/// The functions, by their names in the library without the prefix.
struct Api {
    Status (*Create)(Handle*);
    Status (*Destroy)(Handle);
    Status (*SetStream)(Handle, cudaStream_t);
    std::size_t (*GetVersion)();
    const char* (*GetErrorString)(Status);
    Status (*BackendCreateDescriptor)(int kind, Descriptor*);
    Status (*BackendDestroyDescriptor)(Descriptor);
    Status (*BackendFinalize)(Descriptor);
    Status (*BackendSetAttribute)(Descriptor, int attribute, int type, std::int64_t count, const void* elements);
    Status (*BackendGetAttribute)(Descriptor, int attribute, int type, std::int64_t wanted, std::int64_t* found,
                                  void* elements);
    Status (*BackendExecute)(Handle, Descriptor plan, Descriptor pack);
};

}  // namespace pewter::cuda::dnn
