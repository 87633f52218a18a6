# What function identity and worker mode ask of a link; docs/design/function-identity.md and worker-mode.md say why.
# No source is special: src/process/start_hook.cpp is a member of the library that the start-up code of every dynamic
# program pulls in, shared or static.

# Functions are named by the build-id of their module; not every compiler asks its linker for one.
foreach(library IN LISTS MP_LIBRARIES)
  target_link_options(${library} PUBLIC LINKER:--build-id)
endforeach()

# For programs linked with -static: link this target in place of multiprocessing::multiprocessing.
# --wrap leads a worker past main; -lc this early makes the linker take the C library's __libc_start_main, not the one
# that serves dynamic programs.
add_library(multiprocessing_fully_static INTERFACE)
add_library(multiprocessing::fully_static ALIAS multiprocessing_fully_static)
set_target_properties(multiprocessing_fully_static PROPERTIES EXPORT_NAME fully_static)
target_link_options(multiprocessing_fully_static INTERFACE -static LINKER:--wrap=main LINKER:-lc)
list(GET MP_LIBRARIES -1 MP_STATIC_LIBRARY)
target_link_libraries(multiprocessing_fully_static INTERFACE ${MP_STATIC_LIBRARY})
