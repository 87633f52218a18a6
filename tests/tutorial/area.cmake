target_compile_definitions(test_tutorial PRIVATE
  TUTORIAL_PROGRAMS="$<TARGET_FILE_DIR:tutorial_01_serial>/tutorial_"
  README_PROGRAMS="$<TARGET_FILE_DIR:readme_first>/readme_")
add_dependencies(test_tutorial
  tutorial_01_serial tutorial_02_two_processes tutorial_03_value_and_queue tutorial_04_many_workers tutorial_05_pool
  tutorial_06_own_worker tutorial_07_own_memory tutorial_08_pipe tutorial_09_camera
  readme_first readme_crash)
