# FFTW 3, for which Debian has no package files: imported targets FFTW3::double, FFTW3::float, and
# FFTW3::double_threads and FFTW3::float_threads with what makes the planner safe for threads (components by the same names).
find_path(FFTW3_INCLUDE_DIR fftw3.h)
find_library(FFTW3_double_LIBRARY fftw3)
find_library(FFTW3_float_LIBRARY fftw3f)
find_library(FFTW3_double_threads_LIBRARY fftw3_threads)
find_library(FFTW3_float_threads_LIBRARY fftw3f_threads)
mark_as_advanced(FFTW3_INCLUDE_DIR FFTW3_double_LIBRARY FFTW3_float_LIBRARY FFTW3_double_threads_LIBRARY FFTW3_float_threads_LIBRARY)

foreach(component IN LISTS FFTW3_FIND_COMPONENTS)
  if(FFTW3_INCLUDE_DIR AND FFTW3_${component}_LIBRARY)
    set(FFTW3_${component}_FOUND TRUE)
    if(NOT TARGET FFTW3::${component})
      add_library(FFTW3::${component} UNKNOWN IMPORTED)
      set_target_properties(FFTW3::${component} PROPERTIES
        IMPORTED_LOCATION "${FFTW3_${component}_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${FFTW3_INCLUDE_DIR}")
    endif()
  endif()
endforeach()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(FFTW3 REQUIRED_VARS FFTW3_INCLUDE_DIR HANDLE_COMPONENTS
  REASON_FAILURE_MESSAGE "install FFTW 3 in single and double precision with threads (Debian: libfftw3-dev)")
