find_package(nlohmann_json REQUIRED)
target_link_libraries(test_primes PRIVATE primes_core nlohmann_json::nlohmann_json)
target_compile_definitions(test_primes PRIVATE PRIMES_PROGRAM="$<TARGET_FILE:primes>")
add_dependencies(test_primes primes)
