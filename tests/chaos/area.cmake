# A pool under fire. ctest runs it briefly; `./dev chaos --kills 10000` for longer.
add_executable(chaos ${CMAKE_CURRENT_LIST_DIR}/main.cpp)
set_target_properties(chaos PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
target_include_directories(chaos PRIVATE ${PROJECT_SOURCE_DIR}/src)
target_compile_options(chaos PRIVATE -Wall -Wextra)
target_link_libraries(chaos PRIVATE multiprocessing::multiprocessing mp_test_support)
add_test(NAME Chaos.TwoHundredKillsCostOnlyWhatTheKilledRan COMMAND chaos --kills 200)
add_test(NAME Chaos.TheForkServerMayDieToo COMMAND chaos --kills 100 --seed 2 --server-kills)
set_tests_properties(Chaos.TwoHundredKillsCostOnlyWhatTheKilledRan Chaos.TheForkServerMayDieToo PROPERTIES TIMEOUT 300)
