# What comes with the programs, and the Debian packages as far as they can be looked at without a second machine;
# tools/try-packages installs them on a clean Debian.
if(MP_BUILD_APPS AND MP_BASH)
  add_test(NAME Packages.ManualPagesAndCompletionKnowAllOptions
    COMMAND ${MP_BASH} ${CMAKE_CURRENT_LIST_DIR}/programs_test.sh ${PROJECT_SOURCE_DIR} $<TARGET_FILE:primes> $<TARGET_FILE:mp-top>)
endif()
