find_package(nlohmann_json REQUIRED)
target_link_libraries(test_top PRIVATE top_core nlohmann_json::nlohmann_json)
target_compile_definitions(test_top PRIVATE TOP_PROGRAM="$<TARGET_FILE:mp-top>")
add_dependencies(test_top mp-top)
