# Options, language level, warnings, sanitizers.

option(BUILD_SHARED_LIBS "Build libpewter as a shared library" ON)
option(PEWTER_CPU "Build the cpu device when oneDNN is found" ON)
option(PEWTER_CUDA_EMULATION "Build the kernels of the cuda device for the host too, as a device for checks" ON)
option(PEWTER_OPENMP "Use OpenMP when the compiler has it" ON)
option(PEWTER_WERROR "Treat warnings as errors" OFF)
option(PEWTER_BUILD_TOOLS "Build the pewter command" ${PROJECT_IS_TOP_LEVEL})
option(PEWTER_BUILD_EXAMPLES "Build examples/" ${PROJECT_IS_TOP_LEVEL})
option(PEWTER_BUILD_BENCH "Build bench/ when Google Benchmark is found" ${PROJECT_IS_TOP_LEVEL})
option(PEWTER_BUILD_TESTS "Build tests/ when GoogleTest is found" ${PROJECT_IS_TOP_LEVEL})
set(PEWTER_SANITIZE "" CACHE STRING "Sanitizers to build with: \"address,undefined\", \"thread\" or nothing")

if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Kind of build" FORCE)
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# An installed Pewter finds a oneDNN that lies outside the system's folders.
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)

if(NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
    find_program(PEWTER_CCACHE ccache)
    if(PEWTER_CCACHE)
        set(CMAKE_CXX_COMPILER_LAUNCHER "${PEWTER_CCACHE}")
    endif()
endif()

# What every room, program and test is compiled with. It never reaches a consumer.
add_library(pewter_flags INTERFACE)
target_compile_options(pewter_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wno-missing-field-initializers>)
if(PEWTER_WERROR)
    target_compile_options(pewter_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
endif()

if(PEWTER_SANITIZE)
    set(PEWTER_SANITIZE_FLAGS "-fsanitize=${PEWTER_SANITIZE}" -fno-omit-frame-pointer)
    if(PEWTER_SANITIZE MATCHES "undefined")
        list(APPEND PEWTER_SANITIZE_FLAGS -fno-sanitize-recover=undefined)
    endif()
    add_compile_options(${PEWTER_SANITIZE_FLAGS})
    add_link_options(${PEWTER_SANITIZE_FLAGS})
endif()
