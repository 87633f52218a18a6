# A pool under fire. ctest runs it briefly; `./dev chaos --kills 10000` for longer, `./dev chaos --parent-kills 200` for its callers.
add_executable(chaos ${CMAKE_CURRENT_LIST_DIR}/main.cpp)
set_target_properties(chaos PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
target_include_directories(chaos PRIVATE ${PROJECT_SOURCE_DIR}/src)
target_compile_options(chaos PRIVATE -Wall -Wextra)
target_link_libraries(chaos PRIVATE multiprocessing::multiprocessing mp_test_support)
add_test(NAME Chaos.TwoHundredKillsCostOnlyWhatTheKilledRan COMMAND chaos --kills 200)
add_test(NAME Chaos.TheForkServerMayDieToo COMMAND chaos --kills 100 --seed 2 --server-kills)
add_test(NAME Chaos.NothingOutlivesACallerThatIsKilled COMMAND chaos --parent-kills 20)
set_tests_properties(Chaos.TwoHundredKillsCostOnlyWhatTheKilledRan Chaos.TheForkServerMayDieToo
  Chaos.NothingOutlivesACallerThatIsKilled PROPERTIES TIMEOUT 300)
