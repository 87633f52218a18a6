# What holds for the tree as a whole.
add_test(NAME House.IncludesKeepToTheLayers COMMAND ${PROJECT_SOURCE_DIR}/tools/check-layers ${PROJECT_SOURCE_DIR})
add_test(NAME House.LayerCheckFindsEveryKindOfBreach
  COMMAND bash ${CMAKE_CURRENT_LIST_DIR}/check_layers_test.sh ${PROJECT_SOURCE_DIR}/tools/check-layers)

# Compiles each public header alone. Its own ninja run: nothing else may build in this folder meanwhile.
if(PROJECT_IS_TOP_LEVEL)
  add_test(NAME House.PublicHeadersAreSelfContained
    COMMAND ${CMAKE_COMMAND} --build ${PROJECT_BINARY_DIR} -j 2
      --target multiprocessing_verify_interface_header_sets)
  set_tests_properties(House.PublicHeadersAreSelfContained PROPERTIES TIMEOUT 900 RESOURCE_LOCK build_folder)
endif()
add_test(NAME House.PublicHeadersCompileInARepl COMMAND ${PROJECT_SOURCE_DIR}/tools/check-headers ${PROJECT_SOURCE_DIR})
add_test(NAME House.HeaderCheckSeesEachBreach
  COMMAND bash ${CMAKE_CURRENT_LIST_DIR}/check_headers_test.sh ${PROJECT_SOURCE_DIR}/tools/check-headers)
