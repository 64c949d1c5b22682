# Highway: imported target hwy::hwy, from its own package files or by search.
find_package(hwy QUIET CONFIG)
if(NOT TARGET hwy::hwy)
  find_path(HWY_INCLUDE_DIR hwy/highway.h)
  find_library(HWY_LIBRARY hwy)
  mark_as_advanced(HWY_INCLUDE_DIR HWY_LIBRARY)
  if(HWY_INCLUDE_DIR AND HWY_LIBRARY)
    add_library(hwy::hwy UNKNOWN IMPORTED)
    set_target_properties(hwy::hwy PROPERTIES
      IMPORTED_LOCATION "${HWY_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${HWY_INCLUDE_DIR}")
  endif()
endif()

include(FindPackageHandleStandardArgs)
set(HWY_TARGET_NAME hwy::hwy)
if(NOT TARGET hwy::hwy)
  unset(HWY_TARGET_NAME)
endif()
find_package_handle_standard_args(HWY REQUIRED_VARS HWY_TARGET_NAME REASON_FAILURE_MESSAGE "install Highway (Debian: libhwy-dev)")
