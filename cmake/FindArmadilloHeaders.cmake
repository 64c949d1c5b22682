# Armadillo as headers only: imported target Armadillo::headers, with the macros that every file including it must agree on.
# Its run-time library, a wrapper over whatever BLAS it was built with, is not linked.
find_path(Armadillo_INCLUDE_DIR armadillo)
mark_as_advanced(Armadillo_INCLUDE_DIR)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(ArmadilloHeaders REQUIRED_VARS Armadillo_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "install Armadillo (Debian: libarmadillo-dev)")
if(ArmadilloHeaders_FOUND AND NOT TARGET Armadillo::headers)
  add_library(Armadillo::headers INTERFACE IMPORTED)
  set_target_properties(Armadillo::headers PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${Armadillo_INCLUDE_DIR}"
    INTERFACE_COMPILE_DEFINITIONS
      "ARMA_DONT_USE_WRAPPER;ARMA_DONT_USE_ARPACK;ARMA_DONT_USE_SUPERLU;ARMA_WARN_LEVEL=0;ARMA_DONT_PRINT_FAST_MATH_WARNING")
endif()
