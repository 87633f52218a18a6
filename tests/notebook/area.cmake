# C++ notebooks: need the shared library, clang-repl and Debian's Jupyter packages; skipped where one is missing.
find_program(MP_PYTHON NAMES python3 PATHS /usr/bin NO_DEFAULT_PATH)
if(MP_PYTHON AND PROJECT_IS_TOP_LEVEL AND NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
  # The library as a session loads it.
  if(BUILD_SHARED_LIBS)
    set(MP_NOTEBOOK_LIBRARY $<TARGET_FILE:multiprocessing>)
  else()
    add_library(mp_notebook_library SHARED $<TARGET_OBJECTS:multiprocessing>)
    target_link_libraries(mp_notebook_library PRIVATE Threads::Threads ${CMAKE_DL_LIBS})
    set_target_properties(mp_notebook_library PROPERTIES LINKER_LANGUAGE CXX)
    set(MP_NOTEBOOK_LIBRARY $<TARGET_FILE:mp_notebook_library>)
  endif()
  add_test(NAME Notebook.SessionsSurviveTheirCells
    COMMAND ${MP_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/session_test.py ${MP_NOTEBOOK_LIBRARY} ${PROJECT_SOURCE_DIR}/include)
  add_test(NAME Notebook.TutorialPrintsWhatItSays
    COMMAND ${MP_PYTHON} -Xfrozen_modules=off ${PROJECT_SOURCE_DIR}/tools/jupyter/run_notebook.py
      ${PROJECT_SOURCE_DIR}/examples/tutorial/tutorial.ipynb ${MP_NOTEBOOK_LIBRARY} ${PROJECT_SOURCE_DIR}/include)
  set_tests_properties(Notebook.SessionsSurviveTheirCells Notebook.TutorialPrintsWhatItSays PROPERTIES
    SKIP_RETURN_CODE 77 TIMEOUT 600)
endif()
