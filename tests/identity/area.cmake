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
