# orrery_check_torch(): refuses, after find_package(Torch), a LibTorch that cannot be linked with this system's libraries.
include_guard(GLOBAL)

function(orrery_check_torch)
  if(TORCH_CXX_FLAGS MATCHES "_GLIBCXX_USE_CXX11_ABI=0")
    message(FATAL_ERROR
      "The LibTorch in ${Torch_DIR} was built with the C++ ABI that GCC had before version 5; fmt, toml++ and GoogleTest "
      "here have the new one, and the two cannot be linked. Take torch 2.7 or newer from pip, a LibTorch archive with "
      "\"cxx11-abi\" in its name, or Debian's libtorch-dev.")
  endif()
  if(Torch_VERSION VERSION_LESS 1.13)
    message(FATAL_ERROR "The LibTorch in ${Torch_DIR} is ${Torch_VERSION}; Orrery needs 1.13 or newer.")
  endif()
endfunction()
