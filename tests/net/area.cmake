# SHA-256 is compared with OpenSSL's.
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
target_link_libraries(test_net PRIVATE OpenSSL::Crypto)
mp_kill_at_system_calls(test_net)
