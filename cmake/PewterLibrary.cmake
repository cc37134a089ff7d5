# libpewter, what is installed of it, and the programs.

list(TRANSFORM PEWTER_ROOMS REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>" OUTPUT_VARIABLE PEWTER_OBJECTS)
# For linking only: rooms were compiled with their own use of these.
set(PEWTER_LINK fmt::fmt ZLIB::ZLIB Threads::Threads)
if(PEWTER_HAVE_OPENMP)
    list(APPEND PEWTER_LINK OpenMP::OpenMP_CXX)
endif()
if(PEWTER_HAVE_CPU)
    list(APPEND PEWTER_LINK DNNL::dnnl)
endif()

file(GLOB_RECURSE PEWTER_HEADERS CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/include/*.hpp")

add_library(pewter ${PEWTER_OBJECTS})
add_library(Pewter::pewter ALIAS pewter)
# The target all_verify_interface_header_sets compiles every public header on its own.
set_target_properties(pewter PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
set_target_properties(pewter PROPERTIES LINKER_LANGUAGE CXX VERSION ${PROJECT_VERSION}
                      SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
target_sources(pewter PUBLIC FILE_SET HEADERS BASE_DIRS "${PROJECT_SOURCE_DIR}/include" FILES ${PEWTER_HEADERS})
target_compile_features(pewter PUBLIC cxx_std_20)
target_link_libraries(pewter PRIVATE ${PEWTER_LINK})

# The same objects for programs that use insides: the command, the benchmarks and the tests. An archive, so a program
# links only what it reaches; nothing may therefore count on registering itself from a static constructor.
add_library(pewter_insides STATIC EXCLUDE_FROM_ALL ${PEWTER_OBJECTS})
set_target_properties(pewter_insides PROPERTIES LINKER_LANGUAGE CXX)
target_link_libraries(pewter_insides PUBLIC pewter_needs ${PEWTER_LINK})

# One executable a file of examples/ and bench/, and the command from tools/.
function(pewter_programs)
    if(PEWTER_BUILD_TOOLS)
        file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tools/*.cpp")
        if(sources)
            add_executable(pewter_command ${sources})
            set_target_properties(pewter_command PROPERTIES OUTPUT_NAME pewter
                                  RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}")
            target_link_libraries(pewter_command PRIVATE pewter_optable pewter_insides CLI11::CLI11)
            install(TARGETS pewter_command RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
        endif()
    endif()
    if(PEWTER_BUILD_EXAMPLES)
        file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/*.cpp")
        foreach(source IN LISTS sources)
            cmake_path(GET source STEM name)
            add_executable(example_${name} "${source}")
            set_target_properties(example_${name} PROPERTIES OUTPUT_NAME ${name}
                                  RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/examples")
            target_link_libraries(example_${name} PRIVATE pewter_flags Pewter::pewter)
        endforeach()
    endif()
    if(PEWTER_BUILD_BENCH)
        file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/bench/*.cpp")
        foreach(source IN LISTS sources)
            cmake_path(GET source STEM name)
            add_executable(bench_${name} "${source}")
            set_target_properties(bench_${name} PROPERTIES OUTPUT_NAME ${name}
                                  RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bench")
            target_link_libraries(bench_${name} PRIVATE pewter_optable pewter_insides benchmark::benchmark)
        endforeach()
    endif()
endfunction()

include(CMakePackageConfigHelpers)
set(PEWTER_PACKAGE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/Pewter")
install(TARGETS pewter EXPORT PewterTargets
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
        FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT PewterTargets NAMESPACE Pewter:: DESTINATION "${PEWTER_PACKAGE_DIR}")
configure_package_config_file(cmake/PewterConfig.cmake.in "${PROJECT_BINARY_DIR}/PewterConfig.cmake"
                              INSTALL_DESTINATION "${PEWTER_PACKAGE_DIR}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/PewterConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/PewterConfig.cmake" "${PROJECT_BINARY_DIR}/PewterConfigVersion.cmake"
              cmake/FindOneDNN.cmake
        DESTINATION "${PEWTER_PACKAGE_DIR}")
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DOCDIR}")
