target_sources(test_counts PRIVATE ${CMAKE_CURRENT_LIST_DIR}/counters.cpp)
# The counters must not be compiled into calls of themselves, and copies of the tests themselves are no matter.
set_source_files_properties(${CMAKE_CURRENT_LIST_DIR}/counters.cpp PROPERTIES COMPILE_OPTIONS -fno-builtin)
add_executable(counted_work ${CMAKE_CURRENT_LIST_DIR}/work.cpp)
target_link_libraries(counted_work PRIVATE multiprocessing::multiprocessing)
add_dependencies(test_counts counted_work)
target_compile_definitions(test_counts PRIVATE COUNTED_WORK="$<TARGET_FILE:counted_work>")
