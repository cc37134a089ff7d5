#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

/// The part of cuBLASLt (https://docs.nvidia.com/cuda/cublas, "Using the cuBLASLt API") that this device uses, declared here
/// because the library is looked for at run time. The numbers are those of versions 12 and 13.
namespace pewter::cuda::blas {

using Handle = struct HandleOfCublasLt*;
using Operation = struct OperationOfCublasLt*;
using Layout = struct LayoutOfCublasLt*;
using Preference = struct PreferenceOfCublasLt*;
using Status = int;  // 0 is success

struct Algorithm {
    std::uint64_t data[8];
};
struct Suggestion {
    Algorithm algorithm;
    std::size_t workspace;
    Status state;
    float waves;
    int reserved[4];
};

enum OperationAttribute : int { kTransposeA = 3, kTransposeB = 4, kEpilogue = 7, kBiasPointer = 8, kBiasType = 26 };
inline constexpr int kPlain = 0, kTransposed = 1;
inline constexpr std::uint32_t kEpilogueNone = 1, kEpilogueRelu = 2, kEpilogueBias = 4;
inline constexpr int kPreferenceWorkspace = 1;
inline constexpr int kCompute32F = 68, kCompute32FFastTf32 = 77;
inline constexpr int kFloat = 0, kHalf = 2, kBFloat16 = 14;

struct Api {
    Status (*Create)(Handle*);
    Status (*Destroy)(Handle);
    std::size_t (*GetVersion)();
    Status (*MatmulDescCreate)(Operation*, int compute, int scale);
    Status (*MatmulDescDestroy)(Operation);
    Status (*MatmulDescSetAttribute)(Operation, int attribute, const void* value, std::size_t bytes);
    Status (*MatrixLayoutCreate)(Layout*, int type, std::uint64_t rows, std::uint64_t columns, std::int64_t leading);
    Status (*MatrixLayoutDestroy)(Layout);
    Status (*MatmulPreferenceCreate)(Preference*);
    Status (*MatmulPreferenceDestroy)(Preference);
    Status (*MatmulPreferenceSetAttribute)(Preference, int attribute, const void* value, std::size_t bytes);
    Status (*MatmulAlgoGetHeuristic)(Handle, Operation, Layout a, Layout b, Layout c, Layout d, Preference, int wanted,
                                     Suggestion*, int* found);
    Status (*Matmul)(Handle, Operation, const void* alpha, const void* a, Layout, const void* b, Layout, const void* beta,
                     const void* c, Layout, void* d, Layout, const Algorithm*, void* workspace, std::size_t bytes,
                     cudaStream_t);
};

}  // namespace pewter::cuda::blas
