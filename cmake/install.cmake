# What `cmake --install` lays down: header, library, CMake package and pkg-config file.
include(CMakePackageConfigHelpers)

install(TARGETS subquad EXPORT subquad-targets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES capi/subquad.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/subquad)
install(EXPORT subquad-targets NAMESPACE subquad:: DESTINATION ${package_dir})
configure_package_config_file(cmake/subquad-config.cmake.in subquad-config.cmake INSTALL_DESTINATION ${package_dir})
# While the major version is 0, a minor version may break programs.
write_basic_package_version_file(subquad-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/subquad-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/subquad-config-version.cmake
        DESTINATION ${package_dir})

# Relative to the file itself, so that an installed tree may be moved.
file(RELATIVE_PATH SUBQUAD_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/subquad.pc.in subquad.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/subquad.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
