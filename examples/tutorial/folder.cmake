# The camera's own source is enough for chapter 9; with OpenCV it can also look at real ones and at films.
find_package(OpenCV QUIET COMPONENTS core imgproc videoio)
if(OpenCV_FOUND)
  target_compile_definitions(tutorial_09_camera PRIVATE CAMERA_WITH_OPENCV)
  target_link_libraries(tutorial_09_camera PRIVATE ${OpenCV_LIBS})
endif()
