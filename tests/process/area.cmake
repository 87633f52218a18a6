mp_add_test_programs(process)

include(${PROJECT_SOURCE_DIR}/cmake/compile_fail.cmake)

function(mp_process_refuses case sentence)
  mp_add_compile_fail_test(ProcessRefuses.${case}
    SOURCE ${CMAKE_CURRENT_SOURCE_DIR}/process/refused/targets.cpp CASE ${case} EXPECT "${sentence}")
endfunction()

mp_process_refuses(fine "")
mp_process_refuses(too_few_arguments "the target of a Process cannot be called with these arguments")
mp_process_refuses(wrong_argument "the target of a Process cannot be called with these arguments")
mp_process_refuses(name_first "the target of a Process cannot be called with these arguments")
mp_process_refuses(called_already "the target of a Process cannot be called with these arguments")
mp_process_refuses(changes_argument "the target of a Process takes an argument by reference, but has a copy in another process")
mp_process_refuses(mutex "the target of a Process takes an argument by reference, but has a copy in another process")
mp_process_refuses(queue_of_pointers "a raw pointer cannot be sent, since it means nothing in another process")
mp_process_refuses(pipe_of_pointers "a raw pointer cannot be sent, since it means nothing in another process")
