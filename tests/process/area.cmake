mp_add_test_programs(process)
target_include_directories(process_dying_server PRIVATE ${PROJECT_SOURCE_DIR}/src)

include(${PROJECT_SOURCE_DIR}/cmake/compile_fail.cmake)

mp_refused_from(ProcessRefuses ${CMAKE_CURRENT_SOURCE_DIR}/process/refused/targets.cpp)

mp_refuses(fine "")
mp_refuses(too_few_arguments "the target of a Process cannot be called with these arguments")
mp_refuses(wrong_argument "the target of a Process cannot be called with these arguments")
mp_refuses(name_first "the target of a Process cannot be called with these arguments")
mp_refuses(called_already "the target of a Process cannot be called with these arguments")
mp_refuses(changes_argument "the target of a Process takes an argument by reference, but has a copy in another process")
mp_refuses(mutex "the target of a Process takes an argument by reference, but has a copy in another process")
mp_refuses(queue_of_pointers "a raw pointer cannot be sent, since it means nothing in another process")
mp_refuses(pipe_of_pointers "a raw pointer cannot be sent, since it means nothing in another process")
