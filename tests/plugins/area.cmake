# Plugins do not link the library: it is in the program, which exports it, or in the shared library beside it.
function(mp_add_plugin name kind factor symbol)
  add_library(${name} ${kind} ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/plugin.cpp)
  target_compile_definitions(${name} PRIVATE PLUGIN_FACTOR=${factor} PLUGIN_NAME=${symbol})
  target_include_directories(${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}
    $<TARGET_PROPERTY:multiprocessing,INTERFACE_INCLUDE_DIRECTORIES>)
  target_compile_features(${name} PRIVATE cxx_std_20)
  target_compile_options(${name} PRIVATE -Wall -Wextra)
  target_link_options(${name} PRIVATE LINKER:--build-id)
endfunction()
mp_add_plugin(test_plugin_two MODULE 2 test_plugin)
mp_add_plugin(test_plugin_three MODULE 3 test_plugin)
mp_add_plugin(test_linked_five SHARED 5 linked_plugin)

set_target_properties(test_plugins PROPERTIES ENABLE_EXPORTS ON)
if(NOT BUILD_SHARED_LIBS)
  # All of the library: what only a plugin uses must be there too.
  target_link_options(test_plugins PRIVATE
    LINKER:--whole-archive $<TARGET_FILE:multiprocessing> LINKER:--no-whole-archive)
endif()
add_dependencies(test_plugins test_plugin_two test_plugin_three)
target_link_libraries(test_plugins PRIVATE test_linked_five ${CMAKE_DL_LIBS})
target_compile_definitions(test_plugins PRIVATE
  PLUGIN_TWO="$<TARGET_FILE:test_plugin_two>" PLUGIN_THREE="$<TARGET_FILE:test_plugin_three>")
