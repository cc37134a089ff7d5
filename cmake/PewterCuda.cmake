# The cuda device, and its kernels compiled for the host (device cuda:emulated).

set(PEWTER_NO_CUDA_REASON "the CUDA toolkit was not found when this build was configured")
pewter_room(pewter_cuda src/backends/none PATTERN "NoCuda.cpp")
target_compile_definitions(pewter_cuda PRIVATE "PEWTER_NO_CUDA_REASON=\"${PEWTER_NO_CUDA_REASON}\"")

file(GLOB PEWTER_CUDA_KERNELS CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/backends/cuda/*.cu")

if(PEWTER_CUDA_EMULATION)
    # A source has one language in CMake, so the host's compiler gets each kernel file through a line of its own.
    set(wrapped "")
    foreach(kernel IN LISTS PEWTER_CUDA_KERNELS)
        cmake_path(GET kernel STEM stem)
        set(source "${PROJECT_BINARY_DIR}/generated/cuda_emulated/${stem}.cpp")
        file(CONFIGURE OUTPUT "${source}" CONTENT "#include \"backends/cuda/${stem}.cu\"\n" @ONLY)
        list(APPEND wrapped "${source}")
    endforeach()
    pewter_room(pewter_cuda_emulated src/backends/cuda PATTERN "Emulated.cpp")
    target_sources(pewter_cuda_emulated PRIVATE ${wrapped})
else()
    pewter_room(pewter_cuda_emulated src/backends/none PATTERN "NoCudaEmulation.cpp")
endif()
