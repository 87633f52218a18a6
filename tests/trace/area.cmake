find_package(nlohmann_json REQUIRED)
target_link_libraries(test_trace PRIVATE nlohmann_json::nlohmann_json)
