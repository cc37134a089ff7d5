# Finds oneDNN 2.6 or newer, any later major too, and defines DNNL::dnnl.
#
# The package that comes with oneDNN is asked only where dnnl_DIR names it or nothing lies in the usual places: a
# oneDNN built with a GPU run time makes its package demand OpenCL's headers, which the cpu device has no use for.

if(NOT TARGET DNNL::dnnl AND NOT dnnl_DIR AND NOT dnnl_ROOT)
    find_path(OneDNN_INCLUDE_DIR oneapi/dnnl/dnnl.hpp)
    find_library(OneDNN_LIBRARY NAMES libdnnl.so libdnnl.dylib)
    mark_as_advanced(OneDNN_INCLUDE_DIR OneDNN_LIBRARY)
    if(OneDNN_INCLUDE_DIR AND OneDNN_LIBRARY)
        file(STRINGS "${OneDNN_INCLUDE_DIR}/oneapi/dnnl/dnnl_version.h" lines REGEX "define DNNL_VERSION_(MAJOR|MINOR|PATCH)")
        string(REGEX REPLACE ".*MAJOR +([0-9]+).*MINOR +([0-9]+).*PATCH +([0-9]+).*" "\\1.\\2.\\3" OneDNN_VERSION "${lines}")
        add_library(DNNL::dnnl SHARED IMPORTED)
        set_target_properties(DNNL::dnnl PROPERTIES IMPORTED_LOCATION "${OneDNN_LIBRARY}"
                              INTERFACE_INCLUDE_DIRECTORIES "${OneDNN_INCLUDE_DIR}")
    endif()
endif()

if(NOT TARGET DNNL::dnnl)
    find_package(dnnl CONFIG QUIET)
    set(OneDNN_VERSION "${dnnl_VERSION}")
elseif(NOT OneDNN_VERSION)
    set(OneDNN_VERSION "${dnnl_VERSION}")
endif()
if(TARGET DNNL::dnnl)
    set(OneDNN_TARGET DNNL::dnnl)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OneDNN REQUIRED_VARS OneDNN_TARGET VERSION_VAR OneDNN_VERSION)
