set(MP_RECIPES recipes_word_count recipes_thumbnails recipes_run_programs recipes_service recipes_logging crash_test)
target_compile_definitions(test_recipes PRIVATE RECIPES="$<TARGET_FILE_DIR:crash_test>/")
add_dependencies(test_recipes ${MP_RECIPES})
