# cpack -G DEB: Debian packages, one for each component of cmake/install.cmake. ./dev package makes them.
set(CPACK_PACKAGE_NAME multiprocessing)
set(CPACK_PACKAGE_VENDOR multiprocessing)
set(CPACK_PACKAGE_CONTACT "The multiprocessing authors <multiprocessing@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "process parallelism that survives crashes")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL library development tools documentation)
set(CPACK_COMPONENTS_GROUPING IGNORE)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR})
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(MP_SERIES ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
set(MP_EXACTLY "libmultiprocessing${MP_SERIES} (= ${PROJECT_VERSION}-1)")

set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME libmultiprocessing${MP_SERIES})
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
# Stacks have function names and lines where it is installed.
set(CPACK_DEBIAN_LIBRARY_PACKAGE_RECOMMENDS libdw1)
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION "process parallelism that survives crashes - shared library
 Python's multiprocessing for C++: pools, processes, queues, pipes and shared
 state, in which a crash of a worker process costs one task.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libmultiprocessing-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "${MP_EXACTLY}, libc6-dev")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SUGGESTS "multiprocessing-doc, cmake, pkgconf | pkg-config")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "process parallelism that survives crashes - development files
 Headers, the static library, and what CMake and pkg-config need to find them.")

set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME multiprocessing-tools)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_TOOLS_PACKAGE_DEPENDS ${MP_EXACTLY})
set(CPACK_COMPONENT_TOOLS_DESCRIPTION "process parallelism that survives crashes - programs
 primes counts the primes of a range on all CPUs; mp-top shows the pools that run.")

set(CPACK_DEBIAN_DOCUMENTATION_PACKAGE_NAME multiprocessing-doc)
set(CPACK_DEBIAN_DOCUMENTATION_PACKAGE_SECTION doc)
set(CPACK_DEBIAN_DOCUMENTATION_PACKAGE_ARCHITECTURE all)
set(CPACK_COMPONENT_DOCUMENTATION_DESCRIPTION "process parallelism that survives crashes - documentation
 Guide, tutorial, reference and example programs.")

set(MP_DOC_DIR ${CMAKE_INSTALL_DATADIR}/doc/multiprocessing-doc)
install(DIRECTORY ${PROJECT_BINARY_DIR}/docs/html DESTINATION ${MP_DOC_DIR} COMPONENT documentation OPTIONAL)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/examples DESTINATION ${MP_DOC_DIR} COMPONENT documentation
  PATTERN "CMakeLists.txt" EXCLUDE PATTERN "*.cmake" EXCLUDE)
# As in the sources, so that the links between the pages and to the programs lead somewhere.
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs DESTINATION ${MP_DOC_DIR} COMPONENT documentation PATTERN man EXCLUDE)
install(FILES ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/CHANGELOG.md DESTINATION ${MP_DOC_DIR}
  COMPONENT documentation)
# Debian wants to know of each package whose it is.
foreach(package IN ITEMS LIBRARY DEVELOPMENT TOOLS DOCUMENTATION)
  string(TOLOWER ${package} component)
  install(FILES ${PROJECT_SOURCE_DIR}/LICENSE COMPONENT ${component} RENAME copyright
    DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${CPACK_DEBIAN_${package}_PACKAGE_NAME})
endforeach()
include(CPack)
