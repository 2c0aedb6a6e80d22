# `cpack -G DEB` in the build folder makes a package of the program, its plugins and everything for building plugins.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME orrery)
set(CPACK_PACKAGE_VENDOR "The Orrery contributors")
set(CPACK_PACKAGE_CONTACT "The Orrery contributors <contributors@orrery.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"Trains small networks on toy problems and measures what they have learned.
Problems and measurements are plugins; many are included, and this package has
all that others are built with. Example configs lie in
/usr/share/orrery/configs.")
install(DIRECTORY configs DESTINATION ${CMAKE_INSTALL_DATADIR}/orrery)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
# dpkg-shlibdeps finds liborrery, which is in this package, beside the built-in plugins' build folder.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_BINARY_DIR}/framework/sdk)
# Any BLAS satisfies libtorch; the reference one is many times slower.
set(CPACK_DEBIAN_PACKAGE_DEPENDS libopenblas0-pthread)
# Needed only for writing plugins.
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "libtorch-dev, g++, cmake, ninja-build, libgtest-dev")
# python3-torch and python3-pandas for the Python package, in /usr/lib/orrery/python.
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "gdb, python3-torch, python3-pandas")
# Runs ldconfig for the shared library.
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY =)
include(CPack)
