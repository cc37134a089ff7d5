# The cuda device, and its kernels compiled for the host (device cuda:emulated).
#
# The compiler is found through CUDACXX, the PATH, the usual folders, or the folder of `scripts/bootstrap --cuda`. cuDNN and
# cuBLASLt are loaded at run time; where they come from Python packages, PEWTER_CUDA_PACKAGES says where those lie.

set(PEWTER_CUDA AUTO CACHE STRING "Build the cuda device: AUTO (when its compiler is found), ON or OFF")
set(PEWTER_CUDA_PACKAGES "" CACHE PATH "Folder `nvidia` of a Python's site-packages with cuDNN and cuBLASLt, if they come from there")
set(PEWTER_CUDA_ARCHITECTURES "90" CACHE STRING "Compute capabilities to build for, the least one first")

set(PEWTER_HAVE_CUDA OFF)
if(NOT PEWTER_CUDA)
    set(PEWTER_NO_CUDA_REASON "this build was configured with PEWTER_CUDA=OFF")
elseif(PEWTER_SANITIZE)
    set(PEWTER_NO_CUDA_REASON "this build has sanitizers, which CUDA's compiler does not take")
else()
    set(cache "$ENV{XDG_CACHE_HOME}")
    if(NOT cache)
        set(cache "$ENV{HOME}/.cache")
    endif()
    find_program(PEWTER_NVCC nvcc HINTS "$ENV{CUDACXX}" "$ENV{CUDA_PATH}/bin" /usr/local/cuda/bin
                 "${cache}/pewter/cuda-toolkit/nvidia/cu13/bin")
    if(PEWTER_NVCC)
        set(CMAKE_CUDA_COMPILER "${PEWTER_NVCC}")
        set(CMAKE_CUDA_ARCHITECTURES "${PEWTER_CUDA_ARCHITECTURES}")
        enable_language(CUDA)
        set(PEWTER_HAVE_CUDA ON)
        message(STATUS "cuda device: CUDA ${CMAKE_CUDA_COMPILER_VERSION}, capabilities ${PEWTER_CUDA_ARCHITECTURES}")
    else()
        set(PEWTER_NO_CUDA_REASON "CUDA's compiler was not found when this build was configured")
        if(PEWTER_CUDA STREQUAL "ON")
            message(FATAL_ERROR "PEWTER_CUDA=ON: nvcc was not found. CUDACXX names it; scripts/bootstrap --cuda installs one.")
        endif()
    endif()
endif()

file(GLOB PEWTER_CUDA_KERNELS CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/backends/cuda/*.cu")

if(PEWTER_HAVE_CUDA)
    set(CMAKE_CUDA_VISIBILITY_PRESET hidden)
    list(GET PEWTER_CUDA_ARCHITECTURES 0 least)
    string(REGEX MATCH "^[0-9]+" least "${least}")
    pewter_room(pewter_cuda src/backends/cuda PATTERN "*.cu")
    # C++20 as a plain option: CMake 3.25 does not know yet that CUDA 13's compiler takes it.
    set_target_properties(pewter_cuda PROPERTIES CUDA_STANDARD 17)
    target_compile_options(pewter_cuda PRIVATE -std=c++20 --extended-lambda --expt-relaxed-constexpr -Xcompiler=-Wall)
    target_compile_definitions(pewter_cuda PRIVATE "PEWTER_CUDA_LEAST_CAPABILITY=${least}"
                                                   "PEWTER_CUDA_PACKAGES=\"${PEWTER_CUDA_PACKAGES}\"")
else()
    message(STATUS "no cuda device: ${PEWTER_NO_CUDA_REASON}")
    pewter_room(pewter_cuda src/backends/none PATTERN "NoCuda.cpp")
    target_compile_definitions(pewter_cuda PRIVATE "PEWTER_NO_CUDA_REASON=\"${PEWTER_NO_CUDA_REASON}\"")
endif()

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
