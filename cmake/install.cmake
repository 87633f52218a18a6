# cmake --install: library, headers, find_package(multiprocessing) and pkg-config. All of it can be moved to another
# prefix afterwards.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(MP_CONFIG_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/multiprocessing)
set(MP_PC_LIBS "-lmultiprocessing -Wl,--build-id")
# A static library needs its own libraries named with every pkg-config call, not only with --static.
set(MP_PC_SYSTEM_LIBS "-pthread -ldl")
if(BUILD_SHARED_LIBS)
  set(MP_PC_LIBS_PRIVATE ${MP_PC_SYSTEM_LIBS})
else()
  string(APPEND MP_PC_LIBS " ${MP_PC_SYSTEM_LIBS}")
endif()

# Components: library is what programs need to run, development what they need to be built, tools are the programs of apps/,
# documentation is for reading. A static library is for building only.
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME tools)
install(TARGETS ${MP_LIBRARIES} multiprocessing_fully_static EXPORT multiprocessing-targets
  LIBRARY COMPONENT library NAMELINK_COMPONENT development
  ARCHIVE COMPONENT development
  FILE_SET HEADERS COMPONENT development)
install(EXPORT multiprocessing-targets NAMESPACE multiprocessing:: DESTINATION ${MP_CONFIG_DIR} COMPONENT development)

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/multiprocessing-config.cmake.in
  ${PROJECT_BINARY_DIR}/multiprocessing-config.cmake INSTALL_DESTINATION ${MP_CONFIG_DIR})
# Before 1.0 a new minor version may change what a program relies on.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/multiprocessing-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/multiprocessing-config.cmake
  ${PROJECT_BINARY_DIR}/multiprocessing-config-version.cmake
  DESTINATION ${MP_CONFIG_DIR} COMPONENT development)

# From the .pc file's own folder to the prefix: ../.. for lib, ../../.. for lib/x86_64-linux-gnu.
file(RELATIVE_PATH MP_PC_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(${PROJECT_SOURCE_DIR}/cmake/multiprocessing.pc.in ${PROJECT_BINARY_DIR}/multiprocessing.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/multiprocessing.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)

# Each program of apps/ has a manual page and takes part in the shell's completion.
if(MP_BUILD_APPS)
  file(GLOB MP_MANUAL_PAGES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/man/*.1)
  install(FILES ${MP_MANUAL_PAGES} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT tools)
  foreach(page IN LISTS MP_MANUAL_PAGES)
    cmake_path(GET page STEM program)
    install(FILES ${PROJECT_SOURCE_DIR}/tools/completion/multiprocessing.bash COMPONENT tools
      DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME ${program})
    install(FILES ${PROJECT_SOURCE_DIR}/tools/completion/multiprocessing.fish COMPONENT tools
      DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d RENAME ${program}.fish)
  endforeach()
  # Debian's zsh looks into vendor-completions for what packages bring; all others look into site-functions.
  set(MP_ZSH_FOLDER site-functions)
  if(CMAKE_INSTALL_PREFIX STREQUAL /usr AND EXISTS /etc/debian_version)
    set(MP_ZSH_FOLDER vendor-completions)
  endif()
  install(FILES ${PROJECT_SOURCE_DIR}/tools/completion/_multiprocessing COMPONENT tools
    DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/${MP_ZSH_FOLDER})
endif()
