# Whole programs whose main, arguments or static initialisers are what is tested.
file(GLOB programs CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/programs/*.cpp)
foreach(source IN LISTS programs)
  cmake_path(GET source STEM name)
  add_executable(process_${name} ${source})
  target_link_libraries(process_${name} PRIVATE multiprocessing::multiprocessing)
  add_dependencies(test_process process_${name})
endforeach()
target_compile_definitions(test_process PRIVATE PROCESS_PROGRAMS="$<TARGET_FILE_DIR:test_process>/process_")
