# One OBJECT library a room of src/.

set(PEWTER_ROOMS "")

# OBJECT libraries must have a source; a room without one gets this file.
set(PEWTER_EMPTY_SOURCE "${PROJECT_BINARY_DIR}/generated/empty.cpp")
if(NOT EXISTS "${PEWTER_EMPTY_SOURCE}")
    file(WRITE "${PEWTER_EMPTY_SOURCE}" "// A room without sources.\n")
endif()

# What rooms need from outside; private to the build.
add_library(pewter_needs INTERFACE)
target_include_directories(pewter_needs INTERFACE "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/src")
target_link_libraries(pewter_needs INTERFACE pewter_flags fmt::fmt nlohmann_json::nlohmann_json ZLIB::ZLIB
                      Threads::Threads)
if(PEWTER_HAVE_OPENMP)
    target_link_libraries(pewter_needs INTERFACE OpenMP::OpenMP_CXX)
    target_compile_definitions(pewter_needs INTERFACE PEWTER_HAVE_OPENMP=1)
else()
    # Without OpenMP its pragmas are comments, and not worth a warning each.
    target_compile_options(pewter_needs INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-unknown-pragmas>)
endif()
target_compile_definitions(pewter_needs INTERFACE "PEWTER_VERSION=\"${PROJECT_VERSION}\"")

# pewter_room(<target> <folder>... [PATTERN <glob>] [EXCLUDE <regex>])
function(pewter_room target)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "PATTERN;EXCLUDE" "")
    if(NOT arg_PATTERN)
        set(arg_PATTERN "*.cpp")
    endif()
    set(globs "")
    foreach(folder IN LISTS arg_UNPARSED_ARGUMENTS)
        list(APPEND globs "${PROJECT_SOURCE_DIR}/${folder}/${arg_PATTERN}")
    endforeach()
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${globs})
    if(arg_EXCLUDE)
        list(FILTER sources EXCLUDE REGEX "${arg_EXCLUDE}")
    endif()
    if(NOT sources)
        set(sources "${PEWTER_EMPTY_SOURCE}")
    endif()
    add_library(${target} OBJECT ${sources})
    target_link_libraries(${target} PRIVATE pewter_needs)
    set(PEWTER_ROOMS ${PEWTER_ROOMS} ${target} PARENT_SCOPE)
endfunction()

# The vector kernels of a backend: the same sources once per instruction set, each in the namespace PEWTER_ISA.
# The backend picks one at run time, so a build runs on every processor of its architecture.
function(pewter_vector_kernels backend folder)
    file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${folder}/*.cpp")
    if(NOT sources)
        set(sources "${PEWTER_EMPTY_SOURCE}")
    endif()
    set(sets baseline)
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
        list(APPEND sets avx2 avx512)
        target_compile_definitions(${backend} PRIVATE PEWTER_HAVE_AVX2=1 PEWTER_HAVE_AVX512=1)
    endif()
    set(flags_baseline "")
    set(flags_avx2 -mavx2 -mfma -mf16c)
    set(flags_avx512 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma -mf16c)
    set(rooms ${PEWTER_ROOMS})
    foreach(isa IN LISTS sets)
        set(target ${backend}_vector_${isa})
        add_library(${target} OBJECT ${sources})
        target_link_libraries(${target} PRIVATE pewter_needs)
        target_compile_definitions(${target} PRIVATE PEWTER_ISA=${isa})
        target_compile_options(${target} PRIVATE -O3 -fno-math-errno -fno-trapping-math ${flags_${isa}})
        list(APPEND rooms ${target})
    endforeach()
    set(PEWTER_ROOMS ${rooms} PARENT_SCOPE)
endfunction()

# Every *.gz of a folder becomes bytes in the library, so that the library needs no file at run time:
# data/optdigits.csv.gz is declared by the generated header "data/optdigits_csv_gz.h" as
# pewter::data::optdigits_csv_gz, a std::span<const unsigned char>.
function(pewter_embed target folder)
    file(GLOB files CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${folder}/*.gz")
    set(generated "${PROJECT_BINARY_DIR}/generated")
    foreach(file IN LISTS files)
        cmake_path(GET file FILENAME name)
        string(MAKE_C_IDENTIFIER "${name}" symbol)
        set(header "${generated}/data/${symbol}.h")
        set(source "${generated}/data/${symbol}.cpp")
        add_custom_command(
            OUTPUT "${source}" "${header}"
            COMMAND "${CMAKE_COMMAND}" "-DINPUT=${file}" "-DSYMBOL=${symbol}" "-DHEADER=${header}" "-DSOURCE=${source}"
                    -P "${PROJECT_SOURCE_DIR}/cmake/Embed.cmake"
            DEPENDS "${file}" "${PROJECT_SOURCE_DIR}/cmake/Embed.cmake"
            COMMENT "Embedding ${name}" VERBATIM)
        target_sources(${target} PRIVATE "${source}" "${header}")
    endforeach()
    target_include_directories(${target} PRIVATE "${generated}")
endfunction()
