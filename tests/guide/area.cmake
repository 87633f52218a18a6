# docs/snippets/<name>.cpp is a program of which the guide quotes pieces; it prints what its last lines say.
file(GLOB MP_SNIPPETS CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/snippets/*.cpp)
foreach(source IN LISTS MP_SNIPPETS)
  cmake_path(GET source STEM name)
  add_executable(snippet_${name} ${source})
  target_link_libraries(snippet_${name} PRIVATE multiprocessing::multiprocessing)
  add_dependencies(test_guide snippet_${name})
endforeach()
target_compile_definitions(test_guide PRIVATE REPOSITORY="${PROJECT_SOURCE_DIR}" SNIPPETS="${CMAKE_CURRENT_BINARY_DIR}/snippet_")

find_program(MP_PYTHON NAMES python3 PATHS /usr/bin NO_DEFAULT_PATH)
if(MP_PYTHON)
  add_test(NAME Guide.TheTableForPythonHasEveryPublicName
    COMMAND ${MP_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/python_names_test.py ${PROJECT_SOURCE_DIR})
endif()
