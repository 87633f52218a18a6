# Function identity and worker mode in every kind of build that users make: each is a test of its own, skipped where the
# machine lacks its tools.
set(configurations O0 O2 O3-lto icf-gold icf-lld icf-mold static static-pie no-pie stripped hidden shared asan tsan)
set(once icf-data static-lto static-libstdc++ exported shared-now explicit-init init-beside-hook no-hook no-build-id
  static-unprepared other-path valgrind ld.so)
foreach(compiler IN ITEMS g++ clang++-19)
  foreach(configuration IN LISTS configurations)
    add_test(NAME Configuration.${compiler}.${configuration}
      COMMAND ${CMAKE_CURRENT_LIST_DIR}/configuration/build_and_run.sh ${PROJECT_SOURCE_DIR} ${compiler} ${configuration})
    set_tests_properties(Configuration.${compiler}.${configuration} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 120)
  endforeach()
  set(configurations ${once})  # what does not depend on the compiler is tried with the first one
endforeach()

include(${PROJECT_SOURCE_DIR}/cmake/compile_fail.cmake)
function(mp_callable_refuses case sentence)
  mp_add_compile_fail_test(CallableRefuses.${case} SOURCE ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/refused/callables.cpp
    CASE ${case} EXPECT "${sentence}")
endfunction()
mp_callable_refuses(nothing "")
mp_callable_refuses(by_reference "this lambda captures by reference")
mp_callable_refuses(pointer "this lambda captures a pointer or `this`")
mp_callable_refuses(this "this lambda captures a pointer or `this`")
mp_callable_refuses(object "this lambda captures an object that is more than its bytes")
mp_callable_refuses(std_function "a std::function hides what it holds")
mp_callable_refuses(data_member "a pointer to a data member cannot be sent to a worker")
mp_callable_refuses(bound_reference "this lambda captures by reference")
mp_callable_refuses(bound_text "mp::bind was given a string literal")
mp_callable_refuses(bound_pointer "a raw pointer cannot be sent")
mp_callable_refuses(hidden_class "the library cannot see what this class consists of")
mp_callable_refuses(trusted_object "mp::trust(f) sends f as its bytes")
