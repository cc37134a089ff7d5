# Installs the build into a fresh prefix, then configures, builds and runs the consumer against it.
function(step what)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
        message(FATAL_ERROR "${what} failed: ${result}")
    endif()
endfunction()

file(REMOVE_RECURSE "${WORK}/prefix" "${WORK}/build")
step("installing" "${CMAKE_COMMAND}" --install "${BUILD}" --config "${CONFIG}" --prefix "${WORK}/prefix")
step("configuring the consumer" "${CMAKE_COMMAND}" -S "${SOURCE}" -B "${WORK}/build" -G "${GENERATOR}"
     "-DCMAKE_PREFIX_PATH=${WORK}/prefix" "-DCMAKE_BUILD_TYPE=${CONFIG}" "-DCMAKE_CXX_COMPILER=${COMPILER}"
     "-DCMAKE_CXX_FLAGS=${FLAGS}" -DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF)
step("building the consumer" "${CMAKE_COMMAND}" --build "${WORK}/build" --config "${CONFIG}")
step("running the consumer" "${WORK}/build/consumer")
step("checking a kernel of its own" "${WORK}/build/userkernel")

# The command stands on its own in the prefix too.
if(EXISTS "${BUILD}/pewter")
    step("running the installed command" "${WORK}/prefix/bin/pewter" --help)
endif()
