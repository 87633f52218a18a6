# Tests that something does not compile, and that the first error says what it should.
#
#   mp_add_compile_fail_test(<name> SOURCE <file> CASE <case> EXPECT <text>)
#
# compiles <file> with -DCASE_<case> by the compiler of the build, syntax only, and passes when that fails and the
# first line with an error contains <text> literally. With EXPECT "" it passes when the file compiles: one such case
# a file shows that it is not something else that is wrong.
#
#   mp_refused_from(<suite> <file>)
#   mp_refuses(<case> <text>)
#
# adds the test <suite>.<case> of the file that was named last.
# The same file is the script that runs the test.
if(NOT CMAKE_SCRIPT_MODE_FILE)
  set(MP_COMPILE_FAIL_SCRIPT ${CMAKE_CURRENT_LIST_FILE})

  function(mp_add_compile_fail_test name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "SOURCE;CASE;EXPECT" "")
    add_test(NAME ${name}
      COMMAND ${CMAKE_COMMAND}
        -DCOMPILER=${CMAKE_CXX_COMPILER} -DSOURCE=${arg_SOURCE} -DCASE=${arg_CASE} -DEXPECT=${arg_EXPECT}
        -DINCLUDE=${PROJECT_SOURCE_DIR}/include -P ${MP_COMPILE_FAIL_SCRIPT})
    set_tests_properties(${name} PROPERTIES TIMEOUT 300)
  endfunction()

  macro(mp_refused_from suite file)
    set(mp_refused_suite ${suite})
    set(mp_refused_file ${file})
  endmacro()
  function(mp_refuses case sentence)
    mp_add_compile_fail_test(${mp_refused_suite}.${case}
      SOURCE ${mp_refused_file} CASE ${case} EXPECT "${sentence}")
  endfunction()
  return()
endif()

execute_process(
  COMMAND ${COMPILER} -std=c++20 -fsyntax-only -I${INCLUDE} -DCASE_${CASE} ${SOURCE}
  RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(EXPECT STREQUAL "")
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${SOURCE} does not compile with CASE_${CASE}:\n${output}")
  endif()
  return()
endif()
if(result EQUAL 0)
  message(FATAL_ERROR "${SOURCE} compiles with CASE_${CASE}, though it should not")
endif()
string(REGEX MATCH "error: [^\n]*" first "${output}")
string(FIND "${first}" "${EXPECT}" at)
if(at EQUAL -1)
  message(FATAL_ERROR "the first error should contain\n  ${EXPECT}\nbut is\n  ${first}\nin\n${output}")
endif()
# clang adds to the sentence that what it explains is then no constant expression.
if(COMPILER MATCHES "clang")
  string(REGEX REPLACE "error: (call to consteval function|constexpr variable 'value' must be)" "" output "${output}")
endif()
string(REGEX MATCHALL "error: " all "${output}")
list(LENGTH all count)
if(count GREATER 1)
  message(FATAL_ERROR "one error is wanted, ${count} came:\n${output}")
endif()
