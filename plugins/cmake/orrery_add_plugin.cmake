# orrery_add_plugin(NAME KIND task|probe|loss|update|model SOURCES file.cpp ... [TESTS file_test.cpp ...])
#
# Builds a plugin: a shared library that links liborrery and carries a stamp. Builds TESTS into one
# GoogleTest program, which links the plugin's own objects, and registers it with CTest. Works the same in Orrery's own
# tree and elsewhere.
include_guard(GLOBAL)

# Tests are compiled more often than they are run. GCC 14 uses a precompiled header only where two options that -O2 implies
# are the same.
set(orrery_test_options $<$<CONFIG:Release>:-O1>)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 14 AND
    CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(APPEND orrery_test_options $<$<CONFIG:Release>:-munroll-only-small-loops> $<$<CONFIG:Release>:-mvzeroupper>)
endif()

function(orrery_add_plugin name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "KIND" "SOURCES;TESTS")
  if(NOT arg_KIND MATCHES "^(task|probe|loss|update|model)$")
    message(FATAL_ERROR "orrery_add_plugin(${name}): KIND is \"${arg_KIND}\", expected task, probe, loss, update or model")
  endif()
  if(NOT name MATCHES "^[a-z][a-z0-9_]*$")
    message(FATAL_ERROR "orrery_add_plugin(${name}): a name is lower case letters, digits and underscores")
  endif()
  if(NOT arg_SOURCES)
    message(FATAL_ERROR "orrery_add_plugin(${name}): SOURCES is empty")
  endif()
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "orrery_add_plugin(${name}): unknown arguments ${arg_UNPARSED_ARGUMENTS}")
  endif()

  # The code of the README is built under other names: its reader may have added it.
  set(target ${ORRERY_PLUGIN_PREFIX}${arg_KIND}_${name})
  # Compiled once, for the library and for its test.
  add_library(${target}_objects OBJECT ${arg_SOURCES})
  target_link_libraries(${target}_objects PUBLIC orrery)
  target_compile_features(${target}_objects PUBLIC cxx_std_20)
  target_compile_options(${target}_objects PRIVATE -fPIC)
  set_target_properties(${target}_objects PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  orrery_reuse_header(${target}_objects)
  add_library(${target} MODULE)
  target_link_libraries(${target} PRIVATE ${target}_objects)
  set_target_properties(${target} PROPERTIES
    PREFIX "" OUTPUT_NAME ${arg_KIND}_${name} LINKER_LANGUAGE CXX LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/plugins)

  set_property(GLOBAL APPEND PROPERTY ORRERY_PLUGINS ${target})

  if(arg_TESTS AND (ORRERY_BUILD_TESTS OR NOT DEFINED ORRERY_BUILD_TESTS))
    enable_testing()
    find_package(GTest REQUIRED)
    add_executable(${target}_test ${arg_TESTS})
    target_link_libraries(${target}_test PRIVATE ${target}_objects GTest::gtest_main)
    orrery_reuse_header(${target}_test)
    orrery_offer_test_support(${target}_test)
    target_compile_options(${target}_test PRIVATE ${orrery_test_options})
    # One entry for all tests, because loading LibTorch takes a hundred times as long as a test.
    add_test(NAME ${target} COMMAND ${target}_test --gtest_brief=1)
  endif()
endfunction()

# In Orrery's own tree plugins reuse its precompiled header; elsewhere they compile without one.
function(orrery_reuse_header target)
  orrery_in_own_tree(own)
  if(own)
    target_precompile_headers(${target} REUSE_FROM orrery)
  endif()
endfunction()

# In Orrery's own tree the tests of plugins share tests/support.
function(orrery_offer_test_support target)
  orrery_in_own_tree(own)
  if(own)
    get_target_property(sdk orrery SOURCE_DIR)
    target_include_directories(${target} PRIVATE ${sdk}/../..)
  endif()
endfunction()

function(orrery_in_own_tree answer)
  set(own FALSE)
  if(TARGET orrery)
    get_target_property(imported orrery IMPORTED)
    if(NOT imported)
      set(own TRUE)
    endif()
  endif()
  set(${answer} ${own} PARENT_SCOPE)
endfunction()
