# The library: everything in src/, with the public headers as a header set, so that each can be checked alone.
find_package(Threads REQUIRED)

file(GLOB_RECURSE MP_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/*.cpp)
file(GLOB_RECURSE MP_HEADERS CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/include/*.hpp)

# The page that a trace::Session writes; its parts are files that can be read, and edited, as what they are.
set(MP_REPORT_PAGE ${PROJECT_BINARY_DIR}/generated/report_page.cpp)
set(MP_EMBED_REPORT ${PROJECT_SOURCE_DIR}/cmake/embed_report.cmake)
file(GLOB MP_REPORT_PARTS CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/trace/report/*)
add_custom_command(OUTPUT ${MP_REPORT_PAGE}
  COMMAND ${CMAKE_COMMAND} -DSOURCE=${PROJECT_SOURCE_DIR}/src/trace/report -DTO=${MP_REPORT_PAGE} -P ${MP_EMBED_REPORT}
  DEPENDS ${MP_REPORT_PARTS} ${MP_EMBED_REPORT} VERBATIM)

function(mp_add_library target)
  add_library(${target} ${ARGN} ${MP_SOURCES} ${MP_REPORT_PAGE})
  target_sources(${target} PUBLIC FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}/include FILES ${MP_HEADERS})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow)
  target_link_libraries(${target} PUBLIC Threads::Threads PRIVATE ${CMAKE_DL_LIBS})
  # Static and shared objects are compiled alike, so that one serves the compiler cache for the other.
  set_target_properties(${target} PROPERTIES DEFINE_SYMBOL "")
endfunction()

mp_add_library(multiprocessing)
add_library(multiprocessing::multiprocessing ALIAS multiprocessing)
set_target_properties(multiprocessing PROPERTIES
  VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
  VERIFY_INTERFACE_HEADER_SETS ${PROJECT_IS_TOP_LEVEL})
set(MP_LIBRARIES multiprocessing)
# For packages: who installs one has both.
if(BUILD_SHARED_LIBS AND MP_BUILD_STATIC)
  mp_add_library(multiprocessing_static STATIC)
  add_library(multiprocessing::static ALIAS multiprocessing_static)
  set_target_properties(multiprocessing_static PROPERTIES OUTPUT_NAME multiprocessing EXPORT_NAME static)
  list(APPEND MP_LIBRARIES multiprocessing_static)
endif()
# Tests look inside. In a static library all of it is in reach; a shared one hides nothing when it is built for tests, so
# that all of them run against it. What users get is built and tried by tests/consumers.
if(BUILD_SHARED_LIBS AND MP_BUILD_TESTS)
  set_target_properties(multiprocessing PROPERTIES CXX_VISIBILITY_PRESET default VISIBILITY_INLINES_HIDDEN OFF)
endif()
