# How our own targets are compiled: subquad_compile_flags(TARGET).

set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 99)
set(CMAKE_C_STANDARD_REQUIRED ON)

if(SUBQUAD_SANITIZE)
  add_compile_options(-fsanitize=${SUBQUAD_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${SUBQUAD_SANITIZE})
  if(SUBQUAD_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=all)
  endif()
endif()

function(subquad_compile_flags target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic)
endfunction()
