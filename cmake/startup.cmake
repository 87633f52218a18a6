# What an executable must contain besides the library, because only code inside it can take part in its start-up.
#
# The sources of src/startup/, if there are any, become a small static archive beside the library, also when that is
# shared. It travels with the library: users of the target, of the installed package and of pkg-config link it
# without naming it. Link options that executables need belong into target_link_options(multiprocessing INTERFACE …);
# generator expressions there are exported too, for instance on a property that fully static programs set.
file(GLOB MP_STARTUP_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/startup/*.cpp)
if(MP_STARTUP_SOURCES)
  add_library(multiprocessing_startup STATIC ${MP_STARTUP_SOURCES})
  add_library(multiprocessing::multiprocessing_startup ALIAS multiprocessing_startup)
  target_include_directories(multiprocessing_startup PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
  target_compile_features(multiprocessing_startup PUBLIC cxx_std_20)
  target_link_libraries(multiprocessing INTERFACE multiprocessing_startup)
endif()
