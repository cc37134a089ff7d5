# The op table as a library: tests/ops/table/<Family>.cpp, each defining pewter::optable::<Family>(), and a generated
# list of them.
file(GLOB rows CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/ops/table/*.cpp")
set(declarations "")
set(additions "")
foreach(row IN LISTS rows)
    cmake_path(GET row STEM family)
    string(APPEND declarations "check::OpRow ${family}();\n")
    string(APPEND additions "        table.add(${family}());\n")
endforeach()
set(list "${PROJECT_BINARY_DIR}/generated/OpTable.cpp")
file(CONFIGURE OUTPUT "${list}" @ONLY CONTENT "#include \"table/Table.h\"

namespace pewter::optable {

@declarations@
const check::OpTable& opTable() {
    static const check::OpTable made = [] {
        check::OpTable table;
@additions@        return table;
    }();
    return made;
}

}  // namespace pewter::optable
")
add_library(pewter_optable STATIC EXCLUDE_FROM_ALL ${rows} "${list}")
target_include_directories(pewter_optable PUBLIC "${PROJECT_SOURCE_DIR}/tests/ops")
target_link_libraries(pewter_optable PUBLIC pewter_insides)
