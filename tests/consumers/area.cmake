# Programs of users, built against the installed library (static and shared, moved after installation) and against the
# sources. The library is compiled again for that: same flags, so that the compiler cache has most of it.
find_program(MP_BASH bash)
find_package(PkgConfig QUIET)
# An instrumented library cannot be linked by programs that are not.
if(NOT MP_BASH OR NOT PROJECT_IS_TOP_LEVEL OR CMAKE_CXX_FLAGS MATCHES "-fsanitize")
  return()
endif()

function(mp_add_consumer_test name)
  add_test(NAME Consumers.${name} COMMAND ${CMAKE_COMMAND} -E env
    CCACHE_NOHASHDIR=1 "CXX=${CMAKE_CXX_COMPILER}" "CXXFLAGS=${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_RELWITHDEBINFO}"
    "CMAKE_GENERATOR=${CMAKE_GENERATOR}" "CMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER}"
    ${MP_BASH} ${PROJECT_SOURCE_DIR}/tests/consumers/consume
    ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}/consumers ${ARGN})
  # First, because they take longest; two at once would only get in each other's way.
  set_tests_properties(Consumers.${name} PROPERTIES TIMEOUT 1200 COST 1000 RESOURCE_LOCK consumers)
endfunction()

foreach(kind static shared)
  mp_add_consumer_test(install_${kind} install ${kind})
  set_tests_properties(Consumers.install_${kind} PROPERTIES FIXTURES_SETUP installed_${kind})
  mp_add_consumer_test(find_package_${kind} find_package ${kind})
  set_tests_properties(Consumers.find_package_${kind} PROPERTIES FIXTURES_REQUIRED installed_${kind})
  if(kind STREQUAL static)
    mp_add_consumer_test(fully_static fully_static ${kind})
    set_tests_properties(Consumers.fully_static PROPERTIES FIXTURES_REQUIRED installed_${kind})
  endif()
  if(PKG_CONFIG_FOUND)
    mp_add_consumer_test(pkg_config_${kind} pkg_config ${kind})
    set_tests_properties(Consumers.pkg_config_${kind} PROPERTIES FIXTURES_REQUIRED installed_${kind})
  endif()
endforeach()
mp_add_consumer_test(add_subdirectory add_subdirectory)
find_package(Git QUIET)
if(GIT_FOUND)
  mp_add_consumer_test(fetch_content fetch_content)
endif()
