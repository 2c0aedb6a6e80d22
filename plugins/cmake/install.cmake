# Installs the program, liborrery and its headers, the built-in plugins, and the CMake package for
# building plugins elsewhere: find_package(orrery CONFIG), then orrery_add_plugin().
include(CMakePackageConfigHelpers)

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/orrery)
# orrery starts orrery-core, which looks for its plugins in ../plugins, as in the build tree.
set_target_properties(orrery_core PROPERTIES INSTALL_RPATH "$ORIGIN/../../../${CMAKE_INSTALL_LIBDIR}")
install(TARGETS orrery EXPORT orrery LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS orrery_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS orrery_core RUNTIME DESTINATION lib/orrery/bin)
install(DIRECTORY framework/include/orrery DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

# `verify --tier` looks for configs here where there are none in the current folder.
install(DIRECTORY configs DESTINATION ${CMAKE_INSTALL_DATADIR}/orrery)
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs)
install(FILES README.md CHANGELOG.md CONTRIBUTING.md LICENSE CITATION.cff DESTINATION ${CMAKE_INSTALL_DOCDIR})

get_property(plugins GLOBAL PROPERTY ORRERY_PLUGINS)
set_target_properties(${plugins} PROPERTIES INSTALL_RPATH "$ORIGIN/../../../${CMAKE_INSTALL_LIBDIR}")
install(TARGETS ${plugins} LIBRARY DESTINATION lib/orrery/plugins)

install(EXPORT orrery FILE orreryTargets.cmake DESTINATION ${package})
configure_package_config_file(plugins/cmake/orreryConfig.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/orreryConfig.cmake
  INSTALL_DESTINATION ${package})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/orreryConfigVersion.cmake COMPATIBILITY ExactVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/orreryConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/orreryConfigVersion.cmake
  plugins/cmake/orrery_add_plugin.cmake plugins/cmake/orrery_torch.cmake DESTINATION ${package})
